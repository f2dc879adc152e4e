from dataclasses import asdict, dataclass, field, fields, replace, FrozenInstanceError


@dataclass(order=True)
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Fixed:
    p: Point
    name: "str" = "n"


print(Point(1), Point(1) < Point(2), replace(Point(3), y=4), asdict(Fixed(Point(1, 2))))
print([f.name for f in fields(Fixed)])
try:
    Fixed(Point(0)).name = "m"
except FrozenInstanceError as exc:
    print("frozen:", exc)
print(Fixed.__module__, Fixed.__eq__.__qualname__)
