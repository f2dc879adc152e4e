"""What the kernel keeps for the process: signals, limits, identity, descriptors, children."""

import _signal
import ctypes
import os
import re
import resource
import time

LIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
SIGNALS = sorted(_signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP})
TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
NO_TIMER = (0.0, 0.0)

# The lines of /proc/self/status that change by themselves.
without_volatile = re.compile(
    rb"^(?:State|FDSize|SigQ|SigPnd|ShdPnd|Vm\w+|Rss\w+|HugetlbPages|(?:non)?voluntary\w+|"
    rb"THP_enabled|SigCgt|untag_mask|x86_\w+|Threads|Kthread):.*\n", re.M).sub

# glibc catches 32 and 33 from the first thread on.
THREADS_OWN_SIGNALS = 3 << 31

getsignal, set_signal, getitimer, setitimer = (
    _signal.getsignal, _signal.signal, _signal.getitimer, _signal.setitimer)
pthread_sigmask, set_wakeup_fd = _signal.pthread_sigmask, _signal.set_wakeup_fd
getrlimit, setrlimit = resource.getrlimit, resource.setrlimit
pread, listdir, fstat, close_fd, umask, stat = (
    os.pread, os.listdir, os.fstat, os.close, os.umask, os.stat)
os_getpgid, os_getsid, os_getpid = os.getpgid, os.getsid, os.getpid
get_priority, waitpid, kill, readlink = os.getpriority, os.waitpid, os.kill, os.readlink
get_blocking, set_blocking = os.get_blocking, os.set_blocking
get_inheritable, set_inheritable = os.get_inheritable, os.set_inheritable
sleep, monotonic = time.sleep, time.monotonic
WNOHANG, PRIO_PROCESS = os.WNOHANG, os.PRIO_PROCESS
SCHEDULING = tuple(f for f in (getattr(os, "sched_getscheduler", None),
                               getattr(os, "sched_getparam", None)) if f)
# Files of the process's that it may write itself. Only a few of them are always there.
SETTINGS = tuple("/proc/self/" + name for name in (
    "oom_score_adj", "timerslack_ns", "coredump_filter"))
os_open, os_write = os.open, os.write
NAMESPACES = ("mnt", "net", "uts", "ipc", "user", "cgroup", "pid_for_children")


def keep_process():
    global handlers, signal_mask, limits, own_fds, molts_fds, own_status, own_umask, os_threads
    global own_scheduling, own_places, own_environment, own_settings, own_name
    handlers = list(map(getsignal, SIGNALS))
    signal_mask = pthread_sigmask(_signal.SIG_BLOCK, ())
    limits = list(map(getrlimit, LIMITS))
    own_umask = umask(0o77)
    umask(own_umask)
    own_status, os_threads = status()
    own_scheduling = scheduling()
    own_places = places()
    own_settings = list(map(setting, SETTINGS))
    own_name = setting("/proc/self/comm") or b""
    own_environment = dict(os.environ._data)
    own_fds = {fd: identity(fd) for fd in open_fds()}
    molts_fds = frozenset((0, 1, 2, harness.control_fd, harness.result_fd, harness.null_fd,
                           harness.out_fd, harness.err_fd, harness.status_fd, harness.statm_fd))
    become_subreaper()


def become_subreaper():
    """Orphaned descendants become this process's children, so that they can be ended."""
    global clear_environment, libc_prctl
    libc = ctypes.CDLL(None)
    clear_environment, libc_prctl = libc.clearenv, libc.prctl
    libc_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def renew_process():
    """After a fork: keep_process, for what a fork does not inherit."""
    global own_status, os_threads, own_places, own_environment, own_fds
    own_status, os_threads = status()
    own_places = [*own_places[:-2], os_getpgid(0), os_getsid(0)]
    own_environment = dict(os.environ._data)
    own_fds = {fd: identity(fd) for fd in molts_fds}
    libc_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


PR_SET_CHILD_SUBREAPER = 36


def status():
    """The lines of /proc/self/status that jobs have no reason to change, and the threads."""
    text = pread(harness.status_fd, 8192, 0)
    at = text.find(b"\nThreads:") + 9
    threads = int(text[at:text.find(b"\n", at)])
    at = text.find(b"\nSigCgt:\t") + 9
    caught = int(text[at:at + 16], 16) & ~THREADS_OWN_SIGNALS
    return (without_volatile(b"", text), caught), threads


def scheduling():
    return [get_priority(PRIO_PROCESS, 0), *[tuple(f(0)) if f.__name__ == "sched_getparam" else f(0)
                                             for f in SCHEDULING]]


def places():
    """The root directory and the namespaces."""
    found = []
    for name in NAMESPACES:
        try:
            found.append(readlink("/proc/self/ns/" + name))
        except OSError:
            found.append(None)
    root = stat("/")
    return [*found, root.st_dev, root.st_ino, os_getpgid(0), os_getsid(0)]


def setting(path):
    try:
        fd = os_open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return pread(fd, 64, 0)
    except OSError:
        return None
    finally:
        close_fd(fd)


def restore_settings(job):
    for path, wanted in zip(SETTINGS, own_settings):
        if setting(path) != wanted:
            # A core filter is told without its prefix.
            set_setting(path, b"0x" + wanted if path.endswith("filter") else wanted)
            if setting(path) != wanted:
                job.taint(f"{path} was changed for good")


