import sys
import traceback


def fail():
    raise ValueError("told")


try:
    fail()
except ValueError:
    traceback.print_exc()
    print(traceback.format_exc().splitlines()[-1])
    kind, value, tb = sys.exc_info()
    print([(f.name, f.lineno, f.line) for f in traceback.extract_tb(tb)])
    traceback.print_exception(kind, value, tb, limit=1, file=sys.stdout)
print([f.name for f in traceback.extract_stack()][-1:], sys.exc_info())
traceback.print_stack(limit=1)
