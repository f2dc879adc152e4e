"""The restricted form of a job's source: what is refused, and which lookups are guarded.

RestrictedPython's transformer decides which statements and expressions there may be; a
kind of node that it has no method for is refused here as well. Where its general rules
serve guards that this policy doesn't have (iteration, subscripts, calls: all that a job can
reach may be iterated over, indexed and called), nodes stay as they are, which keeps
jobs fast. Attributes are guarded as attributes.py says. The guards have names that no
source can spell, so that underscores in front of a job's names do no harm; names with two
in front and behind are refused but for a few.
"""

import ast

from RestrictedPython.transformer import INSPECT_ATTRIBUTES, RestrictingNodeTransformer

PUBLIC, PRIVATE, READABLE_NAME, OWN, WRITE = (
    "<getattr>", "<private>", "<readable>", "<own>", "<write>")
HIDDEN |= INSPECT_ATTRIBUTES - {"send", "throw", "close"}
LOAD = ast.Load()

# Of these only the parts are looked at.
CONTENTS = """
Module Expression Expr List Tuple Set Dict JoinedStr FormattedValue TemplateStr Interpolation
Starred UnaryOp BinOp BoolOp Compare keyword IfExp Slice Subscript ListComp SetComp GeneratorExp
DictComp comprehension Assign AugAssign Raise Assert Delete If For While Try With withitem
Return Yield YieldFrom NamedExpr arguments
""".split()
# These have no parts that could be refused.
LEAVES = "Constant Pass Break Continue".split()
# These are not in RestrictedPython's list and looked at here.
OWN_NODES = "Nonlocal AnnAssign Match match_case MatchValue MatchSingleton MatchSequence " \
    "MatchMapping MatchClass MatchStar MatchAs MatchOr".split()

DESCRIBED = {
    "AsyncFunctionDef": "async def", "AsyncFor": "async for", "AsyncWith": "async with",
    "Await": "await", "TryStar": "except*", "TypeAlias": "type", "TypeVar": "a type parameter",
    "ParamSpec": "a type parameter", "TypeVarTuple": "a type parameter",
}
READ_NAMES = frozenset(("__name__", "__doc__", "__debug__"))
CLASS_NAMES = METHODS | {"__slots__", "__hash__", "__doc__", "__match_args__"} - {"__match_args__"}


class RestrictedSyntaxError(SyntaxError):
    """What no restricted job may say."""


RestrictedSyntaxError.__module__ = "builtins"


