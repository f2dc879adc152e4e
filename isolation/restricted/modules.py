"""What a restricted job may import, and the views that it gets instead of modules.

A view has the names below and nothing else: no submodules, no modules that a module uses.
Left out of the table is what evaluates text (get_type_hints, singledispatch by annotation),
looks attributes up by name unguarded, keeps state for others, writes to its arguments, or
formats (string.Formatter, UserString). "*" stands for all public names but those behind
a minus, of __all__ where there is one; names that this version of Python lacks are left out.
"""

import abc
import builtins
import collections.abc
import importlib
import typing

DEFAULT_MODULES = {
    "__future__": "* -all_feature_names",
    "abc": "ABC abstractmethod",
    "base64": """
        b16decode b16encode b32decode b32encode b64decode b64encode b85decode b85encode
        standard_b64decode standard_b64encode urlsafe_b64decode urlsafe_b64encode""",
    "bisect": "*",
    "cmath": "*",
    "collections": "ChainMap Counter OrderedDict UserDict UserList abc defaultdict deque namedtuple",
    "collections.abc": "*",
    "contextlib": "ExitStack closing contextmanager nullcontext suppress",
    "copy": "Error copy deepcopy error",
    "dataclasses": """
        FrozenInstanceError InitVar KW_ONLY MISSING asdict astuple dataclass field fields
        is_dataclass replace""",
    "datetime": "MAXYEAR MINYEAR UTC date datetime time timedelta timezone tzinfo",
    "decimal": "* -DefaultContext -BasicContext -ExtendedContext",
    "enum": "Enum Flag IntEnum IntFlag StrEnum auto unique",
    "fractions": "Fraction",
    "functools": """
        cache cached_property cmp_to_key lru_cache partial partialmethod reduce total_ordering
        wraps""",
    "hashlib": """
        blake2b blake2s md5 sha1 sha224 sha256 sha384 sha3_224 sha3_256 sha3_384 sha3_512 sha512""",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "io": "BytesIO StringIO",
    "itertools": "*",
    "json": "JSONDecodeError JSONDecoder JSONEncoder dump dumps load loads",
    "math": "*",
    "numbers": "Complex Integral Number Rational Real",
    "operator": """
        abs add and_ attrgetter concat contains countOf eq floordiv ge getitem gt iadd iand
        iconcat ifloordiv ilshift imatmul imod imul index indexOf inv invert ior ipow irshift
        is_ is_not isub itemgetter itruediv ixor le length_hint lshift lt matmul methodcaller
        mod mul ne neg not_ or_ pos pow rshift sub truediv truth xor""",
    "random": """
        Random betavariate choice choices expovariate gammavariate gauss getrandbits getstate
        lognormvariate normalvariate paretovariate randbytes randint random randrange sample
        seed setstate shuffle triangular uniform vonmisesvariate weibullvariate""",
    "re": """
        A ASCII DOTALL I IGNORECASE L LOCALE M MULTILINE Match Pattern RegexFlag S U UNICODE
        VERBOSE X compile error PatternError escape findall finditer fullmatch match search
        split sub subn""",
    "statistics": """
        StatisticsError correlation covariance fmean geometric_mean harmonic_mean
        linear_regression mean median median_grouped median_high median_low mode multimode
        pstdev pvariance quantiles stdev variance""",
    "string": """
        ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits
        printable punctuation whitespace""",
    "sys": """
        argv byteorder exit float_info getrecursionlimit hexversion int_info maxsize maxunicode
        stderr stdin stdout version version_info""",
    "textwrap": "dedent fill indent shorten wrap",
    "time": """
        ctime gmtime localtime mktime monotonic monotonic_ns perf_counter perf_counter_ns
        process_time process_time_ns sleep strftime strptime struct_time time time_ns""",
    "types": "SimpleNamespace",
    "typing": """
        AbstractSet Annotated Any AnyStr BinaryIO Callable ChainMap ClassVar Collection
        Concatenate Container Counter DefaultDict Deque Dict Final FrozenSet Generator Generic
        Hashable ItemsView Iterable Iterator KeysView List Literal Mapping MappingView Match
        MutableMapping MutableSequence MutableSet NamedTuple Never NewType NoReturn NotRequired
        Optional OrderedDict ParamSpec Pattern Protocol Required Reversible Self Sequence Set
        Sized SupportsAbs SupportsFloat SupportsIndex SupportsInt SupportsRound TYPE_CHECKING
        Text Tuple Type TypeAlias TypeGuard TypeVar TypedDict Union ValuesView assert_never
        cast final get_args get_origin overload override runtime_checkable""",
    "unicodedata": "*",
    "uuid": "NAMESPACE_DNS NAMESPACE_OID NAMESPACE_URL NAMESPACE_X500 UUID uuid3 uuid4 uuid5",
}

