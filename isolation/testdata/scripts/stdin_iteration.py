# stdin: "3 4\n\n5 é\n"
import sys

for number, line in enumerate(sys.stdin, 1):
    print(number, line.split(), file=sys.stderr if number == 2 else sys.stdout)
print(repr(sys.stdin.read()), sys.stdin.isatty(), sys.stdin.fileno(), sys.stdin.name)
