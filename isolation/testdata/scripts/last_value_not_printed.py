x = {"a": 1}
print("a script shows no value of its last expression")
x
