"""What a job of its own process may use, and which limit ended it."""

import errno
import resource
import signal

cpu_seconds = file_size = None
limited = frozenset()   # names of the limits that are set

# What molt itself takes of a limit on the processes of a user: this one.
OWN_PROCESSES = 1


def set_limits(options):
    """The limits that a child inherits are set once, here."""
    global cpu_seconds, file_size, limited, layers
    cpu_seconds = options.get("cpu_seconds")
    names = []
    if cpu_seconds:
        names.append("cpu")
    if options.get("file_size"):
        # Python ignores the signal; at its default it ends whatever wrote too much.
        file_size = clipped(resource.RLIMIT_FSIZE, options["file_size"])
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        names.append("file_size")
    if options.get("open_files"):
        harness.open_files = clipped(resource.RLIMIT_NOFILE, options["open_files"])
        names.append("open_files")
    if options.get("processes"):
        resource.setrlimit(resource.RLIMIT_NPROC, clipped(
            resource.RLIMIT_NPROC, options["processes"] + OWN_PROCESSES))
        names.append("processes")
    limited = frozenset(names)
    if names:
        layers = [*globals().get("layers", ()), "limits: " + ", ".join(names)]


def clipped(kind, limit):
    """The soft and the hard limit: no more than this process may set."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    return limit, limit


def limit_child():
    """In the child: the limit that counts what a process itself has used."""
    if cpu_seconds:
        setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


def limit_of(exc):
    """The limit that an exception tells of, or None."""
    name = None
    if type(exc) is RuntimeError:
        if str(exc) == "can't start new thread":
            name = "processes"
    elif isinstance(exc, OSError):
        name = {errno.EMFILE: "open_files", errno.EFBIG: "file_size",
                errno.EAGAIN: "processes" if forking(exc) else None}.get(exc.errno)
    return name if name in limited else None


def forking(exc):
    """Whether an EAGAIN is of a fork: reading what isn't there yet gives the same. A
    fork is called by the last line that ran, or by what subprocess starts children with."""
    tb = exc.__traceback__
    while tb.tb_next is not None:
        tb = tb.tb_next
    names = tb.tb_frame.f_code.co_names
    return any(name in names for name in ("fork", "forkpty", "_fork_exec", "fork_exec", "posix_spawn"))


def limit_that_ended(forked):
    """Which limit ended a child by its signal, or ""."""
    if forked.timed_out:
        return "wall"
    if forked.signal == signal.SIGXFSZ and "file_size" in limited:
        return "file_size"
    # What ignores SIGXCPU gets SIGKILL a second later. The limit counts in ticks,
    # which may run ahead of the time that was used.
    if cpu_seconds and (forked.signal == signal.SIGXCPU or
                        forked.signal == signal.SIGKILL and forked.cpu >= cpu_seconds * 0.8e9):
        return "cpu"
    return ""
