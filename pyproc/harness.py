"""molt's half inside the interpreter: frames, descriptors, and the plumbing of one job.

The isolation policy, a second source file, decides how a job is run. It finds this
module as the global `harness` and defines `run(job) -> Completion`. What every
in-process policy needs stands here: run_in_process, new_main, run_code, the
compiler that splits off a trailing expression, value encoding, exceptions.

doc.go in this folder describes the messages. Standard library alone, CPython 3.10+.
Functions are bound to names at import where a job's monkeypatching of a module
would otherwise break the plumbing of the jobs after it.
"""

import __future__
import _ast
import _thread
import atexit
import errno
import fcntl
import io
import json
import linecache
import os
import re
import resource
import signal
import sys
import time
import traceback
import types
import warnings

MAX_FRAME = 64 << 20
MAX_ERROR_TEXT = 64 << 10
MAX_SAFE_INT = 1 << 53
MAX_NESTING = 500
FILENAME = "__main__.py"

os_read, os_write, os_dup2, os_chdir, os_getpid = os.read, os.write, os.dup2, os.chdir, os.getpid
cpu_clock = time.process_time_ns
getrusage, RUSAGE_SELF = resource.getrusage, resource.RUSAGE_SELF
thread_count = _thread._count
exit_callbacks, run_exit_callbacks = atexit._ncallbacks, atexit._run_exitfuncs
getrecursionlimit, setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit
gettrace, getprofile = sys.gettrace, sys.getprofile
ModuleType, TracebackException = types.ModuleType, traceback.TracebackException
modules, environ = sys.modules, os.environ
source_cache = linecache.cache
scan_json = json.JSONDecoder().scan_once
quote = json.encoder.c_encode_basestring
encode_pieces = json.encoder.c_make_encoder(
    None, None, quote, None, ":", ",", False, False, False)
type_name = type.__dict__["__name__"].__get__
traceback_of = BaseException.__traceback__.__get__
float_repr, int_repr = float.__repr__, int.__repr__

CODE_TYPES = frozenset((types.FunctionType, type, types.ModuleType))
RECURSION_LIMIT = getrecursionlimit()
PID = os_getpid()
INTERNAL_FILES = {__file__}

# Set once by serve().
policy = None
output_cap = 0
job_dir = ""
control_fd = result_fd = null_fd = out_fd = err_fd = status_fd = statm_fd = -1
own_memory_limit = resource.getrlimit(resource.RLIMIT_AS)
PAGE_SIZE = resource.getpagesize()
in_job = False
streams_changed = False


class Job:
    """One request. `rest` is where its inputs begin in `frame`, if it has any."""

    __slots__ = ("frame", "rest", "nonce", "code", "stdin", "args", "env", "locals",
                 "purge", "memory", "started", "taints", "saved_env")

    def __init__(self, frame):
        request, self.rest = scan_json(frame, 0)
        self.frame = frame
        self.nonce = request["nonce"]
        self.code = request["code"]
        get = request.get
        self.stdin = get("stdin")
        self.args = get("args")
        self.env = get("env")
        self.locals = get("locals")
        self.purge = get("purge")
        self.memory = get("memory")
        self.started = False
        self.taints = None
        self.saved_env = None

    def taint(self, reason):
        """The interpreter must not run another job, because of reason."""
        self.taints = reason if self.taints is None else self.taints + "; " + reason


class Completion:
    """What became of a job. Class attributes are the values of a job that just ran."""

    outcome = "ok"
    exit_code = None
    value = None      # JSON text
    repr = None       # str
    error = None      # JSON text
    locals = None     # JSON text
    truncated = ()

    def cut(self, field):
        if field not in self.truncated:
            self.truncated = (*self.truncated, field)

    def encode(self):
        parts = ['{"outcome":"', self.outcome, '"']
        if self.value is not None:
            parts += (',"value":', self.value)
        if self.repr is not None:
            parts += (',"repr":', quote(self.repr))
        if self.error is not None:
            parts += (',"error":', self.error)
        if self.exit_code is not None:
            parts += (',"exit_code":', int_repr(self.exit_code))
        if self.locals is not None:
            parts += (',"locals":', self.locals)
        parts.append("}")
        return "".join(parts)


