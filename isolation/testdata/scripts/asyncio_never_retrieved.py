import asyncio
import gc


async def fail():
    raise LookupError("nobody looks")


async def main():
    task = asyncio.create_task(fail(), name="failing")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    print("main ends")


asyncio.run(main())
