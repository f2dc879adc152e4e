"""The child of a fork: it runs one job and ends."""

import _signal
import os
import resource
import signal
import sys

setrlimit, set_signal = resource.setrlimit, _signal.signal
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
        job = harness.Job(str(frame, "utf-8"))
        enter_child(job)
        limit_child()
        report(harness.run_job(job, execute_named))
        exit_process(0)
    finally:
        # Only a fault of the plumbing comes here; without a completion it counts as
        # a crash.
        exit_process(1)


def enter_child(job):
    chdir(harness.job_dir)
    if job.args:
        sys.argv += job.args
    if job.stdin is not None:
        harness.open_stdin(job.stdin)


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
