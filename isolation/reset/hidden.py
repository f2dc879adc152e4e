"""State that no dictionary shows: locks, counters, slots, classes of objects, frames."""

import _thread
import itertools
import re
import sys
import types

LockType, RLockType, Local = _thread.LockType, _thread.RLock, _thread._local
MemberDescriptor, MethodWrapper = types.MemberDescriptorType, type(object().__str__)
Count = itertools.count
make_count = itertools.count
is_locked, release_lock = LockType.locked, LockType.release
is_owned, release_owned = RLockType._is_owned, RLockType.release

locks, owned_locks = [], []
counters = []               # index of the dictionary, key, and how it counted at the baseline
slot_owners, slot_reads, slot_values = [], [], []
typed, types_of = [], []    # objects whose class a job may change, and their classes
own_functions, own_names = [], []


def keep_lock(lock):
    """A library's lock that nobody holds."""
    known.add(id(lock))
    if type(lock) is RLockType:
        owned_locks.append(lock)
    elif not is_locked(lock):
        locks.append(lock)


def restore_locks():
    """Release what the job still holds; a thread of its own that does is its own taint."""
    if any(map(is_locked, locks)):
        for lock in locks:
            if is_locked(lock):
                release_lock(lock)
    if any(map(is_owned, owned_locks)):
        for lock in owned_locks:
            while is_owned(lock):
                release_owned(lock)


def keep_counter(i, key, value):
    """What numbers threads, tasks and the like: itertools.count or its __next__."""
    method = type(value) is MethodWrapper
    count = value.__self__ if method else value
    if type(count) is Count:
        counters.append((i, key, repr(count)))


def restore_counters(job):
    for i, key, kept in counters:
        value = copies[i][key]
        method = type(value) is MethodWrapper
        if repr(value.__self__ if method else value) == kept:
            continue
        count = make_count(*map(int, re.findall(r"-?\d+", kept)))
        copies[i][key] = count.__next__ if method else count
        restore_dict(i, job)
        versions[i] = settle(detectors[i])


def keep_slots(value, kind):
    for base in kind.__mro__:
        if not base.__flags__ & HEAP_TYPE:
            continue
        for descriptor in list(type_dict(base).values()):
            if type(descriptor) is MemberDescriptor:
                slot_owners.append((value, descriptor))
                slot_reads.append(descriptor.__get__)
                slot_values.append(read_slot(descriptor.__get__, value))


def read_slot(read, value):
    try:
        return read(value)
    except AttributeError:
        return MISSING


def restore_slots():
    found = False
    for (value, descriptor), read, wanted in zip(slot_owners, slot_reads, slot_values):
        if read_slot(read, value) is not wanted:
            if wanted is MISSING:
                descriptor.__delete__(value)
                found = True
            else:
                try:
                    descriptor.__set__(value, wanted)
                    found = True
                except (AttributeError, TypeError):
                    pass  # one that only the library itself can write, in C
    return found


def keep_type(value):
    typed.append(value)
    types_of.append(type(value))


def restore_types():
    """Changing an object's class raises the audit event that tells of changed code."""
    if all(map(is_, map(type, typed), types_of)):
        return False
    for value, wanted in zip(typed, types_of):
        if type(value) is not wanted:
            object.__setattr__(value, "__class__", wanted)
    return True


def keep_policy():
    """This policy's own functions. Its variables change all the time."""
    for name, value in list(globals().items()):
        if type(value) is FunctionType and id(value) not in known:
            own_names.append(name)
            own_functions.append(value)
            keep_function(value)


def restore_policy():
    namespace = globals()
    if not all(map(is_, map(namespace.get, own_names), own_functions)):
        namespace.update(zip(own_names, own_functions))


def restore_frames():
    """The frames that outlive the job: no trace function, and the loop's own policy."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_trace is not None:
            frame.f_trace = None
        frame.f_trace_lines, frame.f_trace_opcodes = True, False
        # Locals of a running function can be changed from Python since 3.13.
        if WRITABLE_LOCALS and frame.f_code is loop_code and frame.f_locals["run"] is not run:
            frame.f_locals["run"] = run
        frame = frame.f_back


WRITABLE_LOCALS = sys.version_info >= (3, 13)