# ---- values ----------------------------------------------------------------

def carriable(value):
    """Whether a list or dict holds only what crosses unchanged, within the output cap.

    Level by level: cycles end at the nesting limit, shared references at the cap.
    """
    level, size = [value], 0
    for _ in range(MAX_NESTING + 1):
        below = []
        for item in level:
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is int:
                if not -MAX_SAFE_INT <= item <= MAX_SAFE_INT:
                    return False
            elif kind is float:
                if item - item != 0.0:
                    return False
            elif kind is list:
                size += len(item)
                if size > output_cap:
                    return False
                below += item
            elif kind is dict:
                size += len(item)
                if size > output_cap:
                    return False
                for key in item:
                    if type(key) is not str:
                        return False
                    size += len(key)
                below += item.values()
            elif item is not None and kind is not bool:
                return False
        if size > output_cap:
            return False
        if not below:
            return True
        level = below
    return False


def carry(value):
    """The JSON text of a value, or None where it can't be carried unchanged."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return int_repr(value) if -MAX_SAFE_INT <= value <= MAX_SAFE_INT else None
    if kind is float:
        return float_repr(value) if value - value == 0.0 else None
    if kind is str:
        if len(value) > output_cap:
            return None
        text = quote(value)
    elif kind is list or kind is dict:
        try:
            if not carriable(value):
                return None
            text = "".join(encode_pieces(value, 0))
        except (RecursionError, RuntimeError, ValueError, TypeError):
            # Another thread of the job may change the container meanwhile.
            return None
    else:
        return None
    if text.isascii():
        return text if len(text) <= output_cap + 2 else None
    try:
        return text if len(text.encode()) <= output_cap + 2 else None
    except UnicodeEncodeError:
        return None


def clean_text(text, cap):
    """An exact str with lone surrogates escaped, at most cap bytes in UTF-8; whether it was cut."""
    if type(text) is not str:
        text = str.__str__(text)
    if len(text) <= cap and text.isascii():
        return text, False
    raw = text[:cap + 1].encode("utf-8", "backslashreplace")
    if len(raw) <= cap:
        return raw.decode(), False
    return raw[:cap].decode("utf-8", "ignore"), True


def safe_repr(value, done):
    if value is None:
        return "None"
    try:
        text, cut = clean_text(repr(value), output_cap)
    except BaseException as exc:
        text, cut = clean_text(
            f"<unrepresentable {type_name(type(value))}: {type_name(type(exc))}>", output_cap)
    if cut:
        done.cut("repr")
    return text


def collect_locals(names, main, done):
    """The asked-for globals that can be carried, together within the output cap."""
    parts, size = [], 0
    namespace = main.__dict__
    for name in names:
        if name not in namespace:
            continue
        text = carry(namespace[name])
        if text is None:
            continue
        size += len(name) + len(text)
        if size > output_cap:
            done.cut("locals")
            break
        parts.append(quote(name) + ":" + text)
    return "{" + ",".join(parts) + "}"


# ---- compiling ---------------------------------------------------------------

FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag

# A last line of this form is a statement without a value for certain, given that
# what stands before it compiles by itself.
plain_statement = re.compile(
    r"(?:assert|raise|import|del|pass)\b|[A-Za-z_][\w.]*\s*(?://|\*\*|<<|>>|[-+*/%&|^@])?=(?!=)"
).match


def compile_job(source):
    """Compile a job to (code or None, code or None, whether the second is an expression).

    Splitting in text costs half as much as a detour through a syntax tree; where it
    isn't certain to mean the same, the tree decides. A failed attempt must not show
    the warnings that the second compilation shows again, so they are held back.
    """
    held = []
    show, warnings._showwarnmsg = warnings._showwarnmsg, held.append
    try:
        parts = split_text(source)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        parts = None
    finally:
        warnings._showwarnmsg = show
    if parts is None:
        return split_tree(source)
    for message in held:
        show(message)
    return parts


def split_text(source):
    """compile_job for the plain cases; None or a compile error means: not certain.

    The last line counts when it starts at column 0 and all before it compiles by
    itself, for then no bracket, string or continuation is open where it begins.
    """
    text = source.rstrip(" \t\n")
    if not text or "\r" in text:
        return None
    start = text.rfind("\n") + 1
    if text[start] in " \t\f#)]}@'\"\\" or text[start - 2:start] == "\\\n":
        return None
    cut = text.find(";", start)
    if cut >= 0:
        comment = text.find("#", start)
        if comment >= 0:
            # Without a quote before it, a comment begins here for certain.
            if text.find("'", start, comment) >= 0 or text.find('"', start, comment) >= 0:
                return None
            text = text[:comment].rstrip(" \t")
            if len(text) <= start:
                return None
            cut = text.find(";", start)
    if cut < 0:
        if plain_statement(text, start):
            if not start:
                return compile(text, FILENAME, "exec", 0, True), None, False
            prefix = compile(text[:start], FILENAME, "exec", 0, True)
            rest = compile("\n" * text.count("\n") + text[start:], FILENAME, "exec",
                           prefix.co_flags & FUTURE_FLAGS, True)
            return prefix, rest, False
        end, candidate = start, text[start:]
        padding = "\n" * text.count("\n")
    else:
        # `if x: a; b` is one statement.
        end = text.rfind(";")
        if text.find(":", 0, end) >= 0:
            return None
        candidate = text[end + 1:].lstrip(" \t")
        if not candidate:
            return None
        before = text[start:len(text) - len(candidate)]
        width = len(before) if before.isascii() else len(before.encode())
        # A form feed resets the indentation that the tokenizer sees, not the column.
        padding = "\n" * text.count("\n") + " " * (width - 1) + "\f"
    prefix, flags = None, 0
    if end:
        prefix = compile(text[:end], FILENAME, "exec", 0, True)
        flags = prefix.co_flags & FUTURE_FLAGS
    value = compile(padding + candidate, FILENAME, "eval", flags, True)
    if not value.co_names and len(value.co_consts) == 1 and type(value.co_consts[0]) is str:
        return None  # perhaps the docstring
    return prefix, value, True


def split_tree(source):
    """compile_job for every source, by its syntax tree."""
    try:
        tree = compile(source, FILENAME, "exec", _ast.PyCF_ONLY_AST, True)
        body = tree.body
        if not body or type(body[-1]) is not _ast.Expr:
            return compile(tree, FILENAME, "exec", 0, True), None, False
        last = body[-1].value
        if len(body) > 1 or type(last) is not _ast.Constant or type(last.value) is not str:
            body.pop()
        code = compile(tree, FILENAME, "exec", 0, True)
        value = compile(_ast.Expression(last), FILENAME, "eval",
                        code.co_flags & FUTURE_FLAGS, True)
        return code, value, True
    except SyntaxError as exc:
        if exc.text is None and exc.filename == FILENAME and exc.lineno:
            lines = source.split("\n")
            if exc.lineno <= len(lines):
                exc.text = lines[exc.lineno - 1] + "\n"
        raise
    except (RecursionError, MemoryError):
        # Trees nest deeper than the compiler itself does; then the value is lost.
        return compile(source, FILENAME, "exec", 0, True), None, False


# ---- one job in this process ---------------------------------------------------

class SourceLoader:
    """Lets linecache, traceback and inspect show the lines of a job."""

    __slots__ = ("source",)

    def __init__(self, source):
        self.source = source

    def get_source(self, name=None):
        return self.source

    def is_package(self, name=None):
        return False


def new_main(job):
    """A fresh `__main__` for the job, with its inputs bound."""
    main = ModuleType("__main__")
    namespace = main.__dict__
    namespace["__builtins__"] = builtins_module
    namespace["__file__"] = main_file
    namespace["__loader__"] = SourceLoader(job.code)
    source_cache.pop(FILENAME, None)
    source_cache.pop(main_file, None)
    modules["__main__"] = main
    if job.rest < len(job.frame):
        try:
            namespace.update(scan_json(job.frame, job.rest)[0])
        except StopIteration:
            raise ValueError("the inputs are not JSON") from None
    return main


def run_code(job, done, main):
    """Compile and run the job in main; the value of a trailing expression goes to done."""
    code, last, is_value = compile_job(job.code)
    namespace = main.__dict__
    if code is not None:
        exec(code, namespace)
    if is_value:
        value = eval(last, namespace)
        done.value = carry(value)
        done.repr = safe_repr(value, done)
    elif last is not None:
        exec(last, namespace)


def run_in_process(job, execute):
    """Run execute(job, done) -> module between the plumbing that belongs to a job.

    execute makes the job's module, compiles and runs it; what it raises is the job's.
    """
    global in_job
    enter(job)
    done = Completion()
    main = None
    job.started = in_job = True
    try:
        set_environment(job)
        if job.memory is not None:
            limit_memory(job)
        main = execute(job, done)
    except BaseException as exc:
        lift_memory_limit(job)
        uncaught(done, exc)
    lift_memory_limit(job)
    try:
        wind_down(job, done, main)
    except BaseException as exc:
        print_exception(exc)
    try:
        discard(main)
    except BaseException as exc:
        print_exception(exc)
    in_job = False
    main = None
    flush_streams()
    if os_getpid() != PID:
        # The job forked and both sides came back: this is the child, which ends
        # here as a script's would and must touch neither pipe.
        os._exit(exit_status(done))
    leave(job)
    return done


def exit_status(done):
    if done.exit_code is not None:
        return done.exit_code
    return 0 if done.outcome == "ok" else 1


def enter(job):
    global streams_changed
    os_chdir(job_dir)
    sys.argv = [FILENAME, *job.args] if job.args else [FILENAME]
    path = sys.path
    if type(path) is not list:
        path = sys.path = list(own_path)
    if not path or path[0] != job_dir:
        path.insert(0, job_dir)
    if job.purge:
        forget_job_modules()
    if streams_changed or not streams_intact():
        new_streams()
    if job.stdin is not None:
        open_stdin(job.stdin)
        streams_changed = True


def set_environment(job):
    if job.env:
        job.saved_env = saved = {name: environ.get(name) for name in job.env}
        for name in saved:
            environ[name] = job.env[name]


def limit_memory(job):
    """Let the process's address space grow by what the job may use, and no further.

    The job can lift that: the limit is for accidents, as all in the in-process modes.
    """
    size = int(os.pread(statm_fd, 64, 0).split()[0]) * PAGE_SIZE
    soft, hard = own_memory_limit
    limit = size + job.memory
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def lift_memory_limit(job):
    if job.memory is not None:
        try:
            resource.setrlimit(resource.RLIMIT_AS, own_memory_limit)
        except (OSError, ValueError) as exc:
            job.taint(f"the memory limit cannot be lifted: {exc}")


def wind_down(job, done, main):
    """What Python does when a script ends: threads, exit callbacks; then the asked-for globals."""
    if gettrace() is not None:
        sys.settrace(None)
    if getprofile() is not None:
        sys.setprofile(None)
    if getrecursionlimit() != RECURSION_LIMIT:
        setrecursionlimit(RECURSION_LIMIT)
    if thread_count():
        join_threads()
    if job.locals is not None:
        main = main or modules.get("__main__")
        if type(main) is ModuleType:
            done.locals = collect_locals(job.locals, main, done)
    if exit_callbacks():
        run_exit_callbacks()
        rearm_exit_callbacks()


def discard(main):
    """Give back what the job's module holds, now, while output is still the job's.

    A module that defines a function refers to itself and would wait for the garbage
    collector. Data goes first, so that destructors still find what they call.
    """
    modules["__main__"] = own_main
    if main is None or thread_count():
        return
    namespace = main.__dict__
    for name in [n for n, v in namespace.items() if type(v) not in CODE_TYPES]:
        if name[:2] != "__":
            namespace.pop(name, None)
    namespace.clear()


def leave(job):
    """Put back what the next job must find as it was; a descriptor that can't be is a taint."""
    saved = job.saved_env
    if saved is not None:
        for name, value in saved.items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
    try:
        os_dup2(null_fd, 0)
        os_dup2(out_fd, 1)
        os_dup2(err_fd, 2)
    except OSError as exc:
        job.taint(f"the standard streams cannot be put back: {exc}")


