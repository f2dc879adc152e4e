"""What a job raised, told as Python tells it at the end of a script."""

import io
import sys
import traceback

MAX_ERROR_TEXT = 64 << 10

TracebackException = traceback.TracebackException
library_excepthook = sys.excepthook
# Later versions do in Python what earlier ones do in C.
HINTS_IN_C = sys.version_info < (3, 12)
HINT = ". Did you mean: "
traceback_of = BaseException.__traceback__.__get__


def uncaught(done, exc):
    """Report what the job raised as Python does at the end of a script."""
    sys.settrace(None)
    sys.setprofile(None)
    if getrecursionlimit() != RECURSION_LIMIT:
        setrecursionlimit(RECURSION_LIMIT)
    done.value = done.repr = None
    kind = type(exc)
    if issubclass(kind, SystemExit):
        system_exit(done, exc)
        return
    done.outcome = "memory" if issubclass(kind, MemoryError) else "error"
    try:
        tb = job_frames(exc)
        text = format_exception(exc, tb)
        done.error = describe(done, exc, tb, text)
        show_exception(exc, tb, text)
    except BaseException as other:
        if done.error is None:
            done.error = ('{"type":%s,"message":%s}' % (
                quote(clean_text(type_name(kind), 1000)[0]),
                quote("cannot be described: " + clean_text(type_name(type(other)), 1000)[0])))


def system_exit(done, exc):
    done.outcome = "exit"
    try:
        code = exc.code
        if code is None:
            done.exit_code = 0
        elif isinstance(code, int):
            done.exit_code = int(code) & 0xFF
        else:
            done.exit_code = 1
            sys.stderr.write(str(code) + "\n")
    except BaseException:
        done.exit_code = 1


def job_frames(exc):
    """The traceback without molt's own frames: those that ran the job, and what the job
    called of them (a guard, a stream's method, a signal handler)."""
    entry, first, last = traceback_of(exc), None, None
    while entry is not None:
        following = entry.tb_next
        if entry.tb_frame.f_code.co_filename not in INTERNAL_FILES:
            if last is None:
                first = entry
            elif last.tb_next is not entry:
                last.tb_next = entry
            last = entry
        entry = following
    if last is not None:
        last.tb_next = None
    BaseException.with_traceback(exc, first)
    return first


def format_exception(exc, tb):
    try:
        told = TracebackException(type(exc), exc, tb)
        if HINTS_IN_C:
            add_hints(told, exc)
        return "".join(told.format())
    except BaseException as other:
        return (f"{type_name(type(exc))}: <cannot be formatted: "
                f"{type_name(type(other))}>\n")


def add_hints(told, exc):
    """Add the names that may have been meant, to what is told of exc and its causes."""
    while told is not None and exc is not None:
        if (type(exc) is NameError or type(exc) is AttributeError) and HINT not in told._str:
            told._str += hint(exc)
        if told.__cause__ is not None:
            told, exc = told.__cause__, exc.__cause__
        else:
            told, exc = told.__context__, exc.__context__


def hint(exc):
    """What Python's own printing adds to the message, for which the last frame is enough."""
    tb = last = traceback_of(exc)
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        BaseException.with_traceback(exc, last)
        library_excepthook(type(exc), exc, last)
        line = sys.stderr.getvalue().rstrip("\n").rpartition("\n")[2]
    finally:
        sys.stderr = stderr
        BaseException.with_traceback(exc, tb)
    at = line.rfind(HINT)
    return line[at:] if at >= 0 else ""


def describe(done, exc, tb, text):
    kind = type(exc)
    try:
        name, module = kind.__qualname__, kind.__module__
        if type(module) is str and module not in ("__main__", "builtins"):
            name = f"{module}.{name}"
    except BaseException:
        name = type_name(kind)
    try:
        message = str(exc)
    except BaseException as other:
        message = f"<str() failed: {type_name(type(other))}>"
    line = 0
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == FILENAME:
            line = tb.tb_lineno or line
        tb = tb.tb_next
    if not line and issubclass(kind, SyntaxError):
        try:
            if exc.filename == FILENAME and type(exc.lineno) is int:
                line = exc.lineno
        except BaseException:
            pass
    name, _ = clean_text(name, 1000)
    message, cut = clean_text(message, MAX_ERROR_TEXT)
    text, cut_text = clean_text(text, MAX_ERROR_TEXT)
    if cut or cut_text:
        done.cut("error")
    return (f'{{"type":{quote(name)},"message":{quote(message)},'
            f'"line":{int_repr(line)},"traceback":{quote(text)}}}')


def show_exception(exc, tb, text):
    """Print through sys.excepthook; Python's own hook can't see the job's source lines."""
    hook = sys.excepthook
    if hook is not sys.__excepthook__:
        try:
            hook(type(exc), exc, tb)
            return
        except BaseException as other:
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.stderr.write(format_exception(other, job_frames(other)))
            sys.stderr.write("\nOriginal exception was:\n")
    sys.stderr.write(text)


def print_exception(exc):
    try:
        sys.stderr.write(format_exception(exc, job_frames(exc)))
    except BaseException:
        pass
