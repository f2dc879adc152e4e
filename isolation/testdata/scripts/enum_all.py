from enum import Enum, Flag, IntEnum, auto, unique


class Color(Enum):
    RED = 1
    GREEN = auto()
    CRIMSON = 1

    @property
    def hex(self):
        return f"#{self.value:02x}"


class Permission(Flag):
    R = 4
    W = 2
    X = 1


class Level(IntEnum):
    LOW = 1
    HIGH = 2


print(list(Color), Color.CRIMSON is Color.RED, Color(2).hex, Color["GREEN"], repr(Color.RED))
print(Permission.R | Permission.X, Permission.R in (Permission.R | Permission.W), bool(Permission(0)))
print(Level.HIGH > 1, sorted(Level, reverse=True), f"{Level.LOW.value}")
try:
    @unique
    class Bad(Enum):
        A = 1
        B = 1
except ValueError as exc:
    print(exc)
try:
    Color(99)
except ValueError as exc:
    print(exc)
