"""str.format for restricted jobs: a replacement field's attributes go through the guard."""

import _string
import string

STR_FORMAT, STR_FORMAT_MAP = str.format, str.format_map
parse_format, split_field = _string.formatter_parser, _string.formatter_field_name_split
exact_str = str.__str__


class GuardedFormatter(string.Formatter):
    """Never handed to a job."""

    def get_field(self, field_name, args, kwargs):
        first, rest = split_field(field_name)
        ob = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            ob = guarded_getattr(ob, key) if is_attribute else ob[key]
        return ob, first


def reaches_in(text):
    """Whether a format looks up anything in its arguments, or its fields are nested."""
    for _, field, spec, _ in parse_format(text):
        if field and ("." in field or "[" in field) or spec and "{" in spec:
            return True
    return False


def safe_format(text, args, keywords):
    text = exact_str(text)
    if not reaches_in(text):
        return STR_FORMAT(text, *args, **keywords)
    return GuardedFormatter().vformat(text, args, keywords)


def safe_format_map(text, mapping):
    text = exact_str(text)
    if not reaches_in(text):
        return STR_FORMAT_MAP(text, mapping)
    return GuardedFormatter().vformat(text, (), mapping)


def guarded_format(text, /, *args, **keywords):
    return safe_format(text, args, keywords)


def guarded_format_map(text, mapping, /):
    return safe_format_map(text, mapping)


def safe_method(value, name):
    """What was found as `format` or `format_map`, or its guarded form.

    The value decides, not where it was found: aliases such as list[int] pass on the
    attributes of what they stand for.
    """
    if value is STR_FORMAT or value is STR_FORMAT_MAP:
        return guarded_format if value is STR_FORMAT else guarded_format_map
    if type(value) is not BuiltinType:
        return value
    text = value.__self__
    if not isinstance(text, str):
        return value
    if name == "format":
        def format(*args, **keywords):
            return safe_format(text, args, keywords)
        return format

    def format_map(mapping, /):
        return safe_format_map(text, mapping)
    return format_map
