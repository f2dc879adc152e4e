namespace = {"a": 5}
exec("b = a * 2\ndef f(): return b + 1", namespace)
print(namespace["b"], namespace["f"](), eval("a + b", namespace), eval("[x for x in (1, 2)]"))
exec("made_here = 1")
print(made_here, "made_here" in globals(), "__builtins__" in namespace)
code = compile("1 + 2", "<string>", "eval")
print(eval(code), code.co_filename, callable(print), type(type))
