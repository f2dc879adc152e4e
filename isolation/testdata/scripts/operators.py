class Vector:
    def __init__(self, *xs):
        self.xs = xs

    def __add__(self, other):
        return Vector(*(a + b for a, b in zip(self.xs, other.xs)))

    def __rmul__(self, k):
        return Vector(*(k * x for x in self.xs))

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self.xs, other.xs))

    def __getitem__(self, i):
        return self.xs[i]

    def __iter__(self):
        return iter(self.xs)

    def __bool__(self):
        return any(self.xs)

    def __format__(self, spec):
        return "(" + ", ".join(format(x, spec) for x in self.xs) + ")"

    def __eq__(self, other):
        return self.xs == other.xs

    __hash__ = None


v = Vector(1, 2) + 3 * Vector(1, 1)
print(f"{v:.1f}", v @ v, v[::-1], list(v), bool(Vector(0)), v == Vector(4, 5), 4 in v)
try:
    {v}
except TypeError as exc:
    print(exc)
try:
    v + 1
except AttributeError as exc:
    print(exc)
