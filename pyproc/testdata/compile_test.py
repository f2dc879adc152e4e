"""Compares the harness's two ways to compile; run by TestSplitInPython.

Arguments: the folder of the harness, how many pieces of the library to try. split_text
must either decline or mean what split_tree means: the same statements at the same
positions, the same future flags, the same value or none, the same code.
"""

import ast
import builtins
import os
import random
import sys
import sysconfig
import types
import warnings

from load import load_harness

harness = load_harness(sys.argv[1])
warnings.simplefilter("ignore")
random.seed(1)
ERRORS = (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError)

# What the harness compiled of the source at hand: text, mode, flags.
pieces = []


def recording_compile(source, filename, mode, flags=0, dont_inherit=False):
    pieces.append((source, mode, flags))
    return builtins.compile(source, filename, mode, flags, dont_inherit)


harness.compile = recording_compile


def shape(code):
    """A code object without what its cutting into two may change."""
    if code is None:
        return ()
    consts = tuple(map(constant, code.co_consts))
    positions = tuple(code.co_positions()) if hasattr(code, "co_positions") else tuple(code.co_lines())
    return code.co_name, code.co_code, code.co_names, consts, code.co_flags, positions


def constant(value):
    if isinstance(value, types.CodeType):
        return shape(value)
    # Equal sets may differ in their order.
    return type(value), sorted(map(repr, value)) if type(value) is frozenset else repr(value)


def dump(node):
    return ast.dump(node, include_attributes=True)


def statements():
    """The dumps of the statements that split_text compiled; a value's is its expression's."""
    found = []
    for source, mode, _ in pieces:
        tree = builtins.compile(source, "", mode, ast.PyCF_ONLY_AST, True)
        found += map(dump, tree.body if mode == "exec" else [tree.body])
    return found


def expected(source, is_value):
    body = ast.parse(source).body
    if is_value:
        body[-1] = body[-1].value
    return list(map(dump, body))


def compare(source):
    """Whether split_text took the source on; exits where it differs."""
    pieces.clear()
    try:
        fast = harness.split_text(source)
    except ERRORS:
        return False
    if fast is None:
        return False
    taken, flags = statements(), [flags for _, _, flags in pieces]
    try:
        slow = harness.split_tree(source)
    except ERRORS as exc:
        sys.exit(f"split_text compiled what raises {type(exc).__name__}: {source!r}")
    if fast[2] != slow[2]:
        sys.exit(f"a value: {fast[2]} by text, {slow[2]} by tree: {source!r}")
    if taken != expected(source, fast[2]):
        sys.exit(f"other statements for {source!r}:\n{taken}\n{expected(source, fast[2])}")
    future = slow[0].co_flags & harness.FUTURE_FLAGS
    if flags != [0, future][-len(flags):] and flags != [0]:
        sys.exit(f"future flags {flags}, not {future}: {source!r}")
    if fast[2]:
        for mine, other in ((fast[1], slow[1]), (fast[0], slow[0])):
            # No statements before the expression: the tree yields an empty module.
            if mine is not None and shape(mine) != shape(other):
                sys.exit(f"different code for {source!r}:\n{shape(mine)}\n{shape(other)}")
    return True


