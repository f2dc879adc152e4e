"""What the interpreter keeps outside dictionaries: switches, hooks, collector, streams."""

import _imp
import _thread
import codecs
import encodings
import gc
import os
import sys

# Audit events that say what a job reached for. The hook is the pop method of this
# dictionary: an event that happened is missing from it afterwards, at 50 ns each and
# without keeping anything of the event alive.
EVENTS = (
    "object.__setattr__", "object.__delattr__", "sys.addaudithook",
    "os.putenv", "os.unsetenv", "os.fork", "os.forkpty", "os.posix_spawn", "os.system",
    "os.spawn", "subprocess.Popen", "pty.spawn", "syslog.openlog", "syslog.setlogmask",
    "ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.cdata",
    "ctypes.cdata/buffer", "ctypes.call_function", "ctypes.addressof", "ctypes.string_at",
    "ctypes.wstring_at", "ctypes.PyObj_FromPtr", "gc.get_objects", "gc.get_referrers",
    "gc.get_referents", "sys.monitoring.register_callback", "pickle.find_class",
)
watch = dict.fromkeys(EVENTS, True)

# Names in sys that belong to the harness or to the job at hand.
HARNESS_NAMES = frozenset(("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__",
                           "argv"))


def set_collector(enabled):
    gc.enable() if enabled else gc.disable()


def switches():
    """Pairs of functions that read and write a switch."""
    pairs = [
        (sys.getrecursionlimit, sys.setrecursionlimit),
        (sys.getswitchinterval, sys.setswitchinterval),
        (sys.getdlopenflags, sys.setdlopenflags),
        (sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
        (sys.get_asyncgen_hooks, lambda hooks: sys_set_asyncgen_hooks(*hooks)),
        (sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile),
        (gc.isenabled, set_collector), (gc.get_debug, gc.set_debug),
        (gc.get_threshold, lambda values: gc_set_threshold(*values)),
    ]
    if hasattr(sys, "get_int_max_str_digits"):
        pairs.append((sys.get_int_max_str_digits, sys.set_int_max_str_digits))
    return pairs


sys_set_asyncgen_hooks, gc_set_threshold = sys.set_asyncgen_hooks, gc.set_threshold
gc_collect, gc_freeze = gc.collect, gc.freeze
thread_stack_size = _thread.stack_size
import_locked, release_import = _imp.lock_held, _imp.release_lock
monitoring = getattr(sys, "monitoring", None)
monitoring_events = [v for n, v in vars(monitoring.events).items()
                     if n[0] != "_" and v] if monitoring else ()
trampoline_active = getattr(sys, "is_stack_trampoline_active", lambda: False)
trampoline_off = getattr(sys, "deactivate_stack_trampoline", None)


def keep_interpreter():
    global switch_pairs, switch_values
    switch_pairs = switches()
    gc.enable()
    switch_values = [read() for read, _ in switch_pairs]
    gc.disable()


def restore_interpreter(job):
    values = [read() for read, _ in switch_pairs]
    if values != switch_values:
        for (_, write), value, wanted in zip(switch_pairs, values, switch_values):
            if value != wanted:
                write(wanted)
    thread_stack_size(0)
    while import_locked():
        release_import()
    restore_frames()
    if trampoline_active():
        trampoline_off()
    if monitoring is not None and any(map(monitoring.get_tool, range(6))):
        job.taint("a monitoring tool is in use")
    if "sys.monitoring.register_callback" not in watch:
        forget_callbacks()
    if "sys.addaudithook" not in watch:
        job.taint("an audit hook was added")


def forget_callbacks():
    """They stay without a tool, for the next one of its number."""
    for tool in range(6):
        for event in monitoring_events:
            monitoring.register_callback(tool, event, None)


def arm():
    """Forget the events that happened."""
    watch.update(dict.fromkeys(EVENTS, True))


def check_ctypes(job):
    if any(event not in watch for event in EVENTS if event.startswith("ctypes.")):
        job.taint("the job called C code by itself, which leaves no trace to check")


def nothing():
    pass


def keep_hidden():
    """Lists and dictionaries that only the interpreter refers to, found by their content."""
    os.register_at_fork(before=nothing, after_in_parent=nothing, after_in_child=nothing)
    utf8, ascii = codecs.lookup("utf-8"), codecs.lookup("ascii")
    for content in (nothing, encodings.search_function, codecs.strict_errors, utf8, ascii):
        for container in gc.get_referrers(content):
            if container in (globals(), vars(codecs), vars(encodings)):
                continue
            if type(container) is list:
                keep_list(container, 0)
            elif type(container) is dict and all(type(k) is str for k in container):
                keep_dict(container, 0)
