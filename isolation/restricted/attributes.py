"""What a restricted job may read and write of an object: the guards that its code calls.

Names decide first. rewrite.py leaves no attribute with two underscores in front and behind
but those of READABLE, and none that leads to frames or code. What is left:

- names of NATIVE are methods of plain containers, numbers and strings and stay as written;
- other public names are looked up here, and what must not be seen is not handed out;
- a single underscore in front is the job's own business: on objects whose classes are the
  job's and Python's plain ones, and nowhere else;
- `format` of a string is replaced, since its text can name any attribute.

"Own" is what the job's code made: a class whose module is __main__, its instances, and
functions whose globals are the job's. Nothing in a job can give another class that name.
"""

import types

FunctionType, BuiltinType = types.FunctionType, types.BuiltinFunctionType
type_module = type.__dict__["__module__"].__get__
type_mro = type.__dict__["__mro__"].__get__
type_table = type.__dict__["__dict__"].__get__

# The namespace of the job at hand.
job_namespace = None


class RestrictedAttributeError(AttributeError):
    """An attribute that jobs may not touch."""


class RestrictedNameError(NameError):
    """A builtin that jobs may not use."""


for _kind in (RestrictedAttributeError, RestrictedNameError):
    _kind.__module__ = "builtins"

# Methods that classes of a job may define and call by name.
METHODS = frozenset(f"__{_name}__" for _name in """
init new post_init repr str bytes format hash bool call len length_hint contains iter next
reversed getitem setitem delitem missing enter exit getattr lt le eq ne gt ge
add radd iadd sub rsub isub mul rmul imul matmul rmatmul imatmul truediv rtruediv itruediv
floordiv rfloordiv ifloordiv mod rmod imod divmod rdivmod pow rpow ipow lshift rlshift ilshift
rshift rrshift irshift and rand iand or ror ior xor rxor ixor neg pos abs invert
int float complex index round trunc floor ceil copy deepcopy set_name class_getitem
""".split())
LABELS = frozenset(("__name__", "__qualname__", "__doc__"))
READABLE = (METHODS | LABELS) - {"__getattr__", "__set_name__", "__class_getitem__"}

# Public names that lead from an object to frames, code or types' tables; refused on all.
HIDDEN = frozenset(
    name
    for kind in (types.FrameType, types.TracebackType, types.GeneratorType, types.CoroutineType,
                 types.AsyncGeneratorType, types.CodeType, types.CellType, types.FunctionType)
    for name in vars(kind) if name[0] != "_"
) - {"send", "throw", "close", "clear", "replace"}

# Public names that must be the job's own: an AttributeError's object, types' tables, and
# what writes to classes of the library.
OWN_ONLY = frozenset(("obj", "mro", "register", "format", "format_map"))

# Methods that are looked up as written.
NATIVE = frozenset(
    name
    for kind in (str, bytes, bytearray, list, dict, set, frozenset, tuple, int, float, complex,
                 range)
    for name in vars(kind) if name[0] != "_"
) - OWN_ONLY - HIDDEN

# What no attribute is allowed to be.
UNSEEN = frozenset((types.ModuleType, types.FrameType, types.CodeType, types.TracebackType,
                    types.CellType, types.MappingProxyType))

NAMED_TUPLE = frozenset(("_make", "_replace", "_asdict", "_fields"))
WRITABLE = {types.SimpleNamespace}

# Classes without private names that lead anywhere.
PLAIN_CLASSES = {object, int, float, complex, str, bytes, bytearray, list, dict, set, frozenset,
                 tuple, property, BaseException}


def is_own_class(cls):
    return type_module(cls) == "__main__"


def is_class(ob):
    return issubclass(type(ob), type)


def is_own_function(ob):
    return type(ob) is FunctionType and ob.__globals__ is job_namespace


def refuse_attribute(name, why="is refused"):
    raise RestrictedAttributeError(f'the attribute "{name}" {why}')


def get_public(ob, name):
    """ob.name for a public name that leads nowhere by itself."""
    value = getattr(ob, name)
    if type(value) in UNSEEN:
        refuse_attribute(name, f"is a {type(value).__name__}, which is refused")
    return value


