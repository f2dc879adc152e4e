import os
import sys

print("before", flush=True)
os.write(2, b"about to abort\n")
os.abort()
