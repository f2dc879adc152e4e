def parse(text):
    try:
        return int(text)
    except ValueError as exc:
        raise RuntimeError(f"cannot parse {text!r}") from exc


try:
    parse("x")
except RuntimeError:
    {}["context"]
