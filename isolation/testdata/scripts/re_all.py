import re

text = "2024-01-15 alice@example.org, 2023-12-31 bob@test.com"
print(re.findall(r"(\d{4})-(\d\d)", text), re.sub(r"(?P<user>\w+)@", r"<\g<user>> at ", text))
print(re.split(r"[,\s]+", text), re.match(r"(?i)ALICE", "Alice").span())
pattern = re.compile(r"""
    (?P<year>\d+) - (?P<month>\d+)   # a date
""", re.VERBOSE)
print([m.groupdict() for m in pattern.finditer(text)], pattern)
print(re.sub(r"\b(\w)", lambda m: m[1].upper(), "some words here"), re.escape("a.b*c"), re.fullmatch("a+", "aab"))
try:
    re.compile("(unclosed")
except re.error as exc:
    print(exc)
