def numbers():
    yield 1
    raise StopIteration("becomes RuntimeError")


print(list(zip(range(1), numbers())))
list(numbers())
