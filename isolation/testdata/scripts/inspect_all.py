import inspect


def sample(a, b: int = 2, *args, key, **rest) -> str:
    """Doc of sample."""
    return inspect.currentframe().f_code.co_name


class K:
    """Doc of K."""

    def method(self):
        return 1


print(inspect.signature(sample), inspect.getdoc(sample), sample(1, key=2))
print(inspect.getsource(K.method), inspect.getsourcelines(sample)[1], inspect.getmodule(K).__name__)
print(inspect.isfunction(sample), [n for n, _ in inspect.getmembers(K, inspect.isfunction)])
print(inspect.getfile(sample) == __file__ or inspect.getfile(sample).endswith("__main__.py"))
print(inspect.getsource(K))