def join_threads():
    """Join the job's threads as threading._shutdown does, but so that more can follow."""
    threading = modules.get("threading")
    if threading is None:
        return
    main, current = threading.main_thread(), threading.current_thread()
    callbacks = list(getattr(threading, "_threading_atexits", ()))
    for callback in reversed(callbacks):
        try:
            callback()
        except BaseException as exc:
            print_exception(exc)
    set_flag("concurrent.futures.thread", "_shutdown")
    set_flag("concurrent.futures.process", "_global_shutdown")
    while True:
        alive = [t for t in threading.enumerate()
                 if t is not main and t is not current and not t.daemon and t.is_alive()]
        if not alive:
            return
        for thread in alive:
            thread.join()


def rearm_exit_callbacks():
    """Exit callbacks of cached modules ran once; the next job needs them again."""
    finalize = getattr(modules.get("weakref"), "finalize", None)
    if finalize is not None:
        finalize._shutdown = False
        finalize._registered_with_atexit = False
    logging = modules.get("logging")
    if logging is not None:
        atexit.register(logging.shutdown)
    util = modules.get("multiprocessing.util")
    if util is not None:
        util._exiting = False
        atexit.register(util._exit_function)


def set_flag(module, name):
    if hasattr(modules.get(module), name):
        setattr(modules[module], name, False)


