import asyncio


async def main():
    return open("no such file")


asyncio.run(main())
# FileNotFoundError, line 5: No such file or directory: 'no such file'
