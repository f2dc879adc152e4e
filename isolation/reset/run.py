"""reset: every job in the same process, which is put back to its baseline after each.

The baseline is taken once, when the harness is ready. A job that is proven unable to
change anything (analysis.py) needs no more; after any other everything kept is compared
and put back, in an order in which nothing of the job's can interfere, and what can't be put
back taints the process. Every so many jobs the garbage collector runs.
"""

import contextvars
import gc
import os
import re
import sys

modules = sys.modules
new_context = contextvars.Context
plain = False
jobs = 0
third_party = "keep"    # or "drop": see imports.py
collect_every = 100
pattern_caches = []


def start(options):
    """Take the baseline."""
    global Version, instances_tell, third_party, loop_code
    loop_code = harness.loop.__code__
    third_party = (options or {}).get("third_party", "keep")
    gc.disable()
    re.purge()
    pattern_caches.extend(v for n, v in vars(re).items() if "cache" in n and type(v) is dict)
    if not sys.path or sys.path[0] != harness.job_dir:
        sys.path.insert(0, harness.job_dir)
    Version = version_type()
    instances_tell = Version is not None and tells_instances(Version)
    prepare_analysis()
    watch_text_domains()
    keep_process()
    keep_interpreter()
    sys.addaudithook(watch.pop)
    watch_imports()
    skipped[id(vars(sys))] = HARNESS_NAMES
    skipped[id(vars(harness))] = frozenset((
        "in_job", "own_in", "own_out", "own_err", "streams_changed"))
    known.update(map(id, (modules, watch)))
    keep_hidden()
    for name, module in list(modules.items()):
        baseline_modules[name] = module
        if isinstance(module, ModuleType):
            keep_module(module)
    keep_module(harness)
    keep_policy()
    keep_function_fields()
    for name in baseline_modules:
        adopt_state(name)
    adopt_registries(True)
    gc_collect()
    gc_freeze()
    gc.enable()
    arm()


def foresee_forks():
    """In a template: find out what a fork changes, by one. Looking for it touches all that
    is kept, which every interpreter would have to copy."""
    global forks_change
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            harness.take_place("/", {"MOLT": "forked"})
            changed, of_lists, of_sets = touched()
            report = [(i, differing_names(i)) for i in changed], list(of_lists), list(of_sets)
            os.write(sender, repr(report).encode())
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver) as file:
        forks_change = eval(file.read(), {})
    os.waitpid(pid, 0)


def differing_names(i):
    """Of a large dictionary the names that were bound anew; None stands for all of a small
    one, and where a name is gone."""
    current, copy = dicts[i], copies[i]
    if len(copy) < 32 or not copy.keys() <= current.keys():
        return None
    return [name for name, value in current.items() if copy.get(name, MISSING) is not value]


def forked():
    """In an interpreter that was forked from a template, which took the baseline: what is
    its own belongs to the baseline."""
    changed, changed_lists, changed_sets = forks_change
    for i, names in changed:
        if names is None:
            copies[i] = dict(dicts[i])
        else:
            for name in names:
                copies[i][name] = dicts[i][name]
        versions[i] = settle(detectors[i])
    for i in changed_lists:
        list_copies[i] = lists[i].copy()
        list_lengths[i] = len(lists[i])
    for i in changed_sets:
        set_copies[i] = sets[i].copy()
    renew_process()
    arm()


def run(job):
    global plain, jobs
    plain = False
    jobs += 1
    done = harness.run_in_process(job, execute)
    if not (plain and len(watch) == len(EVENTS) and len(modules) == len(baseline_modules)
            and job.env is None):
        reset(job)
    elif imported:
        clear_caches()
    if jobs % collect_every == 0:
        gc_collect()
    return done


def execute(job, done):
    global plain
    main = harness.new_main(job)
    parts = harness.compile_job(job.code)
    if is_plain(parts[:2]):
        plain = True
        harness.run_parts(parts, done, main)
    else:
        # A context of its own: what the job sets in context variables ends with it.
        new_context().run(harness.run_parts, parts, done, main)
    return main


def reset(job):
    """Put everything back, or say why that isn't possible."""
    global adopted
    try:
        check_ctypes(job)
        restore_policy()
        restore_interpreter(job)
        quiet_process(job)
        restore_modules(job)
        restore_objects(job, may_relabel or "pickle.find_class" not in watch
                        or jobs % collect_every == 0)
        restore_libraries(job)
        restore_environment()
        restore_process(job)
        renew_streams()
        harness.flush_streams()
        if adopted:
            adopted = False
            gc_collect()
            gc_freeze()
    except BaseException as exc:
        job.taint(f"the reset failed: {harness.type_name(type(exc))}: {exc}")
    arm()


def clear_caches():
    """All that functions of the import table leave behind."""
    for clear in caches:
        clear()
    for cache in pattern_caches:
        if cache:
            cache.clear()


def renew_streams():
    if harness.streams_changed or not harness.streams_intact():
        harness.new_streams()