def forget_job_modules():
    """Drop modules imported from the job's directory, and what was cached of it."""
    beneath = job_dir + "/"
    for name, module in list(modules.items()):
        try:
            places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
            if any(type(p) is str and (p == job_dir or p.startswith(beneath)) for p in places):
                del modules[name]
        except Exception:
            continue
    cache = sys.path_importer_cache
    for place in list(cache):
        if type(place) is str and (place == job_dir or place.startswith(beneath)):
            del cache[place]


# ---- exceptions ----------------------------------------------------------------

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
    """The traceback without molt's own frames at its ends: those that ran the job, and
    the signal handler or stream method that raised."""
    tb = traceback_of(exc)
    while tb is not None and tb.tb_frame.f_code.co_filename in INTERNAL_FILES:
        tb = tb.tb_next
    last = entry = tb
    while entry is not None:
        if entry.tb_frame.f_code.co_filename not in INTERNAL_FILES:
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
    BaseException.with_traceback(exc, tb)
    return tb


def format_exception(exc, tb):
    try:
        return "".join(TracebackException(type(exc), exc, tb).format())
    except BaseException as other:
        return (f"{type_name(type(exc))}: <cannot be formatted: "
                f"{type_name(type(other))}>\n")


def describe(done, exc, tb, text):
    kind = type(exc)
    try:
        name = kind.__qualname__
        if kind.__module__ not in ("__main__", "builtins"):
            name = f"{kind.__module__}.{name}"
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


