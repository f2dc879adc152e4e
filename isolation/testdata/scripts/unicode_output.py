import sys

print("naïve café, Привет, 你好, 🐍, e\u0301")
print("stderr: ünï", file=sys.stderr)
print("ß".upper(), "İ".lower().encode(), len("👩‍👩‍👧"))
print(sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.getfilesystemencoding())
sys.stdout.buffer.write(b"raw bytes \xc3\xa9\n")
sys.stdout.flush()
print("lone surrogate on stderr: \udc80", file=sys.stderr)
