import asyncio

async def f(n):
    return n

for n in range(2):
    print(asyncio.run(f(n)))
