# stdin: "a\nb\n"
import os
import subprocess
import sys

print(sys.stdin.buffer.readline())
print(subprocess.run(["cat"], stdin=subprocess.DEVNULL, capture_output=True).stdout, os.read(0, 10))
