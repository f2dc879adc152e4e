import warnings


def old():
    warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)


warnings.warn("plain")
for _ in range(2):
    old()
warnings.warn("for the future", FutureWarning)
warnings.warn("hidden by default", PendingDeprecationWarning)
warnings.warn("resource", ResourceWarning)
