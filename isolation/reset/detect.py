"""Cheap ways to see whether something changed since it was last looked at.

CPython up to 3.13 gives every dictionary a version that grows with each change. Reading
it costs 30 ns however large the dictionary is, and nobody's __eq__ is asked; comparing
entries costs that much for each. Where the version can't be read, entries are compared.
"""

import _ctypes
import gc
import sys
from operator import is_

MISSING = object()
Version = None           # how to read versions; None: not at all
instances_tell = False


class Compared:
    """A dictionary's "version" where Python keeps none: whether its entries are as saved."""

    __slots__ = ("current", "keys", "values")

    def __init__(self, current):
        self.current = current
        self.renew()

    def renew(self):
        self.keys, self.values = list(self.current), list(self.current.values())

    @property
    def value(self):
        return same_entries(self.current, self.keys, self.values)


def same_entries(current, keys, values):
    return (len(current) == len(keys) and all(map(is_, dict.__iter__(current), keys))
            and all(map(is_, dict.values(current), values)))


def version_type():
    """A ctypes integer that reads a dictionary's version at an address, or None."""
    if sys.version_info >= (3, 14):
        return None

    class Version(_ctypes._SimpleCData):
        _type_ = "Q"

    return Version if tells_changes(Version) else None


VERSION_OFFSET = 24


def tells_changes(kind):
    """Try it on a dictionary and a class: each change must show, and nothing else."""
    class Scratch:
        pass

    one = {"a": 1}
    of_one = version_at(kind, one)
    for change in (lambda: one.update(b=2), lambda: one.update(b=2.0),
                   lambda: one.pop("b"), one.clear, lambda: one.update(c=[])):
        before = of_one.value
        change()
        if of_one.value == before:
            return False
    before = of_one.value
    one.get("c"), list(one)
    return before == of_one.value and tells_stores(
        kind, Scratch, gc.get_referents(Scratch.__dict__)[0])


def tells_stores(kind, owner, table):
    """Whether storing an attribute shows, often enough for the store to be specialized."""
    version = version_at(kind, table)
    owner.x = -1
    for i in range(200):
        before = version.value
        owner.x = i
        if version.value == before:
            return False
    return True


def version_at(kind, table):
    return kind.from_address(id(table) + VERSION_OFFSET)


def tells_instances(kind):
    """Since 3.13 an object and its dictionary share the values, and no version tells."""
    class Scratch:
        pass

    scratch = Scratch()
    scratch.x = None
    return tells_stores(kind, scratch, scratch.__dict__)


def detector(current, of_instance=False):
    """An object whose `value` differs from now on when the dictionary was changed."""
    if Version is None or of_instance and not instances_tell:
        return Compared(current)
    return version_at(Version, current)


def settle(found):
    """The detector's value that means unchanged, taken now."""
    if type(found) is Compared:
        found.renew()
        return True
    return found.value
