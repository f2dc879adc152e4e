"""Compiling a job, with the expression that it may end in apart."""

import __future__
import _ast
import re
import warnings

FILENAME = "__main__.py"

FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag

# A last line of this form is a statement without a value for certain, given that
# what stands before it compiles by itself.
plain_statement = re.compile(
    r"(?:assert|raise|import|del|pass)\b|[A-Za-z_][\w.]*\s*(?://|\*\*|<<|>>|[-+*/%&|^@])?=(?!=)"
).match


def compile_job(source):
    """Compile a job to (code or None, code or None, whether the second is an expression).

    Splitting in text costs half as much as a detour through a syntax tree; where it
    isn't certain to mean the same, the tree decides. A failed attempt must not show
    the warnings that the second compilation shows again, so they are held back.
    """
    held = []
    show, warnings._showwarnmsg = warnings._showwarnmsg, held.append
    try:
        try:
            parts = split_text(source)
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            parts = None
        if parts is None or held:
            held.clear()  # their order is that of one compilation
            parts = split_tree(source)
    finally:
        warnings._showwarnmsg = show
        for message in held:
            # A script's path, unlike FILENAME, is not taken for a module `__main__`, for
            # which alone these are shown.
            if message.category is not DeprecationWarning:
                show(message)
    return parts


def split_text(source):
    """compile_job for the plain cases; None or a compile error means: not certain.

    The last line counts when it starts at column 0 and all before it compiles by
    itself, for then no bracket, string or continuation is open where it begins.
    """
    text = source.rstrip(" \t\n")
    if not text or "\r" in text:
        return None
    start = text.rfind("\n") + 1
    if text[start] in " \t\f#)]}@'\"\\" or text[start - 2:start] == "\\\n":
        return None
    cut = text.find(";", start)
    if cut >= 0:
        comment = text.find("#", start)
        if comment >= 0:
            # Without a quote before it, a comment begins here for certain.
            if text.find("'", start, comment) >= 0 or text.find('"', start, comment) >= 0:
                return None
            # What isn't compiled can't be refused: null bytes, surrogates.
            if not text[comment:].isprintable():
                return None
            text = text[:comment].rstrip(" \t")
            if len(text) <= start:
                return None
            cut = text.find(";", start)
    if cut < 0:
        if plain_statement(text, start):
            if not start:
                return compile(text, FILENAME, "exec", 0, True), None, False
            prefix = compile(text[:start], FILENAME, "exec", 0, True)
            rest = compile("\n" * text.count("\n") + text[start:], FILENAME, "exec",
                           prefix.co_flags & FUTURE_FLAGS, True)
            return prefix, rest, False
        end, candidate = start, text[start:]
        padding = "\n" * text.count("\n")
    else:
        # `if x: a; b` is one statement.
        end = text.rfind(";")
        if text.find(":", 0, end) >= 0:
            return None
        # `x;` and `y` compile, `x;; y` doesn't.
        if text[start:end].rstrip(" \t\f")[-1:] in ("", ";"):
            return None
        candidate = text[end + 1:].lstrip(" \t")
        if not candidate:
            return None
        before = text[start:len(text) - len(candidate)]
        width = len(before) if before.isascii() else len(before.encode())
        # A form feed resets the indentation that the tokenizer sees, not the column.
        padding = "\n" * text.count("\n") + " " * (width - 1) + "\f"
    prefix, flags = None, 0
    if end:
        prefix = compile(text[:end], FILENAME, "exec", 0, True)
        flags = prefix.co_flags & FUTURE_FLAGS
    value = compile(padding + candidate, FILENAME, "eval", flags, True)
    if not value.co_names and len(value.co_consts) == 1 and type(value.co_consts[0]) is str:
        return None  # perhaps the docstring
    return prefix, value, True


def split_tree(source, rewrite=None):
    """compile_job for every source, by its syntax tree, which rewrite may change in place."""
    try:
        tree = compile(source, FILENAME, "exec", _ast.PyCF_ONLY_AST, True)
        if rewrite is not None:
            rewrite(tree)
        body = tree.body
        if not body or type(body[-1]) is not _ast.Expr:
            return compile(tree, FILENAME, "exec", 0, True), None, False
        last = body[-1].value
        if len(body) > 1 or type(last) is not _ast.Constant or type(last.value) is not str:
            body.pop()
        code = compile(tree, FILENAME, "exec", 0, True)
        value = compile(_ast.Expression(last), FILENAME, "eval",
                        code.co_flags & FUTURE_FLAGS, True)
        return code, value, True
    except SyntaxError as exc:
        if exc.text is None and exc.filename == FILENAME and exc.lineno:
            lines = source.split("\n")
            if exc.lineno <= len(lines):
                exc.text = lines[exc.lineno - 1] + "\n"
        raise
    except (RecursionError, MemoryError):
        # Trees nest deeper than the compiler itself does; then the value is lost.
        if rewrite is not None:
            raise
        return compile(source, FILENAME, "exec", 0, True), None, False
