import abc
import collections.abc


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

    @property
    @abc.abstractmethod
    def name(self): ...


class Square(Shape):
    name = "square"

    def area(self):
        return 4


print(Square().area(), sorted(Shape.__abstractmethods__), issubclass(Square, Shape))
try:
    Shape()
except TypeError as exc:
    print(exc)


class Countable(collections.abc.Sequence):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i >= 3:
            raise IndexError
        return i * 10


print(list(reversed(Countable())), 20 in Countable(), Countable().index(10))


class Duck:
    pass


Shape.register(Duck)
print(isinstance(Duck(), Shape))
