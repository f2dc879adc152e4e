def f(a, b, *, c):
    return a


for call in (lambda: f(1), lambda: f(1, 2), lambda: f(1, 2, 3, c=4), lambda: len(5), lambda: "a" + 1):
    try:
        call()
    except TypeError as exc:
        print(exc)
f(1, 2, c=3, d=4)
