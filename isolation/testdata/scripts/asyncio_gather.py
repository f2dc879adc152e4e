import asyncio


async def work(n):
    await asyncio.sleep(0.001 * n)
    return n * n


async def main():
    print(await asyncio.gather(*(work(n) for n in range(5))))
    done, pending = await asyncio.wait([asyncio.ensure_future(work(1))], timeout=5)
    print(len(done), len(pending))
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except asyncio.TimeoutError:
        print("timed out")


asyncio.run(main())
