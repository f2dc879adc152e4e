import sys

print("out 1")
print("err 1", file=sys.stderr)
print("out 2, not flushed", end="")
sys.stderr.write("err 2, no newline")
raise OSError(2, "No such file or directory", "some/path")
