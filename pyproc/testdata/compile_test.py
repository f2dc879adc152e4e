"""Compares the harness's two ways to compile; run by TestSplitInPython.

Argument: harness.py. split_text must either decline or mean what split_tree means:
the same value or none, the same code, the same positions.
"""
import os
import random
import sys
import sysconfig
import types
import warnings

harness = types.ModuleType("molt_harness")
harness.__file__ = sys.argv[1]
with open(sys.argv[1], encoding="utf-8") as source:
    exec(compile(source.read(), sys.argv[1], "exec"), harness.__dict__)
warnings.simplefilter("ignore")


def shape(code):
    """A code object without what its cutting into two may change."""
    if code is None:
        return ()
    consts = tuple(shape(c) if isinstance(c, types.CodeType) else (type(c), repr(c))
                   for c in code.co_consts)
    positions = tuple(code.co_positions()) if hasattr(code, "co_positions") else tuple(code.co_lines())
    return code.co_name, code.co_code, code.co_names, consts, code.co_flags, positions


def outcome(split, source):
    try:
        return split(source)
    except (SyntaxError, ValueError) as exc:
        return type(exc)


def compare(source):
    """Whether split_text took the source on; exits where it differs."""
    try:
        fast = harness.split_text(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return False
    if fast is None:
        return False
    slow = outcome(harness.split_tree, source)
    if isinstance(slow, type):
        sys.exit(f"split_text compiled what raises {slow.__name__}: {source!r}")
    if fast[2] != slow[2]:
        sys.exit(f"a value: {fast[2]} by text, {slow[2]} by tree: {source!r}")
    if fast[2]:
        for mine, other in ((fast[1], slow[1]), (fast[0], slow[0])):
            # No statements before the expression: the tree yields an empty module.
            if mine is not None and shape(mine) != shape(other):
                sys.exit(f"different code for {source!r}:\n{shape(mine)}\n{shape(other)}")
    return True


TAKEN = [
    "x = 1; x", "x", "f(x)\n", "import os\nos.getcwd()", "def f():\n  return 1\n\nf()",
    "a = {1: 2}\nprint(a)", "x = 'é'; y = 2;  print(x, y)", "if 1:\n  pass\nx  # c", "x = 1\ny = 2",
    "from __future__ import annotations\nx", "'doc'\nx", "assert 1\nassert 2", "x = [\n1]\nx[0]", "a\n\n\n",
    "lambda: 1", "x if y else z", "a, b", "(x)", "x = 1 ;print (x)",
]
DECLINED = [
    "", "# c", "x  # c; d", "x;", "if x: a; b", "x = 1 # a; b", "x = '''\n1'''", "'doc'", "'a' 'b'", "# c\n'doc'",
    "if x: f(1,\n2); b", "if x: \\\na; b", "x = 1 \\\n; y", "x = 1 + \\\ny", "foo(\nx = 1)", "foo(\n1)",
    "x = 1; x) + (x", "x = 1; x for x in y", "x = 1; y := 2", "@d\nx", "x\r\ny", "'''\n'''; x\n#", "  x",
    "x = (1\n)", "for i in x:\n  i", "try: a\nfinally: b", "x = 1; a; b:", "yield x", "return x", "x = 1; *a, b",
    "x: int = 1", "x = 1; 'a;b'", "print('a;b')", "lambda: 1; x", "x = {1: 2}; x",
    "if x: s = '''\n'''; b", "class A: pass; x", "while 0: a; b", "a = b'''\n;'''; x[1:2]; y",
]
for source in TAKEN:
    if not compare(source):
        sys.exit(f"split_text declined {source!r}")
for source in DECLINED:
    if compare(source):
        sys.exit(f"split_text took on {source!r}")

taken = 0
random.seed(1)
stdlib = sysconfig.get_path("stdlib")
names = sorted(n for n in os.listdir(stdlib) if n.endswith(".py"))
for name in random.sample(names, 25):
    with open(os.path.join(stdlib, name), encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines(keepends=True)[:400]
    # Cut anywhere: inside strings, brackets, blocks and continuations.
    for end in range(1, len(lines), 2):
        text = "".join(lines[max(0, end - 25):end])
        taken += compare(text)
        joined = text.rstrip("\n").replace("\n", "; ", 1)
        taken += compare(joined)
        taken += compare(text + "x")
        taken += compare(text.rstrip("\n") + "; x")
if taken < 20:
    sys.exit(f"only {taken} pieces of the standard library were compared")
