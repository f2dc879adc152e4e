import sys

print()
print("a", 1, 2.5, None, True, sep="|", end="!\n")
print("to stderr", file=sys.stderr)
print(*range(5), sep=", ")
sys.stdout.write("written\n")
print("%s is %05.2f" % ("pi", 3.14159), f"{'x':>4}|{42:#x}|{1e6:,.0f}")
print(repr("tab\t quote' nul\0"), ascii("é"))
