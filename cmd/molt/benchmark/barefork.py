"""The bare fork limit: read a job, run it in a child, read its output, wait, answer.

Jobs and answers are JSON with a big-endian length of four bytes in front.
Modules named as arguments are imported before the first job.
This file is frozen: figures are compared across versions of molt.
"""

import json
import os
import struct
import sys

for name in sys.argv[1:]:
    __import__(name)


def run(code, output):
    """In the child: what the job prints goes to the pipe."""
    status = 1
    try:
        os.dup2(output, 1)
        exec(compile(code, "job.py", "exec"), {"__name__": "__main__"})
        sys.stdout.flush()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


source, sink = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = source.read(4)
    if len(head) < 4:
        break
    job = json.loads(source.read(struct.unpack(">I", head)[0]))
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        run(job["code"], sender)
    os.close(sender)
    stdout = b""
    while True:
        piece = os.read(receiver, 65536)
        if not piece:
            break
        stdout += piece
    os.close(receiver)
    status = os.waitpid(child, 0)[1]
    error = None if status == 0 else f"the child ended with status {status}"
    answer = {"id": job["id"], "stdout": stdout.decode(), "error": error}
    body = json.dumps(answer).encode()
    sink.write(struct.pack(">I", len(body)) + body)
    sink.flush()
