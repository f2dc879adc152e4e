"""Which jobs can have changed nothing: a proof from the names and operations of their code.

Most jobs compute something and print it. Checking the whole process after each of them
would cost more than they do, so a job is looked at before it runs. It is *plain* when
everything that its code can reach is its own or cannot be changed:

- Its globals are its own names and the builtins of PLAIN_BUILTINS. Any other builtin
  (getattr, open, exec, __import__, globals, ...) makes it not plain.
- Its attributes are names without a leading underscore, but for the methods of
  PLAIN_DUNDERS, and none that leads from an object to a frame, code or namespace (the
  public attributes of frames, generators, tracebacks, ...).
- It imports nothing, or only names of PLAIN_IMPORTS, whose functions and classes keep no
  state. Then it must not store attributes, define classes or ask for types either, so
  that all its objects are of types whose behaviour is known.
- It has no class pattern, whose attribute names are data.

co_names doesn't say whether a name is a global or an attribute, so each is held to both
rules. Names computed at run time need getattr, exec and the like. What is not proven
plain gets the full reset; a wrong "no" costs time, never isolation.
"""

import builtins
import opcode
import sys
import types

CodeType = types.CodeType

# The operations of later versions have not been examined.
EXAMINED = sys.version_info < (3, 14)

PLAIN_BUILTINS = frozenset("""
abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate
filter float format frozenset hash hex int isinstance issubclass iter len list map max min
next object oct ord pow print property range repr reversed round set slice sorted
staticmethod classmethod str sum super tuple zip type input
True False None NotImplemented Ellipsis
""".split()) | frozenset(
    name for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException))

PLAIN_DUNDERS = frozenset("""
__name__ __init__ __repr__ __str__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __len__
__iter__ __next__ __contains__ __getitem__ __setitem__ __delitem__ __bool__ __int__ __float__
__index__ __call__ __enter__ __exit__ __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__
__mul__ __rmul__ __imul__ __matmul__ __truediv__ __rtruediv__ __floordiv__ __mod__ __pow__
__neg__ __pos__ __abs__ __invert__ __and__ __or__ __xor__ __lshift__ __rshift__ __reversed__
__round__ __module__ __qualname__ __slots__ __static_attributes__ __firstlineno__ __doc__
__classcell__ __class__ __annotations__ __main__
""".split())

# With imports, functions of the library are in reach, and these could change them.
IMPORTING_DUNDERS = frozenset(("__name__", "__main__", "__doc__"))

# From each module the names that lead to nothing that can be changed.
PLAIN_IMPORTS = {
    "math": None, "cmath": None, "itertools": None, "bisect": None, "time": """
        time time_ns sleep perf_counter perf_counter_ns monotonic monotonic_ns process_time
        process_time_ns""",
    "heapq": "heappush heappop heapify heapreplace heappushpop nlargest nsmallest merge",
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "functools": "reduce partial cmp_to_key lru_cache cache",
    "operator": """
        add sub mul truediv floordiv mod pow neg abs and_ or_ xor not_ eq ne lt le gt ge
        itemgetter concat contains countOf indexOf index""",
    "typing": """
        List Dict Tuple Set FrozenSet Optional Union Any Callable Iterable Iterator Sequence
        Generator Mapping MutableMapping DefaultDict Deque Hashable Literal NamedTuple Type""",
    "string": """
        ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits
        punctuation printable whitespace""",
    "re": """
        findall finditer match fullmatch search sub subn split compile escape
        IGNORECASE MULTILINE DOTALL VERBOSE I M S X""",
    "hashlib": "md5 sha1 sha224 sha256 sha384 sha512",
    "json": "dumps loads JSONDecodeError",
    "statistics": "mean median mode stdev variance pstdev pvariance fmean",
    "fractions": "Fraction",
    "datetime": "datetime date timedelta timezone",
    "textwrap": "dedent indent fill shorten",
    "copy": "copy deepcopy",
    "base64": "b64encode b64decode b32encode b32decode b16encode b16decode",
    "uuid": "uuid4 UUID",
}

# Whatever public name leads from an object to code, frames or types' tables.
UNSAFE_ATTRIBUTES = frozenset(
    name
    for kind in (types.FrameType, types.TracebackType, types.GeneratorType, types.CoroutineType,
                 types.AsyncGeneratorType, types.CodeType, types.CellType, types.FunctionType, type,
                 types.ModuleType, types.MappingProxyType)
    for name in vars(kind) if name[0] != "_"
) - {"send", "throw", "close", "keys", "values", "items", "get", "copy", "replace"}

