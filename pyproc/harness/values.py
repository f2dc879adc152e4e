"""How values cross: as JSON text where that changes nothing of them, and as a repr."""

import json

MAX_SAFE_INT = 1 << 53
MAX_NESTING = 500

quote = json.encoder.c_encode_basestring
encode_pieces = json.encoder.c_make_encoder(
    None, None, quote, None, ":", ",", False, False, False)
type_name = type.__dict__["__name__"].__get__
float_repr, int_repr = float.__repr__, int.__repr__


def carriable(value):
    """Whether a list or dict holds only what crosses unchanged, within the output cap.

    Level by level: cycles end at the nesting limit, shared references at the cap.
    """
    level, size = [value], 0
    for _ in range(MAX_NESTING + 1):
        below = []
        for item in level:
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is int:
                if not -MAX_SAFE_INT <= item <= MAX_SAFE_INT:
                    return False
            elif kind is float:
                if item - item != 0.0:
                    return False
            elif kind is list:
                size += len(item)
                if size > output_cap:
                    return False
                below += item
            elif kind is dict:
                size += len(item)
                if size > output_cap:
                    return False
                for key in item:
                    if type(key) is not str:
                        return False
                    size += len(key)
                below += item.values()
            elif item is not None and kind is not bool:
                return False
        if size > output_cap:
            return False
        if not below:
            return True
        level = below
    return False


def carry(value):
    """The JSON text of a value, or None where it can't be carried unchanged."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return int_repr(value) if -MAX_SAFE_INT <= value <= MAX_SAFE_INT else None
    if kind is float:
        return float_repr(value) if value - value == 0.0 else None
    if kind is str:
        if len(value) > output_cap:
            return None
        text = quote(value)
    elif kind is list or kind is dict:
        try:
            if not carriable(value):
                return None
            text = "".join(encode_pieces(value, 0))
        except (RecursionError, RuntimeError, ValueError, TypeError):
            # Another thread of the job may change the container meanwhile.
            return None
    else:
        return None
    if text.isascii():
        return text if len(text) <= output_cap + 2 else None
    try:
        return text if len(text.encode()) <= output_cap + 2 else None
    except UnicodeEncodeError:
        return None


def clean_text(text, cap):
    """An exact str with lone surrogates escaped, at most cap bytes in UTF-8; whether it was cut."""
    if type(text) is not str:
        text = str.__str__(text)
    if len(text) <= cap and text.isascii():
        return text, False
    raw = text[:cap + 1].encode("utf-8", "backslashreplace")
    if len(raw) <= cap:
        return raw.decode(), False
    return raw[:cap].decode("utf-8", "ignore"), True


def safe_repr(value, done):
    if value is None:
        return "None"
    try:
        text, cut = clean_text(repr(value), output_cap)
    except BaseException as exc:
        text, cut = clean_text(
            f"<unrepresentable {type_name(type(value))}: {type_name(type(exc))}>", output_cap)
    if cut:
        done.cut("repr")
    return text


def collect_locals(names, main, done):
    """The asked-for globals that can be carried, together within the output cap."""
    parts, size = [], 0
    namespace = main.__dict__
    for name in names:
        if name not in namespace:
            continue
        text = carry(namespace[name])
        if text is None:
            continue
        size += len(name) + len(text)
        if size > output_cap:
            done.cut("locals")
            break
        parts.append(quote(name) + ":" + text)
    return "{" + ",".join(parts) + "}"
