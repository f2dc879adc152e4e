data = [("b", 2), ("a", 2), ("c", 1)]
print(sorted(data), sorted(data, key=lambda p: (-p[1], p[0])), max(data, key=lambda p: p[1]))
a, b = {1, 2, 3}, {3, 4}
print(sorted(a | b), a & b, sorted(a ^ b), a >= {1}, frozenset([1]) in {frozenset([1])})
d = dict.fromkeys("abc", 0) | {"d": 1}
d.setdefault("e", []).append(1)
print(d, d.pop("a"), list(d)[::-1], [*d.items()][-1])
first, *middle, last = range(6)
print(first, middle, last, [[0] * 2 for _ in range(2)], list(zip("ab", [1, 2])), slice(1, 5, 2).indices(4))
