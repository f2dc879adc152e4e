"""fork: every job runs in a copy-on-write child of the warm process.

This process compiles and runs no job code itself and has one thread. It supervises the
child from outside: the wall-clock limit, what the child used, how it ended, and the end
of every process that it left behind.
"""

import _ctypes
import gc
import importlib
import os
import resource
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MAX_MESSAGE = 32 << 20          # bytes of a child's result
STRAY_PATIENCE = 5_000_000_000  # ns in which what a job left behind has to die

clock = time.monotonic_ns
fork, wait4, waitpid, kill, close = os.fork, os.wait4, os.waitpid, os.kill, os.close
POLLIN, POLLHUP = select.POLLIN, select.POLLHUP
prctl_address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")

cpu_seconds = None
reseed = None


def prctl(option, value):
    # Importing ctypes itself would cost every child more pages.
    if _ctypes.call_function(prctl_address, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {value}) failed")


def start(options):
    """Once, before the first job: what every child shares."""
    global cpu_seconds, reseed
    options = options or {}
    for name in options.get("preload") or ():
        preload(name)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        reseed = numpy.random.seed
    cpu_seconds = options.get("cpu_seconds")
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The end of the control pipe says that the worker is gone; there is a job's
    # processes to end then, which a SIGKILL would not leave time for.
    prctl(PR_SET_PDEATHSIG, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    close(os.pidfd_open(os.getpid()))  # needs Linux 5.3
    gc.collect()
    gc.freeze()


def preload(name):
    try:
        importlib.import_module(name)
    except Exception as exc:
        sys.exit(f"cannot preload {name}: {type(exc).__name__}: {exc}: "
                 "install it for this Python, or take it out of preload")


def run(job):
    receiver, sender = os.pipe2(os.O_CLOEXEC)
    deadline = clock() + job.timeout if job.timeout else None
    child = fork()
    if child == 0:
        run_child(job, receiver, sender)
    close(sender)
    forked = Forked()
    try:
        supervise(child, receiver, deadline, forked)
    finally:
        close(receiver)
    _, status, usage = wait4(child, 0)
    forked.ended(status, usage)
    if not end_descendants():
        job.taint("processes that a job left behind can't be ended")
    return forked


# ---- the child -------------------------------------------------------------------

def run_child(job, receiver, sender):
    """Never returns: the process ends with the job."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        parent, harness.PID = harness.PID, os.getpid()
        if os.getppid() != parent:
            os._exit(1)
        close(receiver)
        harness.adopt_result(sender)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if cpu_seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        if reseed is not None:
            reseed()
        done = harness.run_in_process(job, execute)
        harness.send_raw(harness.encode_child(done))
        os._exit(0)
    finally:
        # Only a fault of the plumbing comes here; without a completion it counts as
        # a crash.
        os._exit(1)


def execute(job, done):
    main = harness.new_main(job)
    harness.run_code(job, done, main)
    return main


# ---- the supervisor --------------------------------------------------------------

class Forked:
    """How a child ended, and what it said. It is a job's outcome in place of a
    Completion."""

    def __init__(self):
        self.parts = []
        self.size = 0
        self.timed_out = self.flooded = False

    def ended(self, status, usage):
        self.exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.cpu = int((usage.ru_utime + usage.ru_stime) * 1e9)
        self.rss = usage.ru_maxrss << 10

    def limit(self):
        if self.timed_out:
            return "wall"
        # What ignores SIGXCPU gets SIGKILL a second later. The limit counts in ticks,
        # which may run ahead of the time that was used.
        if cpu_seconds and (self.signal == signal.SIGXCPU or
                            self.signal == signal.SIGKILL and self.cpu >= cpu_seconds * 0.8e9):
            return "cpu"
        return ""

    def report(self, job, module_count):
        head = harness.encode_forked(
            job.nonce, self.cpu, self.rss, module_count, job.taints,
            self.exit_code, self.signal, self.limit(), self.flooded)
        return b"".join([head.encode(), *self.parts])


def supervise(child, receiver, deadline, forked):
    """Return when the child has ended or was killed; what it sent is in forked."""
    os.set_blocking(receiver, False)
    watch = os.pidfd_open(child)
    poll = select.poll()
    poll.register(receiver, POLLIN)
    poll.register(watch, POLLIN)
    poll.register(harness.control_fd, POLLHUP)
    try:
        while True:
            wait = None
            if deadline is not None:
                wait = max(deadline - clock(), 0) / 1e6
            events = dict(poll.poll(wait))
            if harness.control_fd in events:
                abandon(child)
            if receiver in events and not take(receiver, forked):
                poll.unregister(receiver)
            if watch in events:
                take(receiver, forked)
                return
            if forked.flooded or not events and deadline is not None:
                forked.timed_out = not forked.flooded
                kill(child, signal.SIGKILL)
                return
    finally:
        close(watch)


def take(receiver, forked):
    """Read what is there; False at its end."""
    while True:
        try:
            piece = os.read(receiver, 1 << 16)
        except BlockingIOError:
            return True
        if not piece:
            return False
        forked.parts.append(piece)
        forked.size += len(piece)
        if forked.size > MAX_MESSAGE:
            forked.parts.clear()
            forked.flooded = True
            return False


def abandon(child):
    """The worker is gone, or wants this process and all that it started to end."""
    kill(child, signal.SIGKILL)
    end_descendants()
    os._exit(0)


def end_descendants():
    """Kill and reap every process that descends from this one; False when some won't go.

    Whose parent dies becomes a child of this process, the subreaper, so that round
    after round reaches all of them.
    """
    give_up = None
    while True:
        try:
            reaped, _ = waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if reaped:
            continue
        if give_up is None:
            give_up = clock() + STRAY_PATIENCE
        elif clock() > give_up:
            return False
        for stray in children():
            try:
                kill(stray, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.0002)


def children():
    own = harness.PID
    try:
        with open(f"/proc/self/task/{own}/children") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if parent_of(pid) == own]


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0
