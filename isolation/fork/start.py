"""fork: every job runs in a copy-on-write child of the warm process.

This process compiles and runs no job code itself and has one thread. It supervises the
child from outside: the wall-clock limit, what the child used, how it ended, and the end
of every process that it left behind (supervise.py). The child runs the job (child.py).

What a forked job costs is page faults: every page that the parent or the child touches
after the fork is one, and many are a copy. So both do little between the fork and the
end, and nothing that could be done before the first job.

The files of this folder share one namespace. A policy that runs something else in the
child comes after them and defines `execute(job, done) -> module` anew, and `start` around
this one where it has to prepare something.
"""

import _ctypes
import atexit
import gc
import importlib
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

call_c = _ctypes.call_function
libc_prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")
libc_fork = _ctypes.dlsym(_ctypes.dlopen(None, 0), "fork")

# What the standard library does in a child of a fork: renew locks that another thread may
# hold, forget other threads and event loops. There is one thread here and no loop, so
# that a child needs none of it. It would touch 200 pages.
NEEDLESS_MODULES = ("threading", "logging", "concurrent.futures.thread", "asyncio.events")

own_fork = os.fork      # or fork_plainly, see choose_fork
main_thread = None


def start(options):
    """Once, before the first job: what every child shares."""
    global main_thread
    options = options or {}
    for name in options.get("preload") or ():
        preload(name)
    prepare_randomness()
    threading = sys.modules.get("threading")
    if threading is not None:
        main_thread = threading.main_thread()
    forget_exit_callbacks()
    choose_fork()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The end of the control pipe says that the worker is gone; there is a job's
    # processes to end then, which a SIGKILL would not leave time for.
    prctl(PR_SET_PDEATHSIG, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    harness.keep_raised()
    sys.argv = [harness.FILENAME]
    sys.path.insert(0, harness.job_dir)
    rehearse()
    set_limits(options)
    open_watch()
    gc.collect()
    gc.freeze()


def preload(name):
    try:
        importlib.import_module(name)
    except Exception as exc:
        sys.exit(f"cannot preload {name}: {type(exc).__name__}: {exc}: "
                 "install it for this Python, or take it out of preload")


def prctl(option, value):
    # Importing ctypes itself would cost every child more pages.
    if call_c(libc_prctl, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {value}) failed")


def fork_plainly():
    """A fork without what Python does around one, see NEEDLESS_MODULES."""
    return call_c(libc_fork, ())


def choose_fork():
    """Fork plainly, unless a module has a callback for forks that isn't known."""
    global own_fork

    def before(): pass
    def in_parent(): pass
    def in_child(): pass

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
    ours = (before, in_parent, in_child)
    # Where the interpreter keeps the callbacks; it has no function to ask for them.
    kept = [one for function in ours for one in gc.get_referrers(function) if type(one) is list]
    if len(kept) == 3 and all(f in ours or needless(f) for one in kept for f in one):
        own_fork = fork_plainly
    for one, function in zip(kept, ours):
        one.remove(function)


def needless(callback):
    """Whether a child of this process can do without this callback."""
    if getattr(callback, "__module__", None) in NEEDLESS_MODULES:
        return True
    owner = getattr(callback, "__self__", None)
    if owner is None:
        return callback is harness.after_fork_in_child
    if owner is random_generator:
        return True  # see reseed
    executors = sys.modules.get("concurrent.futures.thread")
    return owner is getattr(executors, "_global_shutdown_lock", executors)


def forget_exit_callbacks():
    """The end of a job is not the end of what was made before it.

    A module that was imported before may have registered the removal of a directory of
    its own, which the first job would remove for all. What the standard library does
    for the job's own things stays.
    """
    atexit._clear()
    finalize = getattr(sys.modules.get("weakref"), "finalize", None)
    for info in getattr(finalize, "_registry", {}).values():
        info.atexit = False
    harness.rearm_exit_callbacks()