def get_readable(ob, name):
    """ob.name for the special methods that may be called by name."""
    if name == "__class__":
        return class_of(ob)
    return get_public(ob, name)


def get_own(ob, name):
    """ob.name for a name of OWN_ONLY."""
    if name == "format" or name == "format_map":
        return safe_method(getattr(ob, name), name)
    if not defined_by_job(ob, name):
        refuse_attribute(name, "is refused but on objects of the job's own")
    return get_public(ob, name)


def get_private(ob, name):
    """ob.name for a name with an underscore in front."""
    cls = ob if is_class(ob) else type(ob)
    if not (is_trusted(cls) or name in NAMED_TUPLE and issubclass(cls, tuple)
            or defining_class(cls, name) is not None and is_own_class(defining_class(cls, name))):
        refuse_attribute(name, "is private and refused but on objects of the job's own")
    return get_public(ob, name)


def defined_by_job(ob, name):
    """Whether a name was given to an object by the job: by its class, or as an attribute."""
    cls = ob if is_class(ob) else type(ob)
    definer = defining_class(cls, name)
    if definer is not None:
        return is_own_class(definer)
    return (cls is not ob and (is_own_class(cls) or cls in WRITABLE)
            and name in getattr(ob, "__dict__", ()))


def defining_class(cls, name):
    """The class among cls and its bases that has a name, or None."""
    for base in type_mro(cls):
        if name in type_table(base):
            return base
    return None


def is_trusted(cls):
    """Whether a class and all its bases are the job's own or plain."""
    for base in type_mro(cls):
        if type_module(base) != "__main__" and base not in PLAIN_CLASSES:
            return False
    return True


def guarded_getattr(ob, name, *default):
    """getattr: the name comes at run time, so all the rules are applied here."""
    if type(name) is not str:
        raise TypeError("attribute name must be string, not '" + type(name).__name__ + "'")
    try:
        return attribute_getter(name)(ob, name)
    except RestrictedAttributeError:
        raise
    except AttributeError:
        if default:
            return default[0]
        raise


def attribute_getter(name):
    """The guard that fits a name."""
    if name[:1] == "_":
        if name in READABLE or name == "__class__":
            return get_readable
        if is_special(name):
            refuse_attribute(name)
        return get_private
    if name in HIDDEN:
        refuse_attribute(name)
    return get_own if name in OWN_ONLY else get_public


def is_special(name):
    return name[:2] == "__" and name[-2:] == "__" and len(name) > 4


def guarded_hasattr(ob, name):
    try:
        guarded_getattr(ob, name)
    except AttributeError:
        return False
    return True


def writable(ob):
    """ob, whose attributes may be written."""
    kind = type(ob)
    if (type_module(kind) == "__main__" or kind in WRITABLE or is_own_function(ob)
            or issubclass(kind, type) and is_own_class(ob) or issubclass(kind, BaseException)):
        return ob
    what = f"the class {ob.__name__}" if issubclass(kind, type) else f"an object of type {kind.__name__}"
    raise RestrictedAttributeError(f"writing an attribute of {what} is refused: it is not the job's own")


def checked_name(name):
    if type(name) is not str:
        raise TypeError("attribute name must be string, not '" + type(name).__name__ + "'")
    if is_special(name) and name not in LABELS:
        refuse_attribute(name)
    return name


def guarded_setattr(ob, name, value):
    setattr(writable(ob), checked_name(name), value)


def guarded_delattr(ob, name):
    delattr(writable(ob), checked_name(name))


def guarded_dir(*of):
    names = dir(*of) if of else job_namespace
    return sorted(name for name in names if name[:1] != "_" and name not in HIDDEN)


def guarded_vars(*of):
    """A copy of what the job's own object, or the job, holds."""
    if not of:
        return {name: value for name, value in job_namespace.items() if not is_special(name)}
    ob = of[0]
    if is_class(ob) or not (is_own_class(type(ob)) and is_trusted(type(ob)) or type(ob) in WRITABLE):
        refuse_attribute("__dict__", "is refused but as a copy, by vars() of an object of the job's own")
    return dict(ob.__dict__)
