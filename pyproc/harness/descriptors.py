"""Where molt keeps its descriptors, and what it reads of the process through them."""

import fcntl
import os
import resource

os_close = os.close
setrlimit, RLIMIT_NOFILE = resource.setrlimit, resource.RLIMIT_NOFILE
MAX_PIPE = 1 << 20      # what is allowed to everybody

null_fd = out_fd = err_fd = status_fd = statm_fd = -1
high_base = 0       # descriptors of molt's own begin here
open_files = raised_open_files = None  # limits on open files: the job's, and for moving


def close_inherited(keep):
    """Close the descriptors that the worker itself was started with and passes on
    unknowingly; only 0, 1, 2 and those to keep are meant for this process."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the one that listed them


def place_descriptors(control, result, *keep):
    """Move molt's descriptors above the numbers that jobs close in a loop.

    Above the soft limit on open files where the hard one allows: `os.closerange(3,
    soft)` misses them there. A very high number would make every fork copy a big
    table, so a soft limit beyond 4096 is ignored.
    """
    global control_fd, result_fd, null_fd, out_fd, err_fd, status_fd, statm_fd
    global high_base, open_files, raised_open_files, own_pipes
    close_inherited((control, result, *keep))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 16
    base = 4090 - needed
    if soft != resource.RLIM_INFINITY and soft <= 4096:
        base = soft
        if hard == resource.RLIM_INFINITY or hard >= soft + needed:
            open_files, raised_open_files = (soft, hard), (soft + needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, raised_open_files)
        else:
            base = max(soft - needed, 16)
    high_base = base
    control_fd, result_fd, null_fd, out_fd, err_fd = map(high, (control, result, 0, 1, 2))
    status, statm = open_proc()
    status_fd, statm_fd = high(status), high(statm)
    for fd in (statm, status, control, result):
        os.close(fd)
    own_pipes = pipe_settings()
    if open_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, open_files)


def open_proc():
    return [os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("status", "statm")]


def take_descriptors(fds):
    """In an interpreter that was forked from a template: its own pipes, null device and files
    of /proc, in the places of the template's."""
    control, result, out, err = fds
    status, statm = open_proc()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    keep_raised()
    for fd, place in ((control, control_fd), (result, result_fd), (status, status_fd),
                      (statm, statm_fd), (null, null_fd), (out, out_fd), (err, err_fd)):
        os_dup2(fd, place, False)
    os_dup2(null, 0)
    os_dup2(out, 1)
    os_dup2(err, 2)
    if open_files:
        setrlimit(RLIMIT_NOFILE, open_files)
    for fd in (*fds, status, statm, null):
        os_close(fd)


def high(fd):
    """A copy of a descriptor out of the job's reach by number."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high_base)


def keep_raised():
    """In a process that runs no jobs itself: its children lower the limit."""
    if raised_open_files:
        resource.setrlimit(resource.RLIMIT_NOFILE, raised_open_files)


PIPE_SETTINGS = ((fcntl.F_GETFL, fcntl.F_SETFL), (1032, 1031))  # F_GETPIPE_SZ, F_SETPIPE_SZ
os_fcntl = fcntl.fcntl


def pipe_settings():
    return [os_fcntl(fd, get) for fd in (out_fd, err_fd) for get, _ in PIPE_SETTINGS]


def restore_pipes():
    """Flags and size of standard output and error belong to the pipe, not to a descriptor:
    a job's changes outlive its process. False where they can't be put back."""
    if pipe_settings() == own_pipes:
        return True
    try:
        wanted = iter(own_pipes)
        for fd in (out_fd, err_fd):
            for _, write in PIPE_SETTINGS:
                os_fcntl(fd, write, next(wanted))
        return pipe_settings() == own_pipes
    except OSError:
        return False


def adopt_result(fd):
    """In a forked child: report to fd, out of the job's reach by number, and to nobody
    else."""
    os_dup2(fd, result_fd, False)
    os_close(fd)
    os_close(control_fd)
    if open_files:
        setrlimit(RLIMIT_NOFILE, open_files)


def widen_result(size):
    """Let the pipe hold a report of that many bytes, where that is allowed."""
    try:
        fcntl.fcntl(result_fd, fcntl.F_SETPIPE_SZ, min(size, MAX_PIPE))
    except OSError:
        pass
    os.set_blocking(result_fd, True)


def peak_rss():
    """VmHWM in bytes; ru_maxrss would report the parent's peak from before the exec."""
    try:
        text = os.pread(status_fd, 8192, 0)
    except OSError as exc:
        raise ProtocolLost(exc) from None
    at = text.find(b"VmHWM:")
    return int(text[at + 6:text.index(b"kB", at)]) << 10 if at >= 0 else 0


def after_fork_in_child():
    """A fork made by a job can neither read requests nor write reports."""
    if in_job:
        for fd in (control_fd, result_fd):
            try:
                os.close(fd)
            except OSError:
                pass
