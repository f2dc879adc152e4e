"""The library's objects: what is kept of them at the baseline, and put back.

Kept are the dictionaries of modules, classes, functions and instances, the containers
among their values, and each function's code and defaults: whatever is reached from a
module's names in a few steps. Everything kept is referenced here, so ids stay valid.
"""

import functools
import gc
import types
import weakref
from itertools import chain
from operator import attrgetter

FunctionType, ModuleType = types.FunctionType, types.ModuleType
HEAP_TYPE, IMMUTABLE_TYPE = 1 << 9, 1 << 8
LruCache = type(functools.lru_cache(lambda: None))
DEPTH = 3

known = set()                       # ids of all that is kept
dicts, detectors, versions = [], [], []
copies = []                         # the dictionaries' entries
owners = []                         # the class whose dictionary it is, or None
skipped = {}                        # id of a dictionary: names that change by themselves
lists, list_copies, list_lengths = [], [], []
sets, set_copies = [], []
functions, function_dicts = [], []
function_code = [[], [], []]        # a column for each of CODE_FIELDS
function_labels = [[], [], [], [], [], []]
cells, cell_contents = [], []
caches = []                         # cache_clear of every lru_cache
classes, class_parts = [], []
abstract = []                       # classes with an ABC's registry

# Storing the first three raises an audit event; the others are found in thorough resets.
CODE_FIELDS = ("__code__", "__defaults__", "__kwdefaults__")
LABEL_FIELDS = ("__name__", "__qualname__", "__doc__", "__module__", "__dict__", "__annotations__")
code_getters, label_getters = list(map(attrgetter, CODE_FIELDS)), list(map(attrgetter, LABEL_FIELDS))
class_parts_of = attrgetter("__bases__", "__name__", "__qualname__")
type_dict = type.__dict__["__dict__"].__get__

# Their content goes with the objects that it is about.
WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)


def keep_module(module):
    """Keep a module's names and what they lead to."""
    if id(module) in known:
        return
    known.add(id(module))
    keep_type(module)
    namespace = ModuleType.__getattribute__(module, "__dict__")
    keep_dict(namespace, DEPTH)


def keep_dict(current, depth, owner=None, of_instance=False):
    if id(current) in known:
        return
    known.add(id(current))
    dicts.append(current)
    copies.append(dict(current))
    owners.append(owner)
    found = detector(current, of_instance)
    detectors.append(found)
    versions.append(settle(found))
    if depth:
        at = len(dicts) - 1
        for key, value in list(current.items()):
            if type(value) in COUNTS:
                keep_counter(at, key, value)
            else:
                keep(value, depth)


def keep(value, depth):
    """Keep what a name refers to, as far as its kind has state."""
    kind = type(value)
    if kind in LEAVES or id(value) in known:
        return
    if kind is FunctionType:
        keep_function(value)
    elif kind is dict:
        keep_dict(value, depth - 1)
    elif kind is list:
        keep_list(value, depth - 1)
    elif kind is set:
        known.add(id(value))
        sets.append(value)
        set_copies.append(value.copy())
    elif kind is staticmethod or kind is classmethod:
        keep(value.__func__, depth)
    elif kind is property:
        for function in (value.fget, value.fset, value.fdel):
            keep(function, depth)
    elif issubclass(kind, type):  # isinstance is true of list[int] in 3.10
        keep_class(value)
    elif kind is LockType or kind is RLockType:
        keep_lock(value)
    elif kind is LruCache:
        known.add(id(value))
        caches.append(value.cache_clear)
        keep_dict(value.__dict__, 1)
    elif depth > 0 and not isinstance(value, WEAK) and not issubclass(kind, ModuleType):
        keep_instance(value, kind, depth)


LEAVES = frozenset((int, float, complex, str, bytes, bool, type(None), tuple, frozenset, ModuleType,
                    types.BuiltinFunctionType, types.WrapperDescriptorType,
                    types.MethodDescriptorType, types.GetSetDescriptorType,
                    types.MemberDescriptorType, types.CodeType, types.FrameType))
COUNTS = (Count, MethodWrapper)
# Letting go of these runs no code.
INERT = frozenset((int, float, complex, str, bytes, bool, type(None)))


def keep_instance(value, kind, depth):
    """Keep the attributes of an object that a module holds, such as logging.root."""
    if not kind.__flags__ & HEAP_TYPE or kind.__module__ in OWN_MODULES:
        return
    try:
        if issubclass(kind, Local):
            attributes = value.__dict__  # this thread's
        else:
            attributes = object.__getattribute__(value, "__dict__")
    except Exception:
        attributes = None
    if isinstance(value, dict):
        keep_dict(value, 0)
    keep_slots(value, kind)
    known.add(id(value))
    instances.append(value)
    keep_type(value)
    if type(attributes) is dict:
        keep_dict(attributes, depth - 1, of_instance=True)


MAX_ROUNDS = 5
instances = []
OWN_MODULES = frozenset(("molt_harness", "molt_policy"))


def keep_list(current, depth):
    known.add(id(current))
    lists.append(current)
    list_copies.append(current.copy())
    list_lengths.append(len(current))
    if depth > 0:
        for value in current:
            keep(value, depth)


def keep_function(function):
    known.add(id(function))
    functions.append(function)
    for value in function.__defaults__ or ():
        keep(value, 1)
    for cell in function.__closure__ or ():
        if id(cell) not in known:
            keep_cell(cell)


def keep_function_fields():
    """The columns for the functions that were met since, in bulk; they may lead to more."""
    while len(functions) > len(function_labels[0]):
        new = functions[len(function_labels[0]):]
        start = len(function_labels[0])
        for getter, column in zip(code_getters + label_getters, function_code + function_labels):
            column.extend(map(getter, new))
        for attached in filter(None, function_code[2][start:]):
            keep_dict(attached, 1)
        for column in function_labels[4:]:
            function_dicts.extend(d for d in column[start:] if not d)
            for attached in filter(None, column[start:]):
                keep_dict(attached, 1)


