import sys


class Guard:
    def __enter__(self):
        print("enter")

    def __exit__(self, *exc):
        print("exit", exc[0].__name__, exc[1].code)


def f():
    try:
        with Guard():
            sys.exit(4)
    finally:
        print("finally")


try:
    f()
except SystemExit as exc:
    print("caught", exc.code)
    raise
