import atexit
import weakref


class Thing:
    pass


thing = Thing()
weakref.finalize(thing, print, "finalizer")
atexit.register(print, "first registered")
atexit.register(print, "second registered", sep="-")
print("body")
