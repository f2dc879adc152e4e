package isolation

import (
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// restrictedPrograms use what restricted jobs may: the same comes of them as elsewhere.
var restrictedPrograms = []conformanceCase{
	{"class", code("class A:", "  _count = 0", "  def __init__(self, x): self._x = x; self.__y = x + 1; A._count += 1", "  def __len__(self): return self._x",
		"  def __repr__(self): return f'{type(self).__name__}({self._x!r}, {self.__y})'", "  @property", "  def x(self): return self._x", "  @x.setter", "  def x(self, v): self._x = v",
		"a = A(2); a.x += 40; a.name = 'n'; print(a, len(a), a.name, A._count, a.__class__ is A, A.__name__, getattr(a, '_x'), hasattr(a, '_z'))"),
		prints("A(42, 3) 42 n 1 True A 42 False\n")},
	{"inheritance", code("import abc", "class Shape(abc.ABC):", "  def __init__(self): self._n = 1", "  @abc.abstractmethod", "  def area(self): ...",
		"class Square(Shape):", "  def __init__(self, a): super().__init__(); self._a = a", "  def area(self): return self._a ** 2 + self._n",
		"print(Square(3).area(), isinstance(Square(1), Shape))", "Shape()"), all(stdout("10 True\n"), raised("TypeError", "abstract", 10))},
	{"items in place", code("d = {'a': [1, 2]}; d['a'][0] += 1; d['b'] = d.pop('a'); x, *y = d['b']; del d['b'][0]", "a = [[0] * 2 for _ in range(2)]; a[1][1] |= 3; a[0][:] = [7]", "print(d, x, y, a)"),
		prints("{'b': [2]} 2 [2] [[7], [0, 3]]\n")},
	{"functions", code("def make():", "  n = 0", "  def count(*a, **k):", "    nonlocal n", "    n += len(a) + len(k); return n", "  return count", "c = make(); c(1, 2, x=3)",
		"def memo(f):", "  memo.calls = 0", "  def g(x, /, *, y: 'int' = 1) -> 'str': memo.calls += 1; return f(x) + y", "  g.__name__ = f.__name__", "  return g",
		"@memo", "def sq(x: 'undefined') -> int: return x * x", "print(c(), sq(3), sq.__name__, memo.calls, (lambda *a: a)(*[1, 2]))"), prints("3 10 sq 1 (1, 2)\n")},
	{"generators and with", code("import contextlib", "@contextlib.contextmanager", "def f():", "  try: yield [1]", "  finally: print('end')",
		"def g(): x = yield 1; yield from (x, 3)", "with f() as (a,), contextlib.suppress(KeyError): print(a); {}[1]", "i = g(); print(next(i), i.send(2), list(i))"), prints("1\nend\n1 2 [3]\n")},
	{"exceptions", code("class E(Exception):", "  def __init__(self, x): super().__init__(x); self.x = x", "try:", "  try: raise E(1)", "  except (E, ValueError) as e: raise KeyError(e.x) from e",
		"except KeyError as e: print(repr(e), e.args)", "else: print('no')", "finally: print('f')", "assert (n := 1) == 1, n"), prints("KeyError(1) (1,)\nf\n")},
	{"match", code("def f(x):", "  match x:", "    case 0 | None: return 'n'", "    case [a, *_]: return a", "    case {'k': v, **r}: return v, r", "    case str() as s if s: return s", "    case _: return '?'",
		"print(f(0), f([1, 2]), f({'k': 1, 'z': 2}), f('s'), f(1.5))"), prints("n 1 (1, {'z': 2}) s ?\n")},
	{"format", code("class P: x = [1, {'k': 2}]", "print('{0:>5}|{1.x[1][k]:03d}|{n!r:>{w}}'.format(7, P(), n='s', w=4), '{a}'.format_map({'a': 1}), f'{P.x[0]:>{3}}', '%s' % 1, format(1.5, '.2f'))"),
		prints("    7|002| 's' 1   1 1 1.50\n")},
	{"dataclass", code("import dataclasses, typing", "@dataclasses.dataclass(order=True, frozen=True)", "class P:", "  x: int", "  y: 'typing.List[int]' = dataclasses.field(default_factory=list, compare=False)",
		"  _z: int = 0", "  def __post_init__(self): print('post')", "p = P(1); print(p, P(1) == P(1), P(1) < P(2), dataclasses.replace(p, x=2), dataclasses.asdict(p))", "p.x = 3"),
		all(stdout("post\npost\npost\npost\npost\npost\nP(x=1, y=[], _z=0) True True P(x=2, y=[], _z=0) {'x': 1, 'y': [], '_z': 0}\n"), raised("dataclasses.FrozenInstanceError", "x", 9))},
	{"enum", code("import enum", "class C(enum.Enum):", "  A = 1; B = enum.auto()", "  @classmethod", "  def _missing_(cls, v): return cls.A", "F = enum.IntFlag('F', 'X Y')", "D = enum.Enum('D', {'P': 'p'})",
		"print(C.A, C(2), C('x'), C['B'].value, list(C), F.X | F.Y == 3, D.P.value, D.P.name)"), prints("C.A C.B C.A 2 [<C.A: 1>, <C.B: 2>] True p P\n")},
	{"named tuple", code("import collections, typing", "P = collections.namedtuple('P', 'x y', defaults=[0])", "class Q(typing.NamedTuple):", "  a: int", "  b: str = 's'",
		"print(P(1)._replace(y=2), P._make([3, 4])._asdict(), Q(1), P._fields)"), prints("P(x=1, y=2) {'x': 3, 'y': 4} Q(a=1, b='s') ('x', 'y')\n")},
	{"generic", code("from typing import Generic, TypeVar, List, Optional, Protocol, runtime_checkable", "T = TypeVar('T')", "class S(Generic[T]):", "  def __init__(self): self._items: List[T] = []", "  def push(self, x: T) -> None: self._items.append(x)",
		"@runtime_checkable", "class Sized_(Protocol):", "  def __len__(self) -> int: ...", "s = S[int](); s.push(1); x: Optional[int] = None", "print(s._items, isinstance([], Sized_), x)"), prints("[1] True None\n")},
	{"functools", code("import functools, operator", "@functools.lru_cache(maxsize=None)", "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)",
		"def deco(f):", "  @functools.wraps(f)", "  def g(*a): return f(*a)", "  return g", "@deco", "def named(): 'doc'",
		"print(fib(50), functools.reduce(operator.mul, [1, 2, 3]), functools.partial(pow, 2)(5), named.__name__, named.__doc__, sorted([(1, 2), (0, 3)], key=operator.itemgetter(1)), operator.attrgetter('real')(3), operator.methodcaller('upper')('a'))"),
		prints("12586269025 6 32 named doc [(1, 2), (0, 3)] 3 A\n")},
	{"library", code("import json, re, datetime, itertools, collections, statistics, decimal, fractions, heapq, bisect, math, copy, hashlib, string, textwrap, base64, io",
		"print(json.loads(json.dumps({'a': [1.5, None]})), re.sub(r'(\\d)', lambda m: str(int(m.group(1)) + 1), 'a1b2'), datetime.datetime.strptime('2024-02-29', '%Y-%m-%d').date() + datetime.timedelta(1))",
		"print(list(itertools.islice(itertools.count(), 2)), collections.Counter('aab').most_common(1), statistics.mean([1, 2]), decimal.Decimal('0.1') + 1, fractions.Fraction(1, 3) * 3)",
		"h = [3, 1]; heapq.heapify(h); print(heapq.heappop(h), bisect.bisect([1, 2], 1), math.isqrt(17), copy.deepcopy([[1]]), hashlib.md5(b'x').hexdigest()[:4], string.digits, textwrap.dedent(' a'), base64.b64encode(b'a'))",
		"f = io.StringIO(); print(1, file=f); print(f.getvalue().strip())"),
		prints("{'a': [1.5, None]} a2b3 2024-03-01\n[0, 1] [('a', 2)] 1.5 1.1 1\n1 1 4 [[1]] 9dd4 0123456789 a b'YQ=='\n1\n")},
	{"streams", pyproc.Request{Code: "import sys\nprint(input(), sys.stdin.readline().strip(), [l.strip() for l in sys.stdin], sys.argv[1:])\nprint('e', file=sys.stderr); sys.stdout.write('w')\nsys.exit(3)", Stdin: ptr("a\nb\nc\n"), Args: []string{"x"}},
		all(exits(3), stdout("a b ['c'] ['x']\nw"), stderrHas("e\n"))},
	{"main", code("def main(): print(__name__)", "if __name__ == '__main__': main()"), prints("__main__\n")},
	{"introspection", code("class A:", "  def __init__(self): self.x = 1; self._y = 2", "a = A()", "print(vars(a), [n for n in dir(a)], isinstance(A, type), type(A) is type, callable(a), type(1) is int, issubclass(A, object))"),
		prints("{'x': 1, '_y': 2} ['x'] True True False True True\n")},
}

func TestRestrictedPrograms(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork, fork} {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			r := newRow(t, mode)
			for _, c := range restrictedPrograms {
				t.Run(c.name, func(t *testing.T) {
					if mode.Name == fork.Name && c.name == "introspection" {
						c.check = ok // there dir shows all names
					}
					c.check(t, r.do(c.req))
				})
			}
			r.replacedAtMost(0)
		})
	}
}

