import multiprocessing
import os
import sys

context = multiprocessing.get_context("fork")


def fail():
    raise KeyError("in a child")


codes = []
for target, args in ((sys.exit, (3,)), (os._exit, (4,)), (os.kill, (0, 0)), (sys.exit, ("text",))):
    if target is os.kill:
        target, args = os.abort, ()
    process = context.Process(target=target, args=args)
    process.start()
    process.join()
    codes.append(process.exitcode)
print(codes)
