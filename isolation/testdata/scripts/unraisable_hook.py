# changes: sys.unraisablehook
import sys


class Bad:
    def __del__(self):
        1 / 0


sys.unraisablehook = lambda args: print("unraisable:", args.exc_type.__name__, args.object.__qualname__)
bad = Bad()
del bad
sys.unraisablehook = sys.__unraisablehook__