// TestRefusals: a refusal names the construct and the line.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork} {
		p := start(t, mode)
		for source, want := range map[string][2]string{
			"\n\nexec('1')":                           {"RestrictedSyntaxError", `"exec" is refused`},
			"\n\neval('1')":                           {"RestrictedSyntaxError", `"eval" is refused`},
			"def f():\n  pass\n  f.__globals__":       {"RestrictedSyntaxError", `the attribute "__globals__" is refused`},
			"\n\nx = __builtins__":                    {"RestrictedSyntaxError", `the name "__builtins__" is refused`},
			"\n\nasync def f(): pass":                 {"RestrictedSyntaxError", "async def is refused"},
			"\n\nfrom os import *":                    {"RestrictedSyntaxError", "import * is refused"},
			"\n\nclass A(metaclass=type): pass":       {"RestrictedSyntaxError", `"metaclass" is refused`},
			"\nclass A:\n  def __del__(self): pass":   {"RestrictedSyntaxError", `the function name "__del__" is refused`},
			"\ng = (i for i in '')\ng.gi_frame":       {"RestrictedSyntaxError", `the attribute "gi_frame" is refused`},
			"\nmatch 1:\n  case int(real=x): pass":    {"RestrictedSyntaxError", "a class pattern with attributes is refused"},
			"\n\nimport os":                           {"RestrictedImportError", `the import of "os" is refused`},
			"\n\nimport numpy.linalg":                 {"RestrictedImportError", `the import of "numpy.linalg" is refused`},
			"\n\nfrom json import decoder":            {"RestrictedImportError", `the import of "decoder" from "json" is refused`},
			"\n\nopen('x')":                           {"RestrictedNameError", `"open" is refused`},
			"\n\ntype('A', (), {})":                   {"RestrictedNameError", "more than one argument is refused"},
			"import json\n\njson.codecs":              {"RestrictedAttributeError", `the attribute "codecs" of the module 'json' is refused`},
			"import json\n\njson.dumps = 1":           {"RestrictedAttributeError", "is refused: it is not the job's own"},
			"import json\n\njson.JSONEncoder._x":      {"RestrictedAttributeError", `the attribute "_x" is private and refused`},
			"x = '{0.__dict__}'\n\nx.format(1)":       {"RestrictedAttributeError", `the attribute "__dict__" is refused`},
			"f = getattr\n\nf(f, '__' + 'globals__')": {"RestrictedAttributeError", `the attribute "__globals__" is refused`},
		} {
			raised(want[0], want[1], 3)(t, do(t, p, code(source)))
		}
		raised("SyntaxError", "", 2)(t, do(t, p, code("x", "def f(:")))
	}
}

