def counter(start):
    count = start

    def step(by=1):
        nonlocal count
        count += by
        return count

    def reset():
        nonlocal count
        count = start
    step.reset = reset
    return step


a, b = counter(0), counter(10)
print(a(), a(5), b(), a.__closure__[0].cell_contents)
a.reset()
print(a())
print([f(2) for f in [lambda x, n=n: x * n for n in range(3)]], (lambda *a, **k: (a, k))(1, b=2))


def default(x, seen=[]):
    seen.append(x)
    return seen


print(default(1), default(2), default.__defaults__)
