import weakref


class Thing:
    pass


def broken(ref):
    raise KeyError("in a weakref callback")


def closing():
    try:
        yield 1
    finally:
        raise RuntimeError("while a generator is closed") from LookupError("a cause")


thing = Thing()
ref = weakref.ref(thing, broken)
del thing
generator = closing()
next(generator)
del generator


class Context:
    def __del__(self):
        def inner():
            assert False, "deep in __del__"
        inner()


Context()
print("the end")
