a = 1; b = 2; print(a + b)
c = a + \
    b
if c: print("c"); print("d")
print("long",
      # a comment inside
      "call"); x = [
    1,
]; print(x)
