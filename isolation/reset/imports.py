"""Modules that jobs import for the first time join the baseline as they are then.

The snapshot is taken when the import that a job asked for has ended, before the job
can touch the module: the importing function is wrapped. What the import changed in other
modules (a package's attribute, a registry) joins as well. Modules don't join which came
from the job's own files, or which were imported while the library's code was patched;
they are dropped after the job.
"""

import importlib.machinery
import os
import sys

bootstrap = sys.modules["_frozen_importlib"]
LIBRARY_LOADERS = (importlib.machinery.SourceFileLoader, importlib.machinery.SourcelessFileLoader,
                   importlib.machinery.ExtensionFileLoader)
CORE_LOADERS = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter)
ExtensionFileLoader = importlib.machinery.ExtensionFileLoader

listdir = os.listdir

baseline_modules = {}
importing = False
adopted = False

# Python leaves out the frames of importlib's own file from the tracebacks of imports.
WRAPPER = """
def _find_and_load(name, import_):
    state = begin_import(name)
    if state is None:
        return load(name, import_)
    try:
        return load(name, import_)
    finally:
        end_import(state)
"""


def watch_imports():
    """Wrap the function that every import of a module that isn't loaded goes through."""
    global library_roots, standard_root
    standard_root = os.path.dirname(os.__file__)
    library_roots = tuple(p.rstrip("/") + "/" for p in (*harness.own_path, standard_root) if p)
    scope = {"load": bootstrap._find_and_load, "begin_import": begin_import,
             "end_import": end_import}
    exec(compile(WRAPPER, "<frozen importlib._bootstrap>", "exec"), scope)
    bootstrap._find_and_load = scope["_find_and_load"]


def begin_import(name):
    """The state before an import, or None for one within another or of the job's files."""
    global importing
    if importing or not harness.in_job or type(name) is not str or is_jobs_own(name):
        return None
    importing = True
    try:
        pure = "object.__setattr__" in watch and not code_changed()
        registered = get_cache_token() != cache_token
        return pure, set(modules), touched(), watch.copy(), registered
    except BaseException:
        importing = False
        raise


def is_jobs_own(name):
    top = name.partition(".")[0]
    try:
        return any(entry.partition(".")[0] == top for entry in listdir(harness.job_dir))
    except OSError:
        return False


def end_import(state):
    global importing
    pure, before, changes, armed, registered = state
    try:
        # multiprocessing gives the job's own module a second name.
        main = modules.get("__main__")
        new = [(n, m) for n, m in list(modules.items()) if n not in before and m is not main]
        if new and pure and all(from_library(m) for _, m in new):
            adopt_changes(changes)
            adopt([pair for pair in new if not to_drop(pair[0])])
            adopt_registries(not registered)
            watch.update(armed)
    finally:
        importing = False


def adopt(new):
    global adopted
    for name, module in new:
        baseline_modules[name] = module
        if isinstance(module, ModuleType):
            keep_module(module)
    keep_function_fields()
    for name, _ in new:
        adopt_state(name)
    forget_table_names()
    adopt_process()
    adopted = adopted or bool(new)


def from_library(module):
    """Whether a module came from where the interpreter's own modules are."""
    if not isinstance(module, ModuleType):
        return True  # what a library put into sys.modules by itself
    spec = module.__dict__.get("__spec__")
    loader = getattr(spec, "loader", None)
    if loader is None or loader in CORE_LOADERS:
        return getattr(spec, "origin", None) in (None, "built-in", "frozen")
    origin = getattr(spec, "origin", None)
    if type(loader) in LIBRARY_LOADERS:
        return type(origin) is str and origin.startswith(library_roots)
    return True


def to_drop(name):
    """Whether the pool wants third-party packages imported afresh by every job.

    One with an extension module can't be: those stay for the life of a process.
    """
    if third_party == "keep":
        return False
    top = name.partition(".")[0]
    if is_standard(modules.get(top)):
        return False
    return not any(is_extension(m) for n, m in list(modules.items()) if n.partition(".")[0] == top)


def is_standard(module):
    file = getattr(module, "__file__", None)
    if file is None:
        return True
    return file.startswith(standard_root + "/") and "/site-packages/" not in file


def is_extension(module):
    spec = getattr(module, "__spec__", None)
    return isinstance(getattr(spec, "loader", None), ExtensionFileLoader)


def restore_modules(job):
    """sys.modules holds the baseline's modules, and those that joined it."""
    if len(modules) == len(baseline_modules) and all(map(
            is_, modules.values(), baseline_modules.values())):
        return
    for name in [n for n in list(modules) if n not in baseline_modules]:
        module = dict.pop(modules, name, None)
        if is_extension(module):
            # Loaded again it would fill its static types anew, behind the back of the caches
            # that hold what was there: `_multiprocessing` and `_datetime` do.
            job.taint(f"the extension module {name} was imported into a patched library")
    for name, module in list(baseline_modules.items()):
        if modules.get(name) is not module:
            modules[name] = module
    ordered = {name: baseline_modules[name] for name in modules}
    baseline_modules.clear()
    baseline_modules.update(ordered)
