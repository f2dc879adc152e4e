values = {"a": [1, 2, 3]}
print("x")
total = sum(values["a"]) + values["a"][7] * len(
    values["b"])
