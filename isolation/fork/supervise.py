"""The parent's side of a fork: how long the child may take, and how it ended."""

import _ctypes
import os
import select
import signal
import sys
import time

MAX_MESSAGE = 32 << 20          # bytes of a child's result
STRAY_PATIENCE = 5_000_000_000  # ns in which what a job left behind has to die
READ_SIZES = (448, 1 << 16)     # the first is for what lies in Python's own small blocks
QUIET_MS = 5                    # how long only the end of a child is waited for
LONG_MS = 1 << 30               # poll takes no more than 25 days

clock = time.monotonic_ns
waitpid, kill, close = os.waitpid, os.kill, os.close
pipe2, pidfd_open, read, pread = os.pipe2, os.pidfd_open, os.read, os.pread
POLLIN, POLLHUP = select.POLLIN, select.POLLHUP
PIPE_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
WIFSIGNALED, WTERMSIG, WEXITSTATUS = os.WIFSIGNALED, os.WTERMSIG, os.WEXITSTATUS

NONCE = slice(10, 26)           # see pyproc/doc.go: a request begins {"nonce":"…","timeout":…,
TIMEOUT = b'"timeout":'

children_fd = -1
poll = register = unregister = None


class Int(_ctypes._SimpleCData):
    _type_ = "i"


class Long(_ctypes._SimpleCData):
    _type_ = "l"


# Python's wait4 looks for the module resource each time, which is ten pages to touch.
libc_wait4 = _ctypes.dlsym(_ctypes.dlopen(None, 0), "wait4")
waited = (Int * 1)()    # its status
used = (Long * 18)()    # its struct rusage: user and system time, each as seconds and
                        # microseconds, then the peak in KiB
waited_at, used_at = _ctypes.byref(waited), _ctypes.byref(used)


def open_watch():
    """What is kept open for every job: the poll set, and the list of children."""
    global children_fd, poll, register, unregister
    close(pidfd_open(harness.PID))  # needs Linux 5.3
    try:
        low = os.open(f"/proc/self/task/{harness.PID}/children", os.O_RDONLY | os.O_CLOEXEC)
        children_fd = harness.high(low)
        close(low)
    except FileNotFoundError:
        pass  # a kernel without CONFIG_PROC_CHILDREN
    kept = select.poll()
    kept.register(harness.control_fd, POLLHUP)
    poll, register, unregister = kept.poll, kept.register, kept.unregister


def answer(frame):
    """Run the job of a request in a child; the bytes that answer it."""
    nonce = str(frame[NONCE], "ascii")
    deadline = None
    if frame.startswith(TIMEOUT, 28):
        deadline = clock() + int(frame[38:frame.index(b",", 38)])
    receiver, sender = pipe2(PIPE_FLAGS)
    child = own_fork()
    if child == 0:
        run_child(frame, receiver, sender)
    close(sender)
    if child < 0:
        close(receiver)
        raise OSError("cannot fork: the limit on processes is reached, or memory is short")
    forked = Forked()
    try:
        supervise(child, receiver, deadline, forked)
    finally:
        close(receiver)
    if call_c(libc_wait4, (child, waited_at, 0, used_at)) != child:
        raise OSError("the end of a job's process cannot be waited for")
    forked.ended(waited[0])
    taint = None
    if not end_descendants():
        taint = "processes that a job left behind can't be ended"
    elif not harness.restore_pipes():
        taint = "the pipes of the standard streams can't be put back"
    return forked.report(nonce, taint)


class Forked:
    """How a child ended, and what it said."""

    parts = ()
    size = exit_code = signal = 0
    timed_out = flooded = False

    def ended(self, status):
        if status:
            if WIFSIGNALED(status):
                self.signal = WTERMSIG(status)
            else:
                self.exit_code = WEXITSTATUS(status)
        self.cpu = ((used[0] + used[2]) * 1_000_000 + used[1] + used[3]) * 1000
        self.rss = used[4] << 10

    def report(self, nonce, taint):
        limit = limit_that_ended(self) if self.signal or self.timed_out else ""
        head = harness.encode_forked(
            nonce, self.cpu, self.rss, len(sys.modules), taint,
            self.exit_code, self.signal, limit, self.flooded)
        return b"".join((head.encode(), *self.parts))


def supervise(child, receiver, deadline, forked):
    """Return when the child has ended or was killed; what it sent is in forked.

    At first only its end is waited for: what it sends fits into the pipe, and whenever
    this process runs while the child lives, both copy pages.
    """
    watch = pidfd_open(child)
    register(watch, POLLIN)
    try:
        if deadline is None or deadline - clock() > QUIET_MS * 1_000_000:
            events = poll(QUIET_MS)
            if len(events) == 1 and events[0][0] == watch:
                take(receiver, forked)
                return
        supervise_long(child, watch, receiver, deadline, forked)
    finally:
        unregister(watch)
        close(watch)


def supervise_long(child, watch, receiver, deadline, forked):
    """The same for a child that takes longer: what it sends is read as it comes."""
    register(receiver, POLLIN)
    open_ended = True
    try:
        while True:
            wait = None
            if deadline is not None:
                wait = min(max(deadline - clock(), 0) / 1e6, LONG_MS)
            events = dict(poll(wait))
            if harness.control_fd in events:
                abandon(child)
            if receiver in events and not take(receiver, forked):
                open_ended = False
                unregister(receiver)
            if watch in events:
                if open_ended:
                    take(receiver, forked)
                return
            if forked.flooded or not events and deadline <= clock():
                forked.timed_out = not forked.flooded
                kill(child, signal.SIGKILL)
                return
    finally:
        if open_ended:
            unregister(receiver)


def take(receiver, forked):
    """Read what is there; False at its end."""
    size, more = READ_SIZES
    while True:
        try:
            piece = read(receiver, size)
        except BlockingIOError:
            return True
        if not piece:
            return False
        forked.parts += (piece,)
        forked.size += len(piece)
        if forked.size > MAX_MESSAGE:
            forked.parts = ()
            forked.flooded = True
            return False
        if len(piece) < size:
            return True  # the pipe is empty
        size = more


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
    if children_fd >= 0 and not pread(children_fd, 64, 0):
        return True
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