# ---- standard streams ------------------------------------------------------------

class TextStream(io.TextIOWrapper):
    """A text stream that can be used again by the next job unless this one changed it."""

    def reconfigure(self, *args, **kwargs):
        global streams_changed
        streams_changed = True
        return super().reconfigure(*args, **kwargs)

    def detach(self):
        global streams_changed
        streams_changed = True
        return super().detach()


TextStream.__name__ = TextStream.__qualname__ = "TextIOWrapper"
TextStream.__module__ = "_io"


def open_stream(fd, name, mode, errors, line_buffering):
    raw = io.FileIO(fd, mode + "b", closefd=False)
    raw.name = name
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    stream = TextStream(buffer, "utf-8", errors, line_buffering=line_buffering)
    stream.mode = mode
    return stream


def new_streams():
    global own_in, own_out, own_err, streams_changed
    own_in = open_stream(0, "<stdin>", "r", "surrogateescape", False)
    own_out = open_stream(1, "<stdout>", "w", "surrogateescape", False)
    own_err = open_stream(2, "<stderr>", "w", "backslashreplace", True)
    sys.stdin = sys.__stdin__ = own_in
    sys.stdout = sys.__stdout__ = own_out
    sys.stderr = sys.__stderr__ = own_err
    streams_changed = False


