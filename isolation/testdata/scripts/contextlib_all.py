import contextlib
import io
import os


@contextlib.contextmanager
def tag(name):
    print(f"<{name}>")
    try:
        yield name
    except KeyError as exc:
        print("swallowed", exc)
    finally:
        print(f"</{name}>")


with tag("a") as a, tag("b"):
    print(a)
    raise KeyError("k")
with contextlib.ExitStack() as stack:
    stack.callback(print, "last")
    stack.enter_context(tag("c"))
    stack.push(contextlib.closing(io.StringIO()))
with contextlib.suppress(FileNotFoundError):
    os.remove("nothing")
with contextlib.redirect_stdout(io.StringIO()) as caught, contextlib.nullcontext():
    print("to memory")
print(repr(caught.getvalue()))
