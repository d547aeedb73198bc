import asyncio

async def main():
    await asyncio.sleep(0)
    return 'awaited'

print(asyncio.run(main()))
