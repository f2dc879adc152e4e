import os

print("before the fork", flush=True)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
print("parent" if pid else "child")
