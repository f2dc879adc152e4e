import asyncio


async def consumer(queue, seen):
    try:
        while True:
            seen.append(await queue.get())
            queue.task_done()
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


async def main():
    queue, seen = asyncio.Queue(2), []
    task = asyncio.create_task(consumer(queue, seen))
    for i in range(6):
        await queue.put(i)
    await queue.join()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print(seen)


asyncio.run(main())
