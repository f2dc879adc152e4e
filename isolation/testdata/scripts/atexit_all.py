import atexit
import sys


@atexit.register
def bye():
    print("bye", file=sys.stderr)


def removed():
    print("never")


atexit.register(removed)
atexit.unregister(removed)


@atexit.register
def fails():
    raise RuntimeError("in a callback")


print("registered")
sys.exit(5)
