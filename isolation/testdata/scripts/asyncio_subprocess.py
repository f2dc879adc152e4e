import asyncio


async def main():
    process = await asyncio.create_subprocess_shell(
        "read x; echo got $x; exit 3", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate(b"this\n")
    print(out, process.returncode)


asyncio.run(main())
