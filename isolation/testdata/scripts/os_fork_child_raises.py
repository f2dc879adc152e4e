import os

pid = os.fork()
if pid == 0:
    raise SystemExit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid = os.fork()
if pid == 0:
    [].pop()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
