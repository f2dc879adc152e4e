import sys


def depth(n):
    return depth(n + 1)


try:
    depth(0)
except RecursionError as exc:
    print(exc)
print(sys.getrecursionlimit())
sys.setrecursionlimit(5000)


def count(n):
    return 0 if n == 0 else 1 + count(n - 1)


print(count(3000))
