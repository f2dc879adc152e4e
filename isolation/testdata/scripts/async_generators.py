import asyncio
import contextlib


async def count(n):
    try:
        for i in range(n):
            yield i
            await asyncio.sleep(0)
    finally:
        print("closed")


@contextlib.asynccontextmanager
async def around():
    print("enter")
    yield "value"
    print("exit")


async def main():
    async with around() as value:
        print(value, [i async for i in count(3)])
    async for i in count(10):
        if i == 2:
            break


asyncio.run(main())