TAKEN = [
    "x = 1; x", "x", "f(x)\n", "import os\nos.getcwd()", "def f():\n  return 1\n\nf()",
    "a = {1: 2}\nprint(a)", "x = 'é'; y = 2;  print(x, y)", "if 1:\n  pass\nx  # c", "x = 1\ny = 2",
    "from __future__ import annotations\nx", "from __future__ import annotations; x",
    "from __future__ import annotations\nx = lambda: 1", "'doc'\nx", "assert 1\nassert 2", "x = [\n1]\nx[0]",
    "a\n\n\n", "lambda: 1", "x if y else z", "a, b", "(x)", "x = 1 ;print (x)", "x=1; print(x)  # c",
    "x = 1  # a; b", "x = 1\nx  # 'a; b'", "x = ';'\nx", "x = '#;'\ny = x", "s = '''\n;#\n'''\ns",
    'def f():\n  """doc; string"""\nf()', "x = 1 + \\\n  2\nx", "class A: pass\nA()", "class A:\n\tx = 1\nA.x",
    "@d\ndef f(): pass\nf", "x = [y := 1, y]\nx", "async def f():\n  await g()\nf()", "\n\n\nx", "# c\n\nx",
    "x\n\n  \n\t\n", "π = 3\nπ", "x = 'π'; x", "π = 'π'; y = π; π", "def f():\n\treturn 1\nf()\t",
    "x = 1\n\f\ny", "match x:\n  case 1: pass\nx", "match = 1; match", "_ = 1\n_", "type = 1\ntype",
    "x = yield_ = 1\nyield_", "x += 1\nx **= 2", "x.y = 1\nx.y >>= 2", "import a.b as c\nimport d", "del x",
    "raise X from y", "pass", "if x:\n  y\nelse:\n  z\nw", "try:\n  a\nfinally:\n  b\nc", "x = {\n}\nx;y",
    "x = f'{y}'\nx", "*a, b = c\na", "x: int = 1\nx", "x: int\ny = 1",
    "print('a'); print('b')", "not x", "-x", "~x", "await_", "...", "1", "1.5", "[1]", "x = 1\n[x]", "b'x'",
]
DECLINED = [
    "", "# c", "x;", "x\n# c\n", "\fx", "if x: a; b", "x = '''\n1'''", "'doc'", "'a' 'b'", "# c\n'doc'",
    "if x: f(1,\n2); b", "if x: \\\na; b", "x = 1 \\\n; y", "x = 1 + \\\ny", "foo(\nx = 1)", "foo(\n1)",
    "x = 1; x) + (x", "x = 1; x for x in y", "x = 1; y := 2", "@d\nx", "x\r\ny", "'''\n'''; x\n#", "  x",
    "x = (1\n)", "for i in x:\n  i", "try: a\nfinally: b", "x = 1; a; b:", "yield x", "return x", "x = 1; *a, b",
    "x: int = 1", "x = 1; 'a;b'", "print('a;b')", "lambda: 1; x", "x = {1: 2}; x",
    "if x: s = '''\n'''; b", "class A: pass; x", "while 0: a; b", "a = b'''\n;'''; x[1:2]; y",
    "x = 1\r\nx\r\n", "x = 1\rx", "if x: y", "class A: pass", "def f(): pass", "def f(): return 1; x",
    "with a: b; c", "for i in x: y; z", "async def f(): a; b", "x = '", 'x = """', "x = (", "x = [\nx", "x = 1 \\",
    "x\\", "x = '''a\nx", "f(\nx", "{\nx", "if x:", "if x:\nx", "match x:\n  case 1: x", "from __future__ import annotations",
    "x = 1\nfrom __future__ import annotations", "x\nfrom __future__ import nothing", "global x", "x = 1\nglobal x",
    "nonlocal x", "break", "if 1:\n  x\n y", "x = 1\n  x", "\tx", "\f x", "x = 1\n\fx", "else", "x = 1; else", "x y",
    "1 +", "x = ", "x = y z", "a = 1; b c", "f'{x", "x = '\\N{none}'", "\ufeffx = 1; x = '", "x\0", "x = 1; \0",
    "'''\nx = 1", '"""\nx', "'\\\nx", "(\n#)\nx", "x = (\n'''\n)\ny", "async def f():\n  pass\nawait f()", "print x",
    "x = 1; # y", "x = 1; # 'y'; z", "x = '#'; y", "x; ;y", ";", ";x", "x = 1;; y", "x\n; y", "x\n ;y", "x;\f;y",
    "x; y # \0", "x; y # \ud800",
    "x = *a", "x = 1 = y", "x() = 1", "None = 1", "x = yield", "assert", "del f()", "raise x y", "import",
]
# Whatever becomes of these, both ways must agree; they are also tried in combination.
EITHER = [
    "x  # c; d", "x = 1 # c\\\n", "'a' if x else 'b'", "x = 1\n'doc'", "'doc'\n'doc'", "x = 1; y  # é;", "if x:\n  pass\nelif y: z",
    "x = 1;\ty", "x = 1; \f y", "x = 1;\fy", "é = 1; \fé", "x = 1\ny;\n", "\ufeffx = 1; x", "x = 1; lambda: 2",
    "x[1:2]", "y = 1; x[1:2]", "{x: y}", "[y := 1]", "(y := 1)", "x = lambda: (yield)", "print((yield))",
    "f(x for x in y)", "import a; a", "a = 1; import b", "a = 1; del b", "a = 1; b = 2", "x = 1; y == 2", "x == 1",
    "x != 1", "x <= 1", "x >= 1", "x = y == z", "x @= y", "x -= 1 # ;", "pass # ;", "pass;", "pass; x", "importx = 1",
    "delx", "passx", "raise_ = 1", "assert(x)", "del(x)", "raise(x)", "x.y.z = 1", "x . y = 1", "x .y", "x [1] = 2",
    "type X = int", "type X = int; x", "match x: # ;", "print(*a)", "print(**a)", "x = 1_000\nx", "0x_f", "1if x else y",
    "x = '\\\n'\nx", "x = r'\\'\nx", "x = '\\'#'; y", "x = rb'''\n''' ; x", "x = f'''{\ny}'''\nx", "x = f'{a:;}'; x",
    "\n\n'doc'\n\nx", "b'doc'\nx", "f'doc'\nx", "u'doc'", "r'doc'\nx", "('doc')", "('doc')\nx", "x\n'a'; 'b'",
    "def f(x, /, *, y: int = 1) -> int: ...\nf", "with (a as b, c): pass\nx", "try:\n  x\nexcept* E:\n  y\nz",
    "x\n\x0c\n", "x\x0c", "x \x0c", "x\x0b", "x\xa0", "x\u2028", "x = 1\u2028x", "x\x1c", "x\x1cy", "x = 1; \x1cy",
    "__debug__", "__debug__ = 1", "x = 1; __debug__", "exit", "await x", "x = [await y for y in z]",
]