# What these import when they are used; the job's own directory must have no say in that.
USED_LATER = ("_strptime", "inspect", "encodings.idna", "unicodedata")

real_import = builtins.__import__

# Views by name. Those of a job are made when it imports them.
views = {}
job_views = {}
allowed_modules = ()


class RestrictedImportError(ImportError):
    """A module that jobs may not import."""


RestrictedImportError.__module__ = "builtins"


class View:
    """The type of all views. What a view shows are attributes of its class."""

    __slots__ = ()

    def __init_subclass__(cls, of, **keywords):
        cls.__module__, cls.__name__ = "builtins", "module"
        if of:
            cls.__qualname__ = of

    def __getattr__(self, name):
        refuse_attribute(name, f"of the module {type(self).__qualname__!r} is refused: it is not there, or not for jobs")

    def __repr__(self):
        return f"<restricted module {type(self).__qualname__!r}>"


def make_view(name, content):
    # A static method's value is found as it is, whatever it is, at the speed of an attribute.
    table = {key: staticmethod(value) for key, value in content.items()}
    return type("module", (View,), {"__slots__": (), **table}, of=name)()


def prepare_views(names):
    """Import what jobs may import, once, and make the views of it."""
    global allowed_modules
    chosen = dict.fromkeys(DEFAULT_MODULES if names is None else ("__future__", *names))
    if chosen.pop("default", 1) is None:
        chosen.update(dict.fromkeys(DEFAULT_MODULES))
    allowed_modules = tuple(sorted(chosen))
    for name in USED_LATER:
        importlib.import_module(name)
    # Those within others first, which show them.
    for name in sorted(chosen, key=lambda name: -name.count(".")):
        try:
            module = importlib.import_module(name)
        except Exception as exc:
            sys.exit(f"cannot let jobs import {name}: {type(exc).__name__}: {exc}: "
                     "install it for this Python, or take it out of imports")
        content = module_content(name, module)
        views[name] = make_view(name, content)
    for name in [name for name in chosen if "." in name]:
        parent = name.rpartition(".")[0]
        while parent:
            if parent not in views:
                views[parent] = make_view(parent, {
                    other[len(parent) + 1:]: view for other, view in views.items()
                    if other.rpartition(".")[0] == parent})
            parent = parent.rpartition(".")[0]
    PLAIN_CLASSES.update((
        abc.ABC, typing.Generic, typing.Protocol, collections.OrderedDict, collections.defaultdict,
        collections.deque, collections.Counter,
        *map(vars(collections.abc).get, collections.abc.__all__)))
    if "decimal" in views:
        WRITABLE.update((views["decimal"].Context, type(views["decimal"].Context().flags)))


def module_content(name, module):
    """The names that a view shows."""
    rule = DEFAULT_MODULES.get(name, "*").split()
    if rule[0] == "*":
        left_out = {word[1:] for word in rule[1:]}
        public = getattr(module, "__all__", None) or dir(module)
        rule = [key for key in public if key[0] != "_" and key not in left_out]
    content = {}
    replaced = replacements(name)
    for key in rule:
        below = f"{name}.{key}"
        if below in views:
            content[key] = views[below]
        elif key in replaced:
            content[key] = replaced[key]
        elif hasattr(module, key) and may_be_shown(getattr(module, key)):
            content[key] = getattr(module, key)
    return content


def may_be_shown(value):
    return type(value) not in UNSEEN and not (is_class(value) and issubclass(value, type))


def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    """What import statements call. Nothing is loaded here that is not loaded already.

    Functions in C import what they need (strptime does) by way of this as well, and take the
    module from sys.modules themselves; they pass a list, statements never do.
    """
    if type(fromlist) is list:
        return real_import(name, globals, locals, fromlist, level)
    if level or name not in views:
        raise RestrictedImportError(
            f'the import of "{"." * level}{name}" is refused: this pool allows '
            + ", ".join(n for n in allowed_modules if n[0] != "_"), name=name)
    if not fromlist and "." in name:
        name = name.partition(".")[0]
    view = view_of(name)
    for wanted in fromlist or ():
        # Python would look for a module of that name otherwise.
        if wanted == "*" or wanted[:1] == "_" or not hasattr(view, wanted):
            raise RestrictedImportError(
                f'the import of "{wanted}" from "{name}" is refused: it is not there, or not for jobs',
                name=name)
    return view


def view_of(name):
    view = job_views.get(name)
    if view is None:
        make = OF_A_JOB.get(name)
        view = views[name]
        if make is not None:
            view = job_views[name] = make_view(name, make(type(view)))
    return view
