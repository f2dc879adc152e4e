"""Reads the golden frames with the harness's own functions; run by TestGoldenFramesInPython.

Arguments: the folder of the harness, the folder of frames.
"""

import json
import os
import sys

from load import load_harness

harness = load_harness(sys.argv[1])
harness.output_cap = 1000


def golden(name):
    with open(os.path.join(sys.argv[2], name), "rb") as file:
        return file.read()


def through_pipe(data):
    """What receive makes of the bytes."""
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    harness.control_fd = read
    try:
        return harness.receive()
    finally:
        os.close(read)


def sent(text):
    """The bytes that send makes of a message."""
    read, write = os.pipe()
    harness.result_fd = write
    harness.send(text)
    os.close(write)
    with open(read, "rb") as file:
        return file.read()


def equal(got, want):
    if got != want:
        sys.exit(f"got  {got!r}\nwant {want!r}")


job = harness.Job(str(through_pipe(golden("request-minimal")), "utf-8"))
equal((job.nonce, job.code, job.stdin, job.args, job.env, job.locals, job.purge),
      ("0123456789abcdef", "1 + 1", None, None, None, None, None))
equal(job.rest, len(job.frame))

job = harness.Job(str(through_pipe(golden("request-full")), "utf-8"))
equal((job.nonce, job.code, job.stdin, job.args, job.env, job.locals, job.purge),
      ("0123456789abcdef", "print('é<\"\\>')\n\t\x01x", "in\n", ["a", "ü"], {"A": "1", "B": "2"}, ["x"], True))
equal(harness.scan_json(job.frame, job.rest)[0], {"n": [1, None]})

equal(through_pipe(golden("request-minimal")[:-1]), None)
try:
    through_pipe(golden("bad-too-long"))
    sys.exit("a frame that is too long was accepted")
except harness.ProtocolLost:
    pass

done = harness.Completion()
done.value, done.repr = harness.carry(2), harness.safe_repr(2, done)
equal(sent(harness.encode_report("0123456789abcdef", done.encode(), (1000, 3000), 4096, 70)), golden("report-ok"))

done = harness.Completion()
done.outcome, done.exit_code = "exit", 3
done.error = '{"type":"E","message":"é","line":2,"traceback":"t\\n"}'
done.locals = '{"x":[1]}'
done.cut("error")
equal(sent(harness.encode_report("0123456789abcdef", done.encode(), (1, 2), 3, 4, "a \"reason\"", done.truncated)),
      golden("report-full"))
equal(sent(harness.encode_failure("0123456789abcdef", "é", True)), golden("failure"))
harness.status_fd = os.open("/proc/self/status", os.O_RDONLY)
equal(list(json.loads(harness.encode_ready())), list(json.loads(golden("ready")[4:])))
