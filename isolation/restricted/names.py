"""The builtins of a restricted job."""

import builtins


class TypeOfTypes(type):
    """type with one argument; with three it would make classes of any names."""

    def __call__(cls, *args, **keywords):
        if len(args) != 1 or keywords:
            raise RestrictedNameError('"type" with more than one argument is refused')
        return class_of(args[0])

    def __instancecheck__(cls, ob):
        return is_class(ob)

    def __subclasscheck__(cls, ob):
        return issubclass(ob, type)

    def __repr__(cls):
        return "<class 'type'>"


class guarded_type(metaclass=TypeOfTypes):
    __slots__ = ()

    def __init_subclass__(cls, **keywords):
        raise RestrictedNameError("metaclasses are refused")


guarded_type.__name__ = guarded_type.__qualname__ = "type"
guarded_type.__module__ = TypeOfTypes.__module__ = "builtins"


def class_of(ob):
    """An object's class; metaclasses are not shown, for they make classes."""
    kind = type(ob)
    return guarded_type if issubclass(kind, type) else kind


build_class = builtins.__build_class__


def guarded_build_class(body, name, *bases, **keywords):
    if "metaclass" in keywords:
        raise RestrictedNameError("metaclasses are refused")
    for base in bases:
        if is_class(base) and issubclass(base, (type, super)):
            raise RestrictedNameError(f'the class "{base.__name__}" cannot be a base: refused')
    return build_class(body, name, *bases, **keywords)


def refused_builtin(name):
    def refused(*args, **keywords):
        raise RestrictedNameError(f'"{name}" is refused')

    refused.__name__ = refused.__qualname__ = name
    return refused


def guarded_exit(code=None):
    raise SystemExit(code)


REFUSED_BUILTINS = """
exec eval compile open globals locals breakpoint help memoryview aiter anext
""".split()

# Beside RestrictedPython's safe_builtins.
ADDED_BUILTINS = """
list dict set frozenset tuple bytes bytearray sum min max enumerate sorted reversed map filter
zip any all iter next bin ascii format object property staticmethod classmethod super print
input NotImplemented
""".split()


def restricted_builtins(safe):
    """What a job finds as builtins; safe is RestrictedPython's table."""
    table = {name: value for name, value in safe.items() if name[0] != "_"}
    for name, value in vars(builtins).items():
        if isinstance(value, type) and issubclass(value, BaseException) and "Group" not in name:
            table[name] = value
            PLAIN_CLASSES.add(value)
    for name in ADDED_BUILTINS:
        table[name] = getattr(builtins, name)
    for name in REFUSED_BUILTINS:
        table[name] = refused_builtin(name)
    table.update({
        "type": guarded_type, "getattr": guarded_getattr, "hasattr": guarded_hasattr,
        "setattr": guarded_setattr, "delattr": guarded_delattr, "dir": guarded_dir,
        "vars": guarded_vars, "exit": guarded_exit, "quit": guarded_exit,
        "__build_class__": guarded_build_class, "__import__": guarded_import,
        # What the rewritten code calls, under names that no source can spell.
        PUBLIC: get_public, PRIVATE: get_private, READABLE_NAME: get_readable, OWN: get_own,
        WRITE: writable,
    })
    return table
