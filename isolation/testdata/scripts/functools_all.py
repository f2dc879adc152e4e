import functools
import itertools
import operator


@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


print(fib(80), fib.cache_info())


@functools.singledispatch
def show(x):
    return "object"


@show.register
def _(x: int):
    return "int"


@show.register(list)
def _(x):
    return "list of " + ", ".join(map(show, x))


print(show([1, "a", [2]]), functools.reduce(operator.mul, range(1, 6)), functools.partial(pow, 2)(5))


@functools.total_ordering
class V:
    def __init__(self, x):
        self.x = x

    def __eq__(self, o):
        return self.x == o.x

    def __lt__(self, o):
        return self.x < o.x


print(V(1) <= V(2), V(3) > V(2), sorted([3, 1], key=functools.cmp_to_key(lambda a, b: b - a)))
print(list(itertools.islice(itertools.count(5, 5), 3)), list(itertools.groupby("aab"))[0][0], list(itertools.combinations("abc", 2)))
