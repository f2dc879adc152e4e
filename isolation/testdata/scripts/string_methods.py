s = "The quick brown Fox"
print(s.split(), s.partition(" "), s.swapcase(), s.center(25, "*"), s.replace("o", "0", 1), s.find("z"), s.title())
print("a,b,,c".split(","), " x ".strip(), "abc".translate(str.maketrans("ab", "xy")), "x".join("123"), "%-5s|" % "a")
print("ß".casefold(), "1²".isdigit(), "é".encode("utf-8"), b"\xff".decode("latin-1"), "a\tb".expandtabs(4), "abc"[::-1])
try:
    b"\xff".decode()
except UnicodeDecodeError as exc:
    print(exc)
try:
    "é".encode("ascii")
except UnicodeEncodeError as exc:
    print(exc)
