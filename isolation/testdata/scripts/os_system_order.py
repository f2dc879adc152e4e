import os
import sys

print("one")
sys.stdout.flush()
os.system("echo two")
print("three", flush=True)
os.write(1, b"four\n")
print(os.popen("echo five").read(), end="")
print(os.WEXITSTATUS(os.system("exit 6")))
