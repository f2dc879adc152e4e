import asyncio
import contextvars

user = contextvars.ContextVar("user", default="nobody")


async def task(name):
    user.set(name)
    await asyncio.sleep(0)
    return user.get()


async def main():
    print(await asyncio.gather(task("a"), task("b")), user.get())


print(user.get())
asyncio.run(main())
token = user.set("me")
context = contextvars.copy_context()
user.reset(token)
print(user.get(), context[user], context.run(user.get))