// TestRestrictedState: what jobs may use that has a state is each job's own.
func TestRestrictedState(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork} {
		p := start(t, mode)
		for range 2 {
			value("28", "28")(t, do(t, p, code("import decimal", "c = decimal.getcontext()", "before = c.prec; c.prec = 5; c.traps[decimal.Inexact] = True", "before")))
			ok(t, do(t, p, code("import random", "random.seed(1); assert random.random() == 0.13436424411240122")))
			value("false", "False")(t, do(t, p, code("import random", "random.random() == 0.13436424411240122")))
			value("[]", "[]")(t, do(t, p, code("import sys", "a = sys.argv[1:]; sys.argv.append('x')", "a")))
		}
	}
}

// TestJobFilesAreNotImported: a file of the job's that is called like a module of the
// library is not run when the library imports that by itself.
func TestJobFilesAreNotImported(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork} {
		p := start(t, mode)
		files := map[string][]byte{}
		for _, name := range []string{"_strptime", "heapq", "locale", "stringprep", "os", "re", "json", "helper", "encodings", "zlib"} {
			files[name+".py"] = []byte("print('PWNED')")
		}
		for _, source := range []string{
			"import datetime, collections, time, re\ndatetime.datetime.strptime('2020', '%Y'); time.strptime('2020', '%Y')\ncollections.Counter('a').most_common(1)",
			"'é'.encode('idna'); 'x'.encode('utf-7')",
			"b'x'.decode('zlib_codec')", "import helper", "import json\nprint(json.dumps(1))", "raise ValueError",
		} {
			out := do(t, p, pyproc.Request{Code: source, Files: files})
			if out.Completion == nil || strings.Contains(string(out.Stdout)+string(out.Stderr), "PWNED") {
				t.Errorf("%s: %+v, %s%s, %s", source, out.Completion, out.Stdout, out.Stderr, out.Detail)
			}
			if !out.Reusable { // a library's module in C was loaded beside a file of that name
				p = start(t, mode)
			}
		}
	}
}

