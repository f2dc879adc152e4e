"""One job in this process: what policies call, and what happens around a job."""

import linecache
import os
import resource
import sys
import types

os_dup2, os_chdir, os_getpid = os.dup2, os.chdir, os.getpid
ModuleType = types.ModuleType
modules, environ = sys.modules, os.environ
source_cache = linecache.cache

PID = os_getpid()
PAGE_SIZE = resource.getpagesize()

# Later versions make a module's annotations when they are asked for.
ANNOTATED = sys.version_info < (3, 14)

own_memory_limit = resource.getrlimit(resource.RLIMIT_AS)
in_job = False


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
    namespace["__cached__"] = None
    if ANNOTATED:
        namespace["__annotations__"] = {}
    namespace["__loader__"] = loader = SourceLoader(job.code)
    # linecache calls it when somebody asks for a line.
    source_cache[FILENAME] = source_cache[main_file] = (loader.get_source,)
    modules["__main__"] = main
    if job.rest < len(job.frame):
        try:
            namespace.update(scan_json(job.frame, job.rest)[0])
        except StopIteration:
            raise ValueError("the inputs are not JSON") from None
    return main


def run_code(job, done, main):
    """Compile and run the job in main; the value of a trailing expression goes to done."""
    run_parts(compile_job(job.code), done, main)


def run_parts(parts, done, main):
    """Run what compile_job made of a job."""
    code, last, is_value = parts
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
    enter(job)
    done = run_job(job, execute)
    leave(job)
    return done


def run_job(job, execute):
    """run_in_process but for what the process has to be before and after."""
    global in_job
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
