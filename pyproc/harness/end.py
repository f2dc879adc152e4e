"""What Python does when a script ends, so that another script can follow."""

import _thread
import atexit
import sys
import types

thread_count = _thread._count
exit_callbacks, run_exit_callbacks = atexit._ncallbacks, atexit._run_exitfuncs
getrecursionlimit, setrecursionlimit = sys.getrecursionlimit, sys.setrecursionlimit
gettrace, getprofile = sys.gettrace, sys.getprofile

CODE_TYPES = frozenset((types.FunctionType, type, types.ModuleType))
RECURSION_LIMIT = getrecursionlimit()


def wind_down(job, done, main):
    """What Python does when a script ends: threads, exit callbacks; then the asked-for globals."""
    if gettrace() is not None:
        sys.settrace(None)
    if getprofile() is not None:
        sys.setprofile(None)
    if getrecursionlimit() != RECURSION_LIMIT:
        setrecursionlimit(RECURSION_LIMIT)
    if thread_count():
        join_threads()
    if job.locals is not None:
        main = main or modules.get("__main__")
        if type(main) is ModuleType:
            done.locals = collect_locals(job.locals, main, done)
    if exit_callbacks():
        run_exit_callbacks()
        rearm_exit_callbacks()


def join_threads():
    """Join the job's threads as threading._shutdown does, but so that more can follow."""
    threading = modules.get("threading")
    if threading is None:
        return
    main, current = threading.main_thread(), threading.current_thread()
    callbacks = list(getattr(threading, "_threading_atexits", ()))
    for callback in reversed(callbacks):
        try:
            callback()
        except BaseException as exc:
            print_exception(exc)
    set_flag("concurrent.futures.thread", "_shutdown")
    set_flag("concurrent.futures.process", "_global_shutdown")
    while True:
        alive = [t for t in threading.enumerate()
                 if t is not main and t is not current and not t.daemon and t.is_alive()]
        if not alive:
            return
        for thread in alive:
            thread.join()


def set_flag(module, name):
    if hasattr(modules.get(module), name):
        setattr(modules[module], name, False)


def rearm_exit_callbacks():
    """Exit callbacks of cached modules ran once; the next job needs them again."""
    finalize = getattr(modules.get("weakref"), "finalize", None)
    if finalize is not None:
        finalize._shutdown = False
        finalize._registered_with_atexit = False
    logging = modules.get("logging")
    if logging is not None:
        atexit.register(logging.shutdown)
    util = modules.get("multiprocessing.util")
    if util is not None:
        util._exiting = False
        atexit.register(util._exit_function)


def discard(main):
    """Give back what the job's module holds, now, while output is still the job's.

    A module that defines a function refers to itself and would wait for the garbage
    collector. Data goes first, so that destructors still find what they call.
    """
    modules["__main__"] = own_main
    if main is None or thread_count():
        return
    namespace = main.__dict__
    for name in [n for n, v in namespace.items() if type(v) not in CODE_TYPES]:
        if name[:2] != "__":
            namespace.pop(name, None)
    namespace.clear()


def forget_job_modules():
    """Drop modules imported from the job's directory, and what was cached of it."""
    beneath = job_dir + "/"
    for name, module in list(modules.items()):
        try:
            places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
            if any(type(p) is str and (p == job_dir or p.startswith(beneath)) for p in places):
                del modules[name]
        except Exception:
            continue
    cache = sys.path_importer_cache
    for place in list(cache):
        if type(place) is str and (place == job_dir or place.startswith(beneath)):
            del cache[place]