def check_lists():
    for source in TAKEN:
        if not compare(source):
            sys.exit(f"split_text declined {source!r}")
    for source in DECLINED:
        if compare(source):
            sys.exit(f"split_text took on {source!r}")
    traps = TAKEN + DECLINED + EITHER
    for source in EITHER:
        compare(source)
    for _ in range(4000):
        first, second = random.choice(traps), random.choice(traps)
        compare(first + random.choice(["\n", "; ", ";", "\n\n", "\r\n", "  # c\n", " \\\n", "\n\f"]) + second)


def library(folders=("", "json", "asyncio", "unittest", "concurrent/futures", "importlib")):
    stdlib = sysconfig.get_path("stdlib")
    for folder in folders:
        place = os.path.join(stdlib, folder)
        for name in sorted(os.listdir(place)):
            if name.endswith(".py"):
                yield os.path.join(place, name)


def check_library(pieces):
    """Whole modules, and pieces of them cut anywhere: inside strings, brackets, blocks."""
    paths = list(library())
    preferred = {"dataclasses.py", "statistics.py", "functools.py", "decoder.py", "tasks.py"}
    random.shuffle(paths)
    paths.sort(key=lambda path: os.path.basename(path) not in preferred)
    taken = 0
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        lines = text.splitlines(keepends=True)[:400]
        if len(text) < 100_000:
            taken += compare(text + "\nx = 1\n") + compare(text + "\nx")
        for end in range(1, len(lines), 7):
            pieces -= 1
            if not pieces:
                return taken
            piece = "".join(lines[max(0, end - 25):end])
            taken += compare(piece) + compare(piece + "x")
            taken += compare(piece.rstrip("\n").replace("\n", "; ", 1)) + compare(piece.rstrip("\n") + "; x")
    return taken


check_lists()
if check_library(int(sys.argv[2])) < int(sys.argv[2]) / 10:
    sys.exit("too few pieces of the standard library were compared")
