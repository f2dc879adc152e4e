n = 10
squares = [n for n in range(3)]
print(n, squares, {k: v for k, v in zip("ab", range(2))}, {x % 3 for x in range(9)})
if (length := len(squares)) > 2:
    print(length)


class C:
    size = 3
    items = [i for i in range(size)]
    try:
        bad = [size for _ in range(1)]
    except NameError as exc:
        error = str(exc)


print(C.items, getattr(C, "error", "no error"))
print([(i, j) for i in range(3) for j in range(i)], all(x for x in [1, 2]), *map(str, (1, 2)))
