import gc
import weakref


class Node:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name)


a = Node("a")
ref = weakref.ref(a, lambda r: print("callback"))
print(ref() is a)
del a
print(ref())
x, y = Node("x"), Node("y")
x.other, y.other = y, x
weakref.finalize(x, print, "finalized x")
del x, y
print(gc.collect() > 0)
cache = weakref.WeakValueDictionary()
b = cache["b"] = Node("b")
print(list(cache))
del b
print(list(cache))
