def averager():
    total, n, average = 0, 0, None
    try:
        while True:
            value = yield average
            total, n = total + value, n + 1
            average = total / n
    finally:
        print("closed after", n)


g = averager()
next(g)
print([g.send(x) for x in (10, 20, 60)])
try:
    g.throw(ValueError, ValueError("stop"))
except ValueError as exc:
    print(exc)


def flatten(x):
    for item in x:
        if isinstance(item, list):
            yield from flatten(item)
        else:
            yield item


print(list(flatten([1, [2, [3, [4]]], 5])), sum(x * x for x in range(10) if x % 2))
