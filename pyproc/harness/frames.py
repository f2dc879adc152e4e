"""Messages on the pipes to the worker; doc.go describes them."""

import json
import os
import sys
import time

MAX_FRAME = 64 << 20

os_read, os_write = os.read, os.write
cpu_clock = time.process_time_ns

control_fd = result_fd = -1


class ProtocolLost(BaseException):
    """The descriptors to the worker are gone."""


def receive():
    """The next request frame, or None at the end of the control pipe.

    A signal handler or a thread that a job left may raise into the idle interpreter;
    that must not end it.
    """
    data = b""
    while True:
        try:
            piece = os_read(control_fd, 65536)
        except OSError as exc:
            raise ProtocolLost(exc) from None
        except BaseException:
            continue
        if not piece:
            return None
        data = data + piece if data else piece
        if len(data) < 4:
            continue
        size = int.from_bytes(data[:4], "big")
        if size > MAX_FRAME:
            raise ProtocolLost(f"a request of {size} bytes")
        if len(data) < size + 4:
            data = receive_rest(data, size + 4)
            if data is None:
                return None
        return data[4:]


def receive_rest(data, size):
    parts, have = [data], len(data)
    while have < size:
        piece = os_read(control_fd, min(size - have, 1 << 20))
        if not piece:
            return None
        parts.append(piece)
        have += len(piece)
    return b"".join(parts)


def send(text):
    send_raw(text.encode("utf-8", "backslashreplace"))


def send_raw(body):
    if len(body) > MAX_FRAME:
        raise ProtocolLost(f"a report of {len(body)} bytes")
    send_bytes(len(body).to_bytes(4, "big") + body)


def send_bytes(data):
    try:
        sent = os_write(result_fd, data)
        while sent < len(data):
            data = data[sent:]
            sent = os_write(result_fd, data)
    except OSError as exc:
        raise ProtocolLost(exc) from None


def encode_report(nonce, completion, cpu, rss, module_count, taint=None, truncated=()):
    extra = ""
    if taint is not None:
        extra = ',"taint":' + quote(clean_text(taint, 1000)[0])
    if truncated:
        extra += ',"truncated":[' + ",".join(map(quote, truncated)) + "]"
    return (f'{{"nonce":{quote(nonce)},"cpu_ns":[{cpu[0]},{cpu[1]}],"rss_bytes":{rss},'
            f'"modules":{module_count}{extra},"completion":{completion}}}')


def encode_child(done):
    """What a forked child tells its parent of the job."""
    cut = ""
    if done.truncated:
        cut = '"truncated":[' + ",".join(map(quote, done.truncated)) + "],"
    return f'{{{cut}"completion":{done.encode()}}}'.encode("utf-8", "backslashreplace")


def encode_forked(nonce, cpu, rss, module_count, taint, exit_code, signal, limit, flooded):
    """The parent's report of a child; what the child said follows it, a frame of its own."""
    extra = "" if taint is None else ',"taint":' + quote(clean_text(taint, 1000)[0])
    return (f'{{"nonce":{quote(nonce)},"cpu_ns":[0,{cpu}],"rss_bytes":{rss},'
            f'"modules":{module_count}{extra},"child":{{"exit_code":{exit_code},'
            f'"signal":{signal},"limit":{quote(limit)},"flooded":{"true" if flooded else "false"}}}}}')


def encode_failure(nonce, reason, started):
    return (f'{{"nonce":{quote(nonce)},"failed":{quote(clean_text(reason, 2000)[0])},'
            f'"started":{"true" if started else "false"}}}')


def encode_ready():
    return json.dumps({
        "ready": True, "pid": PID, "version": "%d.%d.%d" % sys.version_info[:3],
        "implementation": sys.implementation.name, "executable": sys.executable or "",
        "modules": len(modules), "cpu_ns": [0, cpu_clock()], "rss_bytes": peak_rss(),
        "layers": getattr(policy, "layers", [])})
