import functools


def trace(prefix="call"):
    def outer(f):
        @functools.wraps(f)
        def inner(*args, **kwargs):
            print(prefix, f.__name__, args, kwargs)
            return f(*args, **kwargs)
        inner.calls = 0
        return inner
    return outer


@trace("calling")
def add(a, b=2):
    """Adds."""
    return a + b


print(add(1), add(1, b=5), add.__doc__, add.__wrapped__)


class Temperature:
    def __init__(self, c):
        self.c = c

    @property
    def f(self):
        return self.c * 9 / 5 + 32

    @f.setter
    def f(self, value):
        self.c = (value - 32) * 5 / 9

    @staticmethod
    def zero():
        return Temperature(0)

    @classmethod
    def named(cls):
        return cls.__name__


t = Temperature.zero()
t.f = 212
print(t.c, t.f, Temperature.named())
