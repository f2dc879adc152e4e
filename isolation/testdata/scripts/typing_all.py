import typing
from typing import Any, Callable, Generic, NamedTuple, Optional, Protocol, TypedDict, TypeVar, Union

T = TypeVar("T")


class Stack(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []


class Sized(Protocol):
    def __len__(self) -> int: ...


class Movie(TypedDict, total=False):
    title: str
    year: int


class Employee(NamedTuple):
    name: str
    id: int = 3


def f(a: int, b: "Optional[str]" = None, *args: Any, **kw: Union[int, str]) -> Callable[[int], None]: ...


print(typing.get_type_hints(f), Stack[int], Employee("x"), Movie(title="m"))
print(typing.get_origin(dict[str, int]), typing.get_args(Union[int, str]), Sized, T, f.__annotations__["a"])
x: int = 3
print(__annotations__)