def streams_intact():
    try:
        return (sys.stdout is own_out and sys.stderr is own_err and sys.stdin is own_in
                and not own_out.closed and not own_err.closed and not own_in.closed
                and len(own_out.__dict__) == 1 and len(own_err.__dict__) == 1)
    except BaseException:
        return False


def open_stdin(text):
    fd = os.memfd_create("stdin")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.lseek(fd, 0, os.SEEK_SET)
        os_dup2(fd, 0)
    finally:
        os.close(fd)
    sys.stdin = sys.__stdin__ = open_stream(0, "<stdin>", "r", "surrogateescape", False)


def flush_streams():
    global streams_changed
    out, err = sys.stdout, sys.stderr
    if out is not own_out or err is not own_err:
        streams_changed = True
        for stream in (out, err):
            try:
                stream.flush()
            except BaseException:
                pass
    try:
        own_out.flush()
    except BaseException:
        streams_changed = True
    try:
        own_err.flush()
    except BaseException:
        streams_changed = True


# ---- frames and descriptors --------------------------------------------------------

class ProtocolLost(BaseException):
    """The descriptors to the worker are gone."""


def receive():
    """The next request frame as text, or None at the end of the control pipe.

    A signal handler or a thread that a job left may raise into the idle interpreter;
    that must not end it.
    """
    data = b""
    while True:
        try:
            piece = os_read(control_fd, 65536)
        except OSError as exc:
            raise ProtocolLost(exc) from None
        except BaseException:
            continue
        if not piece:
            return None
        data = data + piece if data else piece
        if len(data) < 4:
            continue
        size = int.from_bytes(data[:4], "big")
        if size > MAX_FRAME:
            raise ProtocolLost(f"a request of {size} bytes")
        if len(data) < size + 4:
            data = receive_rest(data, size + 4)
            if data is None:
                return None
        return str(data[4:], "utf-8")


def receive_rest(data, size):
    parts, have = [data], len(data)
    while have < size:
        piece = os_read(control_fd, min(size - have, 1 << 20))
        if not piece:
            return None
        parts.append(piece)
        have += len(piece)
    return b"".join(parts)


def send(text):
    body = text.encode("utf-8", "backslashreplace")
    if len(body) > MAX_FRAME:
        raise ProtocolLost(f"a report of {len(body)} bytes")
    data = len(body).to_bytes(4, "big") + body
    try:
        sent = os_write(result_fd, data)
        while sent < len(data):
            data = data[sent:]
            sent = os_write(result_fd, data)
    except OSError as exc:
        raise ProtocolLost(exc) from None


def encode_report(nonce, completion, cpu, rss, module_count, taint=None, truncated=()):
    extra = ""
    if taint is not None:
        extra = ',"taint":' + quote(clean_text(taint, 1000)[0])
    if truncated:
        extra += ',"truncated":[' + ",".join(map(quote, truncated)) + "]"
    return (f'{{"nonce":{quote(nonce)},"cpu_ns":[{cpu[0]},{cpu[1]}],"rss_bytes":{rss},'
            f'"modules":{module_count}{extra},"completion":{completion}}}')


def encode_failure(nonce, reason, started):
    return (f'{{"nonce":{quote(nonce)},"failed":{quote(clean_text(reason, 2000)[0])},'
            f'"started":{"true" if started else "false"}}}')


def encode_ready():
    return json.dumps({
        "ready": True, "pid": PID, "version": "%d.%d.%d" % sys.version_info[:3],
        "implementation": sys.implementation.name, "executable": sys.executable or "",
        "modules": len(modules), "cpu_ns": [0, cpu_clock()], "rss_bytes": peak_rss()})


