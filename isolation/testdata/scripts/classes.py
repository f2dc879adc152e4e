class Meta(type):
    registry = []

    def __new__(mcs, name, bases, namespace, **options):
        cls = super().__new__(mcs, name, bases, namespace)
        mcs.registry.append((name, options))
        return cls


class Base(metaclass=Meta):
    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__()
        cls.tag = cls.__name__.lower()

    def __repr__(self):
        return f"<{type(self).__qualname__} {self.tag}>"


class Left(Base, answer=42):
    def who(self):
        return ["left"] + super().who()


class Right(Base):
    def who(self):
        return ["right"]


class Both(Left, Right):
    __slots__ = ("x",)

    def who(self):
        return ["both"] + super().who()


print(Both(), Both().who(), [c.__name__ for c in Both.__mro__])
print(Meta.registry)
print(Both.__module__, Both.who.__qualname__, Both)
