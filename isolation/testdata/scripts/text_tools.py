import difflib
import pprint
import string
import textwrap

print(textwrap.fill("A long sentence that has to be wrapped somewhere around here.", 24))
print(textwrap.dedent("""
    indented
      more
"""), textwrap.shorten("one two three four", 12), textwrap.indent("a\nb", "> "))
print(string.Template("$who owes ${n}").substitute(who="Al", n=3), string.capwords("a bc"), string.ascii_letters[:5])
print("".join(difflib.unified_diff(["a\n", "b\n"], ["a\n", "c\n"], "old", "new")))
pprint.pprint({"key": list(range(30)), "nested": {"a": "x" * 50, "b": ("y" * 30,)}}, width=60)
print("{0:>{w}}|{name!r:^9}|{1[k]}".format("a", {"k": 1}, w=4, name="n"), "{:_}".format(10**6))