func TestRestrictedInputs(t *testing.T) {
	t.Parallel()
	p := start(t, restricted)
	value("3", "3")(t, do(t, p, pyproc.Request{Code: "x + _y", Inputs: []byte(`{"x": 1, "_y": 2}`)}))
	for _, name := range []string{"__builtins__", "__name__", "__import__", "<getattr>", "__class__"} {
		out := do(t, p, pyproc.Request{Code: "import json\njson.__name__ if 0 else json.dumps", Inputs: []byte(`{"` + name + `": {"a": 1}}`)})
		if c := out.Completion; c == nil || c.Outcome != "error" || c.Error.Type != "RestrictedNameError" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestRestrictedImports: a pool's own list replaces the default.
func TestRestrictedImports(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork} {
		settings, err := mode.Settings(Options{Imports: []string{"math", "xml.etree.ElementTree", "csv"}})
		if err != nil {
			t.Fatal(err)
		}
		p := startWith(t, mode, func(s *pyproc.Spec) { s.Options = settings })
		prints("3.0 t\n")(t, do(t, p, code("import math, csv", "import xml.etree.ElementTree as e", "print(math.sqrt(9), e.fromstring('<t/>').tag)")))
		raised("RestrictedImportError", "this pool allows csv, math, xml.etree.ElementTree", 1)(t, do(t, p, code("import json")))
		raised("RestrictedAttributeError", "", 2)(t, do(t, p, code("import xml.etree.ElementTree", "xml.etree.ElementTree.sys")))
		raised("RestrictedImportError", "", 1)(t, do(t, p, code("from csv import io")))
	}
}

func TestRestrictedNumpy(t *testing.T) {
	t.Parallel()
	python := pyenv.With(t, pyenv.RestrictedPython, pyenv.Numpy)
	for _, mode := range []Mode{restricted, restrictedFork} {
		settings, err := mode.Settings(Options{Imports: []string{"default", "numpy"}})
		if err != nil {
			t.Fatal(err)
		}
		p := startWith(t, mode, func(s *pyproc.Spec) { s.Python, s.Options = python, settings })
		for range 2 {
			prints("15.0 2\n")(t, do(t, p, code("import numpy as np, math", "a = np.arange(6, dtype=float).reshape(2, 3); a[0, 0] += 0; print(a.sum(), a.ndim)")))
			raised("RestrictedAttributeError", "", 2)(t, do(t, p, code("import numpy", "numpy.sys")))
			raised("RestrictedAttributeError", "", 2)(t, do(t, p, code("import numpy", "numpy.linalg")))
		}
	}
}

// TestRequirement: a Python without RestrictedPython, or with an old one, is refused with
// what to do.
func TestRequirement(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{restricted, restrictedFork} {
		for python, want := range map[string]string{
			pyenv.With(t, pyenv.Numpy):             "this Python has no RestrictedPython 8.4 or newer: install it",
			pyenv.With(t, "RestrictedPython==8.1"): "RestrictedPython 8.1 lets jobs escape: install 8.4 or newer",
		} {
			p, err := begin(t.Context(), spec(t, mode, func(s *pyproc.Spec) { s.Python = python }))
			if err == nil {
				p.Kill()
				t.Fatal("it started")
			}
			for _, part := range []string{want, " -m pip install 'RestrictedPython>=8.4'"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v, want %q", err, part)
				}
			}
		}
	}
}
