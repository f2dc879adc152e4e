"""The child of a fork: it runs one job and ends."""

import _signal
import os
import resource
import signal
import sys

setrlimit, set_signal = resource.setrlimit, _signal.signal
RLIMIT_FSIZE = resource.RLIMIT_FSIZE
getpid, getppid, chdir, exit_process = os.getpid, os.getppid, os.chdir, os._exit
SIGINT, SIGKILL = int(signal.SIGINT), int(signal.SIGKILL)
default_int_handler = signal.default_int_handler
PIPE_SIZE = 1 << 16     # bytes that a pipe holds before a writer waits


def run_child(frame, receiver, sender):
    """Never returns: the process ends with the job."""
    try:
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        parent, harness.PID = harness.PID, getpid()
        if getppid() != parent:
            exit_process(1)
        close(receiver)
        harness.adopt_result(sender)
        set_signal(SIGINT, default_int_handler)
        if own_fork is fork_plainly:
            if main_thread is not None:
                main_thread._native_id = harness.PID
        reseed()
        limit_child()
        perform(frame)
        exit_process(0)
    finally:
        # Only a fault of the plumbing comes here; without a completion it counts as
        # a crash.
        exit_process(1)


def perform(frame):
    """Run the job of a request and report it."""
    job = harness.Job(str(frame, "utf-8"))
    enter_child(job)
    report(harness.run_job(job, execute_named))


def enter_child(job):
    chdir(harness.job_dir)
    if job.args:
        sys.argv += job.args
    if job.stdin is not None:
        harness.open_stdin(job.stdin)
    if file_size:  # what molt wrote for the job doesn't count
        setrlimit(RLIMIT_FSIZE, file_size)


def execute_named(job, done):
    """Run the job, and name the limit that an exception of it tells of."""
    try:
        return execute(job, done)
    except (OSError, RuntimeError) as exc:
        done.limit = limit_of(exc)
        raise


def execute(job, done):
    main = harness.new_main(job)
    harness.run_code(job, done, main)
    return main


def report(done):
    data = harness.encode_child(done)
    data = len(data).to_bytes(4, "big") + data
    if len(data) > PIPE_SIZE:
        harness.widen_result(len(data))
    harness.send_bytes(data)


# ---- the rehearsal

REHEARSALS = 40
REHEARSED = (
    "value = 1 + 1; print(value)",
    "def double(x):\n    return 2 * x\n\nnumbers = [double(x) for x in range(3)]\nprint(f'{numbers}')\n",
    "text = 'a b'\ntext.split()",
)


def rehearse():
    """Run molt's own small programs as a child would, before anything is forked.

    What happens when code runs for the first time happens here then and not in every
    child: the interpreter adapts its instructions and fills its caches, the loader looks up
    symbols, and memory that programs need and give back lies together.
    """
    null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    result, harness.result_fd = harness.result_fd, null
    for fd in (1, 2):
        os.dup2(null, fd)
    try:
        for n in range(REHEARSALS):
            code = harness.quote(REHEARSED[n % len(REHEARSED)] + f"  # {n}")
            perform(f'{{"nonce":"0123456789abcdef","timeout":1000,"code":{code}}}'.encode())
    finally:
        harness.result_fd = result
        os.dup2(harness.out_fd, 1)
        os.dup2(harness.err_fd, 2)
        close(null)