def set_setting(path, value):
    try:
        fd = os_open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os_write(fd, value.strip())
    except OSError:
        pass
    finally:
        close_fd(fd)


def open_fds():
    fds = set(map(int, listdir("/proc/self/fd")))
    # The listing's own descriptor is among them, and closed by now.
    return {fd for fd in fds if is_open(fd)}


def is_open(fd):
    try:
        fstat(fd)
    except OSError:
        return False
    return True


def identity(fd):
    found = fstat(fd)
    return found.st_dev, found.st_ino, found.st_rdev, get_blocking(fd), get_inheritable(fd)


def adopt_process():
    """Threads that a library started in C when it was imported (numpy's) stay."""
    global os_threads
    os_threads = status()[1]


def quiet_process(job):
    """Nothing of the job's may run on while things are put back."""
    end_timers()
    restore_signals(job)
    end_children(job)
    await_threads(job)


def restore_process(job):
    restore_limits(job)
    if scheduling() != own_scheduling:
        job.taint("the priority was changed")
    if places() != own_places:
        job.taint("the root directory, a namespace or the session was changed")
    restore_settings(job)
    if not harness.restore_pipes():
        job.taint("the pipes of the standard streams cannot be put back")
    restore_fds(job)
    restore_status(job)


def end_timers():
    for timer in TIMERS:
        if getitimer(timer) != NO_TIMER:
            setitimer(timer, 0)


def restore_signals(job):
    set_wakeup_fd(-1)
    now = list(map(getsignal, SIGNALS))
    if now != handlers or not all(map(is_, now, handlers)):
        for number, handler, wanted in zip(SIGNALS, now, handlers):
            if handler is not wanted:
                set_signal(number, wanted)
    # Installing it again undoes siginterrupt.
    set_signal(_signal.SIGINT, harness.on_interrupt)
    if pthread_sigmask(_signal.SIG_BLOCK, ()) != signal_mask:
        pthread_sigmask(_signal.SIG_SETMASK, signal_mask)


def restore_limits(job):
    now = list(map(getrlimit, LIMITS))
    if now == limits:
        return
    for limit, value, wanted in zip(LIMITS, now, limits):
        if value != wanted:
            try:
                setrlimit(limit, wanted)
            except (OSError, ValueError):
                job.taint(f"resource limit {limit} was lowered for good")


def end_children(job):
    """Kill and reap every child, and as subreaper what they leave behind."""
    deadline = None
    while True:
        try:
            pid, _ = waitpid(-1, WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if deadline is None:
            deadline = monotonic() + 2
        elif monotonic() > deadline:
            job.taint("a child process does not end")
            return
        for child in children():
            try:
                kill(child, _signal.SIGKILL)
            except OSError:
                pass
        sleep(0.0005)


def children():
    found = []
    own = os_getpid()
    for entry in listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == own:
                found.append(int(entry))
    return found


def await_threads(job):
    """A thread that is about to end gets a moment; one that goes on costs the process."""
    deadline = None
    while harness.thread_count() or status()[1] != os_threads:
        now = monotonic()
        if deadline is None:
            deadline = now + 0.05
        elif now > deadline:
            job.taint("a thread is still alive")
            return
        sleep(0.0005)


def restore_fds(job):
    """Close what is new; what is gone can't be had again."""
    fds = open_fds()
    new = fds - own_fds.keys()
    if new:
        # An object that still owns a number must not close somebody else's later.
        gc_collect()
        for fd in open_fds() - own_fds.keys():
            try:
                close_fd(fd)
            except OSError:
                pass
    for fd, wanted in list(own_fds.items()):
        try:
            found = identity(fd)
        except OSError:
            found = None
        if found == wanted:
            continue
        if found is not None and found[:3] == wanted[:3]:
            set_blocking(fd, wanted[3])
            set_inheritable(fd, wanted[4])
        elif fd in molts_fds:
            job.taint(f"descriptor {fd} of molt's was closed or replaced")
        else:
            forget_fd(fd, found)


def forget_fd(fd, found):
    """One that the process was born with and has no use for."""
    del own_fds[fd]
    if found is not None:
        close_fd(fd)


def restore_status(job):
    """What is left to check, by the kernel's own account."""
    now, threads = status()
    if now == own_status:
        return
    umask(own_umask)
    set_setting("/proc/self/comm", own_name)
    now, threads = status()
    if now != own_status:
        job.taint("the kernel's status differs: " + differing(own_status, now))


def differing(before, now):
    """The names of the lines that differ: Uid, NoNewPrivs, Seccomp, Cpus_allowed, ..."""
    old = set(before[0].split(b"\n"))
    names = [line.partition(b":")[0].decode("ascii", "replace")
             for line in now[0].split(b"\n") if line not in old]
    return ", ".join(names) or "the signals that are caught"


def restore_environment():
    """The environment as C sees it, which os.environ doesn't show: cleared and set again."""
    if "os.putenv" in watch and "os.unsetenv" in watch:
        return
    clear_environment()
    for name, value in own_environment.items():
        os_putenv(name, value)
    time_tzset()


os_putenv, time_tzset = os.putenv, time.tzset
