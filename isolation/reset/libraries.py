"""State that libraries keep in C or in objects of their own, where no dictionary shows it.

Each entry of RESTORERS belongs to a module: a function that is called once when the module
is loaded and returns what is called after jobs.
"""

import _abc
import _locale
import abc
import sys

get_cache_token = abc.get_cache_token


def keep_decimal(module):
    """The contexts that new threads and contexts start from."""
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    saved = [(c, [getattr(c, n) for n in names], dict(c.flags), dict(c.traps))
             for c in (module.DefaultContext, module.BasicContext, module.ExtendedContext)]

    def restore(job):
        for context, values, flags, traps in saved:
            for name, value in zip(names, values):
                if getattr(context, name) != value:
                    setattr(context, name, value)
            context.flags.update(flags)
            context.traps.update(traps)
    return restore


def keep_locale(module):
    setlocale, everything = module.setlocale, module.LC_ALL
    saved = setlocale(everything)
    textdomain = getattr(module, "textdomain", None)
    domain = textdomain and textdomain(None)

    def restore(job):
        if domain and textdomain(None) != domain:
            textdomain(domain)
        while text_domains:
            forget_text_domain(*text_domains.popitem())
        if setlocale(everything) != saved:
            setlocale(everything, saved)
    return restore


text_domains = {}       # domain: its folder and its encoding, before a job changed them


def watch_text_domains():
    """The C library doesn't tell which domains were bound, so the functions are wrapped."""
    folder = getattr(_locale, "bindtextdomain", None)
    encoding = getattr(_locale, "bind_textdomain_codeset", None)
    if folder is None or encoding is None:
        return

    def note(domain):
        if type(domain) is str and domain:
            text_domains.setdefault(domain, (folder(domain, None), encoding(domain, None)))

    def bindtextdomain(domain, dir, /):
        note(domain)
        return folder(domain, dir)

    def bind_textdomain_codeset(domain, codeset, /):
        note(domain)
        return encoding(domain, codeset)

    global forget_text_domain

    def forget_text_domain(domain, kept):
        folder(domain, kept[0])
        if kept[1] is not None:
            encoding(domain, kept[1])

    for wrapper in (bindtextdomain, bind_textdomain_codeset):
        wrapper.__module__ = "_locale"
        wrapper.__qualname__ = wrapper.__name__
        for module in (_locale, sys.modules.get("locale")):
            if module is not None:
                setattr(module, wrapper.__name__, wrapper)


def keep_asyncio(module):
    forget, restore_numbers = module._set_running_loop, keep_task_numbers(module)

    def restore(job):
        forget(None)
        restore_numbers(job)
    return restore


def keep_socket(module):
    read, write = module.getdefaulttimeout, module.setdefaulttimeout
    saved = read()

    def restore(job):
        if read() != saved:
            write(saved)
    return restore


def keep_random(module):
    """Seeded again from the system, as in a fresh process; one state would repeat itself."""
    seed = module._inst.seed
    return lambda job: seed()


def keep_numpy_random(module):
    generator = getattr(getattr(module, "mtrand", None), "_rand", None)
    if generator is None:
        return None
    return lambda job: generator.seed()


def keep_numpy(module):
    """Error handling and printing, which older versions keep outside contexts."""
    geterr, seterr = module.geterr, module.seterr
    geterrcall, seterrcall = module.geterrcall, module.seterrcall
    getbufsize, setbufsize = module.getbufsize, module.setbufsize
    get_print, set_print = module.get_printoptions, module.set_printoptions
    errors, call, size, printing = geterr(), geterrcall(), getbufsize(), get_print()

    def restore(job):
        if geterr() != errors:
            seterr(**errors)
        if geterrcall() is not call:
            seterrcall(call)
        if getbufsize() != size:
            setbufsize(size)
        if get_print() != printing:
            set_print(**printing)
    return restore


def keep_faulthandler(module):
    enabled, disable, cancel = module.is_enabled, module.disable, module.cancel_dump_traceback_later
    was = enabled()

    def restore(job):
        cancel()
        if enabled() and not was:
            disable()
    return restore


def keep_tracemalloc(module):
    tracing, stop = module.is_tracing, module.stop
    return lambda job: tracing() and stop()


def keep_readline(module):
    def restore(job):
        job.taint("readline was loaded, whose state cannot be read")
    return restore


def keep_csv(module):
    """Registered dialects, and the limit on a field's size."""
    limit, dialects = module.field_size_limit, module.list_dialects
    get, register, unregister = module.get_dialect, module.register_dialect, module.unregister_dialect
    saved, size = {name: get(name) for name in dialects()}, limit()

    def restore(job):
        if limit() != size:
            limit(size)
        for name in dialects():
            if name not in saved:
                unregister(name)
        for name, dialect in saved.items():
            if name not in dialects() or get(name) is not dialect:
                register(name, dialect)
    return restore


def keep_syslog(module):
    def restore(job):
        if "syslog.openlog" not in watch or "syslog.setlogmask" not in watch:
            module.closelog()
            module.setlogmask(0xFF)
    return restore


def keep_sqlite(module):
    """Adapters and converters are kept in dictionaries; callback tracebacks are not."""
    off = module.enable_callback_tracebacks
    return lambda job: off(False)


def keep_warnings(module):
    """The filters' list is kept like every list; C caches a version of it."""
    mutated = getattr(module, "_filters_mutated", None)
    if mutated is None:
        mutated = sys.modules["warnings"]._filters_mutated_lock_held
    return lambda job: mutated()


RESTORERS = {
    "_decimal": keep_decimal, "_locale": keep_locale, "_socket": keep_socket,
    "_asyncio": keep_asyncio,
    "random": keep_random, "numpy": keep_numpy, "numpy.random": keep_numpy_random,
    "faulthandler": keep_faulthandler, "tracemalloc": keep_tracemalloc, "readline": keep_readline,
    "_csv": keep_csv, "syslog": keep_syslog, "sqlite3": keep_sqlite, "_warnings": keep_warnings,
}

restorers = []


def adopt_state(name):
    """Keep what a module that was just loaded has beside its names."""
    make = RESTORERS.get(name)
    if make is not None:
        restore = make(modules[name])
        if restore is not None:
            restorers.append(restore)
    for cls in abstract[len(registries):]:
        registries.append(registry_of(cls))


registries = []
cache_token = 0


def adopt_registries(unchanged):
    """Registrations that importing made; unchanged says that the job had made none before."""
    global cache_token
    if unchanged and get_cache_token() != cache_token:
        registries[:] = map(registry_of, abstract)
        cache_token = get_cache_token()


def registry_of(cls):
    """The classes registered with an abstract one, as weak references."""
    return set(_abc._get_dump(cls)[0]) if hasattr(_abc, "_get_dump") else set()


def forget_subclass_checks():
    """What ABCs remember of classes that had other methods then."""
    for cls in abstract:
        _abc._reset_caches(cls)


def restore_libraries(job):
    for restore in restorers:
        restore(job)
    restore_registries(job)


def restore_registries(job):
    """ABCs count registrations; only when the count moved are their registries compared."""
    global cache_token
    if get_cache_token() == cache_token:
        return
    for cls, saved in zip(abstract, registries):
        if registry_of(cls) - saved:
            _abc._reset_registry(cls)
            _abc._reset_caches(cls)
            for reference in saved:
                sub = reference()
                if sub is not None:
                    _abc._abc_register(cls, sub)
    cache_token = get_cache_token()
