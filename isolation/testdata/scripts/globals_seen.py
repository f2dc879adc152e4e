x = 1


def f():
    global y
    y = x + 1
    return sorted(locals()), "x" in globals()


print(f(), y, globals() is f.__globals__, vars() is globals(), dir()[-2:])
print(sorted(n for n in globals() if n.startswith("__") and n.endswith("__")))
print(type(__builtins__), __builtins__.len is len, sorted(locals()) == sorted(globals()))
del x
print("x" in globals())