def peak_rss():
    """VmHWM in bytes; ru_maxrss would report the parent's peak from before the exec."""
    text = os.pread(status_fd, 8192, 0)
    at = text.find(b"VmHWM:")
    return int(text[at + 6:text.index(b"kB", at)]) << 10 if at >= 0 else 0


def place_descriptors(control, result):
    """Move molt's descriptors above the numbers that jobs close in a loop.

    Above the soft limit on open files where the hard one allows: `os.closerange(3,
    soft)` misses them there. A very high number would make every fork copy a big
    table, so a soft limit beyond 4096 is ignored.
    """
    global control_fd, result_fd, null_fd, out_fd, err_fd, status_fd, statm_fd
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 16
    base = 4090 - needed
    raised = False
    if soft != resource.RLIM_INFINITY and soft <= 4096:
        base = soft
        if hard == resource.RLIM_INFINITY or hard >= soft + needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft + needed, hard))
            raised = True
        else:
            base = max(soft - needed, 16)

    def high(fd):
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, base)

    control_fd, result_fd, null_fd, out_fd, err_fd = map(high, (control, result, 0, 1, 2))
    status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    status_fd = high(status)
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    statm_fd = high(statm)
    for fd in (statm, status, control, result):
        os.close(fd)
    if raised:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def after_fork_in_child():
    """A fork made by a job can neither read requests nor write reports."""
    if in_job:
        for fd in (control_fd, result_fd):
            try:
                os.close(fd)
            except OSError:
                pass


def on_interrupt(signum, frame):
    """SIGINT interrupts a job as usual and an idle interpreter not at all."""
    if in_job:
        raise KeyboardInterrupt


# ---- the loop ------------------------------------------------------------------------

def serve(control, result, settings):
    """Run requests until the control pipe ends. Never returns."""
    global policy, output_cap, job_dir, main_file, own_main, own_path, builtins_module
    place_descriptors(control, result)
    output_cap = settings["output_cap"]
    job_dir = settings["job_dir"]
    main_file = job_dir + "/" + FILENAME
    builtins_module = modules["builtins"]
    own_main = modules["__main__"] = ModuleType("__main__")
    own_path = list(sys.path)
    new_streams()
    signal.signal(signal.SIGINT, on_interrupt)
    os.register_at_fork(after_in_child=after_fork_in_child)
    policy = ModuleType("molt_policy")
    policy.harness = own_module
    INTERNAL_FILES.add(settings["policy_name"])
    exec(compile(settings["policy"], settings["policy_name"], "exec"), policy.__dict__)
    send(encode_ready())
    try:
        loop(peak_rss(), getrusage(RUSAGE_SELF).ru_minflt)
    except ProtocolLost:
        # The worker sees that the pipe is closed and kills this process; an exit of
        # its own would look like the job's.
        while True:
            signal.pause()
    finally:
        if os_getpid() != PID:
            os._exit(1)
    os._exit(0)


def loop(rss, faults):
    run = policy.run
    before = cpu_clock()
    while True:
        frame = receive()
        if frame is None:
            return
        job = Job(frame)
        frame = None
        try:
            done = run(job)
            completion = done.encode()
        except ProtocolLost:
            raise
        except BaseException as exc:
            send(failure(job, exc))
            continue
        now = getrusage(RUSAGE_SELF).ru_minflt
        if now - faults > 256:
            rss, faults = peak_rss(), now
        after = cpu_clock()
        send(encode_report(job.nonce, completion, (before, after), rss, len(modules),
                           job.taints, done.truncated))
        before = after
        job = done = completion = None


def failure(job, exc):
    """The plumbing itself failed: say so, and whether the job may have run."""
    global in_job
    in_job = False
    if os_getpid() != PID:
        os._exit(1)
    text = format_exception(exc, traceback_of(exc))
    return encode_failure(job.nonce, text[-2000:], job.started)
