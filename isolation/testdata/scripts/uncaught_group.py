import sys

if sys.version_info < (3, 11):
    raise SystemExit("no exception groups")


def fail(kind, text):
    try:
        raise kind(text)
    except kind as exc:
        return exc


raise ExceptionGroup("several", [fail(ValueError, "a"), fail(TypeError, "b"),
                                 ExceptionGroup("inner", [KeyError("c")])])
