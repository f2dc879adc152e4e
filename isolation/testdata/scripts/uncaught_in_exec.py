source = "x = 1\ny = x / 0\n"
print("executing")
exec(compile(source, "<generated>", "exec"))
