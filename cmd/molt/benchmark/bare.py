"""The bare limit: read a job, run it in a fresh namespace, answer.

Jobs and answers are JSON with a big-endian length of four bytes in front.
This file is frozen: figures are compared across versions of molt.
"""

import io
import json
import struct
import sys
from contextlib import redirect_stdout

source, sink = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = source.read(4)
    if len(head) < 4:
        break
    job = json.loads(source.read(struct.unpack(">I", head)[0]))
    captured = io.StringIO()
    error = None
    try:
        with redirect_stdout(captured):
            exec(compile(job["code"], "job.py", "exec"), {"__name__": "__main__"})
    except BaseException as exc:
        error = repr(exc)
    answer = {"id": job["id"], "stdout": captured.getvalue(), "error": error}
    body = json.dumps(answer).encode()
    sink.write(struct.pack(">I", len(body)) + body)
    sink.flush()