def keep_cell(cell):
    known.add(id(cell))
    try:
        content = cell.cell_contents
    except ValueError:
        return
    cells.append(cell)
    cell_contents.append(content)
    keep(content, 1)


def keep_class(cls):
    known.add(id(cls))
    table = next(iter(gc.get_referents(type_dict(cls))), None)
    if type(table) is not dict:  # of a built-in type that nobody has used yet
        return
    if "_abc_impl" in table:
        abstract.append(cls)
    classes.append(cls)
    class_parts.append(class_parts_of(cls))
    keep_dict(table, 2, owner=cls)
    for base in cls.__bases__:
        if id(base) not in known:
            keep_class(base)


# ---- after a job

def changed_dicts():
    """The indices of the dictionaries that were touched."""
    now = [d.value for d in detectors]
    if now == versions:
        return ()
    return [i for i, value in enumerate(now) if value != versions[i]]


def restore_dicts(job):
    """Whether putting back let go of anything that may have a finalizer."""
    found = False
    for i in changed_dicts():
        found = restore_dict(i, job) or found
        versions[i] = settle(detectors[i])
    return found


def restore_dict(i, job):
    current, copy, owner = dicts[i], copies[i], owners[i]
    ignored = skipped.get(id(current), ())
    added = [k for k in dict.keys(current) if k not in copy and k not in ignored]
    changed = [(k, v) for k, v in copy.items()
               if dict.get(current, k, MISSING) is not v and k not in ignored]
    gone = [dict.get(current, k) for k in chain(added, (k for k, _ in changed))]
    if owner is None:
        for key in added:
            dict.pop(current, key, None)
        for key, value in changed:
            dict.__setitem__(current, key, value)
        if (added or changed) and type(current) is not dict:
            resettle(current, copy)
    elif not owner.__flags__ & HEAP_TYPE or owner.__flags__ & IMMUTABLE_TYPE:
        if real_change(added, changed):
            job.taint(f"the built-in type {owner.__name__} was patched")
    else:
        for key in added:
            type.__delattr__(owner, key)
        for key, value in changed:
            type.__setattr__(owner, key, value)
        if added or changed:
            forget_subclass_checks()
    return not INERT.issuperset(map(type, gone))


def resettle(current, copy):
    """A dictionary with an order or size of its own is filled again by its own means."""
    current.clear()
    for key, value in copy.items():
        current[key] = value


def real_change(added, changed):
    """Built-in types fill in a few names by themselves."""
    lazy = {"__doc__", "__annotations__", "__abstractmethods__"}
    return not lazy.issuperset(added) or not lazy.issuperset(k for k, _ in changed)


def restore_lists():
    if [*map(len, lists)] == list_lengths and all(map(
            is_, chain.from_iterable(lists), chain.from_iterable(list_copies))):
        return False
    gone = []
    for current, copy in zip(lists, list_copies):
        if len(current) != len(copy) or not all(map(is_, current, copy)):
            gone += current
            current[:] = copy
    return not INERT.issuperset(map(type, gone))


def restore_sets():
    if sets == set_copies:
        return False
    for current, copy in zip(sets, set_copies):
        if current != copy:
            current.clear()
            current.update(copy)
    return True


def restore_functions(job, recoded, thorough):
    """recoded says that code or defaults may differ, thorough that labels may as well."""
    found = False
    if any(function_dicts):
        found = thorough = True
        for attached in function_dicts:
            attached.clear()
    if recoded:
        found = restore_columns(CODE_FIELDS, code_getters, function_code) or found
    if thorough:
        found = restore_columns(LABEL_FIELDS, label_getters, function_labels) or found
    if recoded or thorough:
        for cls, parts in zip(classes, class_parts):
            if class_parts_of(cls) != parts:
                found = True
                restore_class(cls, parts, job)
    return found


def restore_columns(fields, getters, columns):
    found = False
    for field, getter, column in zip(fields, getters, columns):
        if all(map(is_, map(getter, functions), column)):
            continue
        for function, wanted in zip(functions, column):
            if getter(function) is not wanted:
                found = True
                setattr(function, field, wanted)
    return found


def restore_cells():
    found = False
    for cell, content in zip(cells, cell_contents):
        try:
            if cell.cell_contents is content:
                continue
        except ValueError:
            pass
        found = True
        cell.cell_contents = content
    return found


def restore_class(cls, parts, job):
    try:
        cls.__bases__, cls.__name__, cls.__qualname__ = parts
    except Exception as exc:
        job.taint(f"the class {parts[1]} cannot be put back: {exc}")


def restore_objects(job, thorough):
    """The job's garbage goes first, and after whatever was put back: its finalizers may
    change things again. Nothing is left to run when nothing had to be put back."""
    restore_locks()
    for name in (harness.FILENAME, harness.main_file):
        dict.pop(harness.source_cache, name, None)  # the harness's own, for every job
    for _ in range(MAX_ROUNDS):
        gc_collect()
        if not restore_all(job, thorough):
            break
    else:
        job.taint("finalizers go on changing the library")
    restore_counters(job)
    for clear in caches:
        clear()


def restore_all(job, thorough):
    """Whether putting back let go of anything that may have a finalizer."""
    found = False
    recoded = "object.__setattr__" not in watch or "object.__delattr__" not in watch
    if recoded:
        found = restore_types()
    found = restore_dicts(job) or found
    found = restore_lists() or found
    found = restore_sets() or found
    found = restore_functions(job, recoded, thorough) or found
    found = restore_cells() or found
    return restore_slots() or found
