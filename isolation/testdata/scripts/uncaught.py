def deepest(x):
    return 10 / x


def middle(x):
    return deepest(x) + 1


print("before")
middle(0)
print("never")
