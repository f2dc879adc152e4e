"""Functions and classes of the library that would reach around the guards, made anew.

Decorators that write to what they are given take only what the job made. Lookups by name
use the guards. What belongs to the process, the random generator's state or the standard
streams, is the job's own.
"""

import abc
import dataclasses
import enum
import functools
import keyword
import random
import sys
import typing

DECORATABLE = (property, staticmethod, classmethod, functools.cached_property)


def must_be_own(ob, what):
    if not (is_own_function(ob) or is_class(ob) and is_own_class(ob)
            or type(ob) in DECORATABLE or is_own_class(type(ob))):
        raise RestrictedAttributeError(f"{what} is refused on what the job did not make: it would be changed")
    return ob


def own_only(function, name):
    """A decorator of the library for what the job made."""
    def decorate(ob):
        return function(must_be_own(ob, name))

    return labeled(decorate, name)


def labeled(function, name):
    function.__name__ = function.__qualname__ = name
    return function


def wraps(wrapped, assigned=None, updated=None):
    def decorate(wrapper):
        if is_own_function(wrapper):
            for label in LABELS:
                try:
                    setattr(wrapper, label, get_readable(wrapped, label))
                except (AttributeError, TypeError):
                    pass
        return wrapper

    return decorate


def overload(function):
    return function


def attrgetter(*names):
    paths = [name.split(".") for name in names]

    def get(ob, path):
        for name in path:
            ob = guarded_getattr(ob, name)
        return ob

    if len(paths) == 1:
        return lambda ob: get(ob, paths[0])
    return lambda ob: tuple(get(ob, path) for path in paths)


def methodcaller(name, /, *args, **keywords):
    return lambda ob: guarded_getattr(ob, name)(*args, **keywords)


def dataclass(cls=None, /, **options):
    """Field names become part of code that the library runs: only real names pass."""
    def decorate(cls):
        if not (is_class(must_be_own(cls, "dataclass")) and is_own_class(cls)):
            raise TypeError("dataclass takes a class")
        for name in getattr(cls, "__annotations__", None) or ():
            check_field_name(name)
        return dataclasses.dataclass(cls, **options)

    return decorate if cls is None else decorate(cls)


def check_field_name(name):
    if (type(name) is not str or not name.isidentifier() or keyword.iskeyword(name)
            or is_special(name)):
        raise RestrictedNameError(f"the name {name!r} is refused for a field")


class GuardedEnumType(enum.EnumMeta):
    """Enum("Name", members) makes a class of the names that it is given."""

    def __call__(cls, value, *names, start=1, **keywords):
        if (not names and not keywords) or cls._member_map_:
            return super().__call__(value, *names)
        if len(names) != 1 or keywords.keys() - {"type"}:
            raise RestrictedNameError("an Enum is made of a name and its members; other arguments are refused")
        members = member_list(names[0], start)
        for name, _ in members:
            check_field_name(name)
        made = super().__call__(value, members, **keywords)
        made.__module__ = "__main__"
        return made


def member_list(names, start):
    if isinstance(names, str):
        names = names.replace(",", " ").split()
    names = list(names.items() if isinstance(names, dict) else names)
    if all(type(name) is str for name in names):
        return [(name, number) for number, name in enumerate(names, start)]
    return [tuple(pair) for pair in names]


def guarded_enums():
    made = {}
    for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"):
        base = getattr(enum, name, None)
        if base is not None:
            made[name] = GuardedEnumType(name, (base,), GuardedEnumType.__prepare__(name, (base,)))
            made[name].__module__ = "enum"
    return made


def guarded_stream(name, methods):
    """A stream of the process, by its methods only."""
    def method(key):
        def call(*args):
            return getattr(getattr(sys, name), key)(*args)
        return staticmethod(labeled(call, key))

    table = {key: method(key) for key in methods.split()}
    table["__slots__"] = ()
    if "readline" in table:
        readline = table["readline"]
        table["__iter__"] = lambda self: iter(readline, "")
    table["__getattr__"] = lambda self, key: refuse_attribute(key, "of a standard stream is refused")
    stream = type("TextIOWrapper", (), table)
    stream.__module__ = "builtins"
    return stream()


def view_content(cls):
    return {key: value.__func__ for key, value in vars(cls).items() if type(value) is staticmethod}


def job_random(cls):
    generator = random.Random()
    return {key: value if key == "Random" else getattr(generator, key)
            for key, value in view_content(cls).items()}


def job_sys(cls):
    return {**view_content(cls), "argv": list(sys.argv)}


OF_A_JOB = {"random": job_random, "sys": job_sys}


def replacements(module):
    """The replaced names of a module."""
    if module == "abc":
        return {"abstractmethod": own_only(abc.abstractmethod, "abstractmethod")}
    if module == "dataclasses":
        return {"dataclass": dataclass}
    if module == "enum":
        return guarded_enums()
    if module == "functools":
        return {"wraps": wraps, "total_ordering": own_only(functools.total_ordering, "total_ordering")}
    if module == "operator":
        return {"attrgetter": attrgetter, "methodcaller": methodcaller}
    if module == "sys":
        return {"argv": (), "exit": guarded_exit, "stdin": guarded_stream("stdin", "read readline readlines"),
                "stdout": guarded_stream("stdout", "write writelines flush"),
                "stderr": guarded_stream("stderr", "write writelines flush")}
    if module == "typing":
        decorators = {name: own_only(getattr(typing, name), name)
                      for name in ("final", "override", "runtime_checkable") if hasattr(typing, name)}
        return {**decorators, "overload": overload}
    return {}
