for source in ("1 +", "x = = 2", "'open", "def f(a, a): pass", "  x", "f(**a, *b)"):
    try:
        compile(source, "<s>", "exec")
    except SyntaxError as exc:
        print(type(exc).__name__, exc.lineno, exc.offset)