STORES = bytes(opcode.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR") if name in opcode.opmap)
CLASSES = bytes(opcode.opmap[name] for name in ("LOAD_BUILD_CLASS",))
IMPORT_NAME, EXTENDED_ARG = opcode.opmap["IMPORT_NAME"], opcode.opmap["EXTENDED_ARG"]
REFUSED = bytes(opcode.opmap[name] for name in ("MATCH_CLASS", "IMPORT_STAR", "PRINT_EXPR")
                if name in opcode.opmap)
NOTABLE = STORES + CLASSES + REFUSED + bytes((IMPORT_NAME,))
UNREMARKABLE = bytes(op for op in range(256) if op not in NOTABLE)

# Set by prepare_analysis.
plain_names = import_names = refused_names = frozenset()


def prepare_analysis():
    """Fill in what depends on the modules at hand."""
    global import_names, refused_names, plain_names
    allowed = set(PLAIN_IMPORTS)
    for name, public in PLAIN_IMPORTS.items():
        if public is None:
            module = __import__(name)
            allowed.update(n for n in vars(module) if n[0] != "_")
        else:
            allowed.update(public.split())
    import_names = frozenset(allowed)
    plain_names = PLAIN_BUILTINS | PLAIN_DUNDERS
    refused_names = UNSAFE_ATTRIBUTES | (frozenset(vars(builtins)) - PLAIN_BUILTINS - PLAIN_DUNDERS)


def is_plain(parts):
    """Whether none of these code objects (or None) can change what outlives the job."""
    global may_relabel, imported
    may_relabel = True
    if not EXAMINED:
        return False
    notable, names, imported, stored = set(), set(), set(), set()
    for code in parts:
        if code is not None:
            survey(code, notable, names, imported, stored)
    may_relabel = not names.isdisjoint(RELABELING) or not stored.isdisjoint(LABELS)
    if not notable.isdisjoint(REFUSED):
        return False
    if not imported:
        return no_import_is_plain(names)
    return (notable.isdisjoint(STORES) and notable.isdisjoint(CLASSES)
            and imported.issubset(baseline_imports()) and imports_are_plain(names))


def survey(code, notable, names, imported, stored):
    """Collect what a code object and those within it do, name, import and store as attributes."""
    ops = code.co_code[::2].translate(None, UNREMARKABLE)
    if ops:
        notable.update(ops)
        if IMPORT_NAME in ops:
            imported.update(operands(code, IMPORT_NAME))
        for op in STORES:
            if op in ops:
                stored.update(operands(code, op))
    names.update(code.co_names)
    for const in code.co_consts:
        if type(const) is CodeType:
            survey(const, notable, names, imported, stored)


def operands(code, op):
    """The names that an operation of a code object works on; "" stands for one that is not
    told."""
    ops, args = code.co_code[::2], code.co_code[1::2]
    at = ops.find(op)
    while at >= 0:
        yield "" if at and ops[at - 1] == EXTENDED_ARG else code.co_names[args[at]]
        at = ops.find(op, at + 1)


def no_import_is_plain(names):
    for name in names:
        if name not in plain_names and (name in refused_names or name[0] == "_"):
            return False
    return True


def imports_are_plain(names):
    """Every name is a builtin, one of the import table, or nothing that a module has.

    A name of the job's own is fine as a variable; as an attribute it must not exist on
    the modules and classes of the table, which library_names covers.
    """
    for name in names:
        if name in import_names or (name in PLAIN_BUILTINS and name != "type"):
            continue
        if name in IMPORTING_DUNDERS or name in SAFE_METHODS:
            continue
        if name[0] == "_" or "." in name or name in refused_names or name in library_names():
            return False
    return True


# Methods of values: what they change is the job's.
SAFE_METHODS = frozenset(
    name
    for kind in (str, bytes, bytearray, list, dict, set, frozenset, tuple, int, float, complex,
                 range, BaseException)
    for name in vars(kind) if name[0] != "_"
) | frozenset("""
    elements most_common subtract total move_to_end popleft appendleft extendleft rotate maxlen
    group groups groupdict start end span hexdigest digest send throw close
    year month day hour minute second strftime isoformat weekday days seconds total_seconds
    now today fromtimestamp timestamp date numerator denominator hex
""".split())

# How a job may change a function's labels (its name, __dict__, ...) without an audit event:
# by storing one of the first, where "" is a name that is not told, or by one of the others.
# Other ways exist, so a thorough reset also comes every collect_every jobs.
LABELS = frozenset(("__name__", "__qualname__", "__doc__", "__module__", ""))
RELABELING = frozenset("""
__dict__ __annotations__ __setattr__ __delattr__
setattr delattr exec eval compile vars globals getattr __getattribute__ __builtins__ __import__
import_module copyreg dispatch_table __reduce__ __reduce_ex__ wraps update_wrapper attrgetter methodcaller patch run_path run_module
""".split())
may_relabel = True
imported = ()           # the modules that the job's code imports

# Taken when first needed, and again after a module joined the baseline.
table_names = None


def forget_table_names():
    global table_names
    table_names = None


def baseline_imports():
    """The modules of the table that are loaded: of others it isn't known what they have."""
    return take_table_names()[0]


def library_names():
    """Every name in those modules and in their classes: as an attribute, a name that a job
    uses and none of them has cannot be theirs."""
    return take_table_names()[1]


def take_table_names():
    global table_names
    if table_names is None:
        loaded = frozenset(name for name in PLAIN_IMPORTS if name in baseline_modules)
        names = set()
        for name in loaded:
            for key, value in vars(baseline_modules[name]).items():
                names.add(key)
                if isinstance(value, type):
                    for base in value.__mro__:
                        names.update(vars(base))
        table_names = loaded, frozenset(names)
    return table_names