class Rewriter:
    """One walk through a job's tree, changing it in place."""

    def __init__(self):
        self.imports = set()
        self.in_class = False
        self.classes = []

    def refuse(self, node, what):
        raise RestrictedSyntaxError(f"{what} is refused", (
            harness.FILENAME, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, None))

    def visit(self, node):
        return HANDLERS.get(type(node), refuse_node)(self, node)

    def contents(self, node):
        for field in FIELDS[type(node)]:
            value = getattr(node, field)
            if type(value) is list:
                for i, item in enumerate(value):
                    if item is not None:
                        new = HANDLERS.get(type(item), refuse_node)(self, item)
                        if new is not item:
                            value[i] = new
            elif value is not None:
                new = HANDLERS.get(type(value), refuse_node)(self, value)
                if new is not value:
                    setattr(node, field, new)
        return node

    def leaf(self, node):
        return node

    def check(self, node, name):
        if name is not None and is_special(name):
            self.refuse(node, f'the name "{name}"')

    # ---- names and attributes

    def Name(self, node):
        name = node.id
        if name[0] == "_" and is_special(name):
            if not (type(node.ctx) is ast.Load and name in READ_NAMES
                    or self.in_class and name in CLASS_NAMES):
                self.refuse(node, f'the name "{name}"')
        return node

    def Attribute(self, node):
        name = self.checked_attribute(node)
        value = self.visit(node.value)
        if type(node.ctx) is not ast.Load:
            node.value = guard_call(WRITE, [value], node)
            return node
        if name in NATIVE:
            node.value = value
            return node
        if name[0] == "_":
            guard = READABLE_NAME if name in READABLE or name == "__class__" else PRIVATE
        else:
            guard = OWN if name in OWN_ONLY else PUBLIC
        return guard_call(guard, [value, ast.Constant(name, **location(node))], node)

    def checked_attribute(self, node):
        """The attribute's name as the compiler would have it."""
        name = node.attr
        if name[0] == "_":
            if is_special(name):
                stored = type(node.ctx) is not ast.Load
                if name not in (LABELS if stored else READABLE) and (stored or name != "__class__"):
                    self.refuse(node, f'the attribute "{name}"')
            elif name[:2] == "__" and self.classes and self.classes[-1].strip("_"):
                return "_" + self.classes[-1].lstrip("_") + name
        elif name in HIDDEN:
            self.refuse(node, f'the attribute "{name}"')
        return name

    # ---- expressions and statements

    def Call(self, node):
        called = node.func
        if type(called) is ast.Name and called.id in ("exec", "eval"):
            self.refuse(node, f'"{called.id}"')
        return self.contents(node)

    def Import(self, node):
        for alias in node.names:
            self.imports.add(alias.name)
            self.check(node, alias.asname or alias.name)
        return node

    def ImportFrom(self, node):
        self.imports.add(node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.refuse(node, "import *")
            self.check(node, alias.name)
            self.check(node, alias.asname)
        return node

    def Global(self, node):
        for name in node.names:
            self.check(node, name)
        return node

    Nonlocal = Global

    def ExceptHandler(self, node):
        self.check(node, node.name)
        return self.contents(node)

    def AnnAssign(self, node):
        """Annotations are kept where dataclasses and the like read them, in classes."""
        if self.in_class:
            return self.contents(node)
        target = self.visit(node.target)
        if node.value is not None:
            return ast.Assign([target], self.visit(node.value), **location(node))
        if type(target) is ast.Name:  # it makes the name a local one
            node.annotation = ast.Constant(None, **location(node.annotation))
            node.target = target
            return node
        return ast.Pass(**location(node))

    # ---- functions and classes

    def FunctionDef(self, node):
        if is_special(node.name) and not (self.in_class and node.name in METHODS):
            self.refuse(node, f'the function name "{node.name}"')
        if getattr(node, "type_params", None):
            self.refuse(node, "a type parameter")
        node.returns = None
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        self.arguments(node.args)
        outside, self.in_class = self.in_class, False
        self.contents(node)
        self.in_class = outside
        return node

    def Lambda(self, node):
        self.arguments(node.args)
        outside, self.in_class = self.in_class, False
        self.contents(node)
        self.in_class = outside
        return node

    def arguments(self, args):
        """Annotations are dropped: the library would evaluate those that are text."""
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
            if arg is not None:
                self.check(arg, arg.arg)
                arg.annotation = None
        self.contents(args)

    def ClassDef(self, node):
        self.check(node, node.name)
        if getattr(node, "type_params", None):
            self.refuse(node, "a type parameter")
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg == "metaclass":
                self.refuse(node, '"metaclass"' if keyword.arg else '"**" in a class definition')
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        node.keywords = [self.visit(k) for k in node.keywords]
        outside, self.in_class = self.in_class, True
        self.classes.append(node.name)
        node.body = [self.visit(s) for s in node.body]
        self.classes.pop()
        self.in_class = outside
        return node

    # ---- patterns

    def MatchValue(self, node):
        self.pattern_value(node.value)
        return node

    def MatchSingleton(self, node):
        return node

    def pattern_value(self, node):
        """A constant or a dotted name, which must stay one."""
        while type(node) is ast.Attribute:
            name = node.attr
            if name[0] == "_" or name in HIDDEN or name in OWN_ONLY:
                self.refuse(node, f'the attribute "{name}" in a pattern')
            node = node.value
        self.visit(node)

    def MatchMapping(self, node):
        for key in node.keys:
            self.pattern_value(key)
        self.check(node, node.rest)
        node.patterns = [self.visit(p) for p in node.patterns]
        return node

    def MatchClass(self, node):
        if node.patterns or node.kwd_patterns:
            self.refuse(node, "a class pattern with attributes")
        self.pattern_value(node.cls)
        return node

    def MatchStar(self, node):
        self.check(node, node.name)
        return node

    def MatchAs(self, node):
        self.check(node, node.name)
        return self.contents(node)


def refuse_node(rewriter, node):
    kind = type(node).__name__
    rewriter.refuse(node, DESCRIBED.get(kind, f"a {kind} node"))


def location(node):
    return {"lineno": node.lineno, "col_offset": node.col_offset,
            "end_lineno": node.end_lineno, "end_col_offset": node.end_col_offset}


def guard_call(name, args, node):
    where = location(node)
    return ast.Call(ast.Name(name, LOAD, **where), args, [], **where)


def examine_nodes():
    """Which function handles which kind of node, and which of its fields hold nodes."""
    handlers, fields = {}, {}
    for kind in vars(ast).values():
        if not (isinstance(kind, type) and issubclass(kind, ast.AST)):
            continue
        name = kind.__name__
        known = "visit_" + name in vars(RestrictingNodeTransformer) or name in OWN_NODES
        fields[kind] = tuple(f for f in kind._fields if f not in NO_NODES)
        if not known:
            continue
        if name in LEAVES:
            handlers[kind] = Rewriter.leaf
        elif name in CONTENTS or name in ("match_case", "Match", "MatchSequence", "MatchOr"):
            handlers[kind] = Rewriter.contents
        elif name in vars(Rewriter):
            handlers[kind] = vars(Rewriter)[name]
    del fields[ast.AST]
    fields[ast.FunctionDef] = ("body",)
    fields[ast.Lambda] = ("body",)
    fields[ast.arguments] = ("kw_defaults", "defaults")
    return handlers, fields


# Fields that hold names, numbers, operators and the like.
NO_NODES = frozenset("""
ctx op ops kind type_comment type_ignores id attr name names arg asname module level
conversion is_async simple n s value_ returns str
""".split())

HANDLERS, FIELDS = examine_nodes()


def rewrite_job(source):
    """harness.compile_job for restricted jobs: (code, last, is_value), and its imports."""
    rewriter = Rewriter()
    parts = harness.split_tree(source, rewriter.visit)
    return parts, rewriter.imports
