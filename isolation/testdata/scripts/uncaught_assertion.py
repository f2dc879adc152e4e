x = [1, 2]
assert x == [1, 2], "equal"
assert len(x) == 3, f"{x} has {len(x)}"
