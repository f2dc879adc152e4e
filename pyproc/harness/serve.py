"""molt's half inside the interpreter: the loop that runs one job after another.

The isolation policy decides how a job is run. It finds the harness as the global
`harness` and defines `run(job) -> Completion`, or `answer(frame) -> report` where jobs
run in other processes.

The files of this folder share one namespace and are run in the order of their names;
at that time none uses what another defines. Standard library alone, CPython 3.10+.
Functions are bound to names at import where a job's monkeypatching of a module
would otherwise break the plumbing of the jobs after it.
"""

import os
import resource
import signal
import sys

getrusage, RUSAGE_SELF = resource.getrusage, resource.RUSAGE_SELF

# Set once by serve().
policy = None
output_cap = 0
job_dir = ""


def serve(control, result, settings):
    """Run requests until the control pipe ends. Never returns."""
    global policy, output_cap, job_dir, main_file, own_main, own_path, builtins_module, own_builtins
    template = settings.get("template")
    place_descriptors(control, result, *([template] if template else ()))
    output_cap = settings["output_cap"]
    job_dir = settings["job_dir"]
    main_file = job_dir + "/" + FILENAME
    builtins_module = modules["builtins"]
    own_builtins = own_module.__builtins__
    own_main = modules["__main__"] = ModuleType("__main__")
    own_path = list(sys.path)
    new_streams()
    install_hooks()
    # A job that crashes would have the kernel write all its memory to a file first.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.signal(signal.SIGINT, on_interrupt)
    os.register_at_fork(after_in_child=after_fork_in_child)
    if template:
        prepare_template()
    policy = ModuleType("molt_policy")
    policy.harness = own_module
    policy.__builtins__ = own_builtins
    INTERNAL_FILES.update(name for name, source in settings["policy"])
    for name, source in settings["policy"]:
        exec(compile(source, name, "exec"), policy.__dict__)
    if hasattr(policy, "start"):
        policy.start(settings["options"])
    if template:
        serve_template(template)
    send(encode_ready())
    try:
        if hasattr(policy, "answer"):
            relay(policy.answer)
        else:
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
        job = Job(str(frame, "utf-8"))
        frame = None
        try:
            done = run(job)
            completion = done.encode()
        except ProtocolLost:
            raise
        except BaseException as exc:
            send(failure(job.nonce, exc, job.started))
            continue
        now = getrusage(RUSAGE_SELF).ru_minflt
        if now - faults > 256:
            rss, faults = peak_rss(), now
        after = cpu_clock()
        send(encode_report(job.nonce, completion, (before, after), rss, len(modules),
                           job.taints, done.truncated))
        before = after
        job = done = completion = None


def relay(answer):
    """loop for a policy that runs no job in this process and needs little of it."""
    while True:
        frame = receive()
        if frame is None:
            return
        try:
            report = answer(frame)
        except BaseException as exc:
            send(failure(str(frame[10:26], "ascii"), exc, False))
            continue
        send_raw(report)
        frame = report = None


def failure(nonce, exc, started):
    """The plumbing itself failed: say so, and whether the job may have run."""
    global in_job
    in_job = False
    if os_getpid() != PID:
        os._exit(1)
    text = format_exception(exc, traceback_of(exc))
    return encode_failure(nonce, text[-2000:], started)


def on_interrupt(signum, frame):
    """SIGINT interrupts a job as usual and an idle interpreter not at all."""
    if in_job:
        raise KeyboardInterrupt
