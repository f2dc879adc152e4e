"""What the modes share that run restricted jobs, in this process or in a child of it."""

from RestrictedPython import safe_builtins

job_builtins = None


def prepare_restriction(options):
    """Once, before the baseline is taken or a child forked."""
    global job_builtins
    prepare_views((options or {}).get("imports"))
    job_builtins = restricted_builtins(safe_builtins)
    # The first use of what is needed for every job costs more.
    rewrite_job("class C:\n  x = 1\n  def f(self): return self.x")


def restricted_main(job):
    """The job's module, without anything of the process in reach."""
    global job_namespace
    path = sys.path
    if path and path[0] == harness.job_dir:
        # A file of the job's that is called like a module that the library imports
        # would run unrestricted.
        del path[0]
    main = harness.new_main(job)
    job_namespace = main.__dict__
    for name, value in job_namespace.items():
        if (is_special(name) or name[:1] == "<") and not is_given(name, value):
            raise RestrictedNameError(f'an input called "{name}" is refused')
    job_namespace["__builtins__"] = job_builtins
    if job_views:
        job_views.clear()
    return main


def is_given(name, value):
    """Whether a special name of a module has the harness's value and not an input's."""
    if name == "__name__":
        return value == "__main__"
    if name == "__file__":
        return value == harness.main_file
    if name == "__builtins__":
        return value is harness.builtins_module
    if name == "__loader__":
        return type(value) is harness.SourceLoader
    if name == "__annotations__":
        return value == {}
    return value is None
