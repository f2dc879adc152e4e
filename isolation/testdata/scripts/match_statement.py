from dataclasses import dataclass


@dataclass
class Point:
    x: int
    y: int


def describe(value):
    match value:
        case Point(x=0, y=0):
            return "origin"
        case Point(x, y) if x == y:
            return f"diagonal {x}"
        case [first, *rest]:
            return f"list {first} {rest}"
        case {"kind": "a" | "b" as kind, **others}:
            return f"dict {kind} {others}"
        case str() | bytes():
            return "text"
        case _:
            return "other"


print([describe(v) for v in (Point(0, 0), Point(2, 2), Point(1, 2), [1, 2, 3], {"kind": "b", "z": 1}, "s", 5)])
