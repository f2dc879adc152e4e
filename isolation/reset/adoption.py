"""What differs from the baseline at a moment, and what of it becomes part of the baseline."""


def code_changed():
    """Whether a function, class or method of the library is not the baseline's now.

    For modules imported at such a time what they saw is not the library.
    """
    for i in changed_dicts():
        current, copy = dicts[i], copies[i]
        ignored = skipped.get(id(current), ())
        for key in current.keys() | copy.keys():
            now, then = dict.get(current, key), copy.get(key)
            if now is not then and key not in ignored and (is_code(now) or is_code(then)):
                return True
    return False


def is_code(value):
    return callable(value) or isinstance(value, (staticmethod, classmethod, property))


def touched():
    """What differs from the baseline at this moment: dictionaries, lists and sets."""
    return ({i: dict(dicts[i]) for i in changed_dicts()},
            {i: current.copy() for i, current in enumerate(lists)
             if list_lengths[i] != len(current) or current != list_copies[i]},
            {i: current.copy() for i, current in enumerate(sets) if current != set_copies[i]})


def adopt_changes(before):
    """Changes that importing made to what was kept already belong to the baseline.

    before is what touched() was: that much the job had changed by itself.
    """
    old_dicts, old_lists, old_sets = before
    for i in changed_dicts():
        current, copy, old = dicts[i], copies[i], old_dicts.get(i)
        if old is None:
            copies[i] = dict(current)
            versions[i] = settle(detectors[i])
            continue
        for key, value in list(current.items()):
            if old.get(key, MISSING) is not value:
                copy[key] = value
    for i, current in enumerate(lists[:]):
        old = old_lists.get(i)
        if old is None:
            list_copies[i] = current.copy()
        else:
            seen = set(map(id, old))
            list_copies[i] += [value for value in current if id(value) not in seen]
        list_lengths[i] = len(list_copies[i])
    for i, current in enumerate(sets):
        set_copies[i] |= current - old_sets.get(i, frozenset())
