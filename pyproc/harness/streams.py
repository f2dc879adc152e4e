"""Standard streams that the jobs of one process share while none of them changes one."""

import io
import os
import sys

streams_changed = False


class TextStream(io.TextIOWrapper):
    """A text stream that can be used again by the next job unless this one changed it."""

    def reconfigure(self, *args, **kwargs):
        global streams_changed
        streams_changed = True
        return super().reconfigure(*args, **kwargs)

    def detach(self):
        global streams_changed
        streams_changed = True
        return super().detach()


TextStream.__name__ = TextStream.__qualname__ = "TextIOWrapper"
TextStream.__module__ = "_io"


def open_stream(fd, name, mode, errors, line_buffering):
    raw = io.FileIO(fd, mode + "b", closefd=False)
    raw.name = name
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    stream = TextStream(buffer, "utf-8", errors, line_buffering=line_buffering)
    stream.mode = mode
    return stream


def new_streams():
    global own_in, own_out, own_err, streams_changed
    own_in = open_stream(0, "<stdin>", "r", "surrogateescape", False)
    own_out = open_stream(1, "<stdout>", "w", "surrogateescape", False)
    own_err = open_stream(2, "<stderr>", "w", "backslashreplace", True)
    sys.stdin = sys.__stdin__ = own_in
    sys.stdout = sys.__stdout__ = own_out
    sys.stderr = sys.__stderr__ = own_err
    streams_changed = False


def streams_intact():
    try:
        return (sys.stdout is own_out and sys.stderr is own_err and sys.stdin is own_in
                and not own_out.closed and not own_err.closed and not own_in.closed
                and len(own_out.__dict__) == 1 and len(own_err.__dict__) == 1)
    except BaseException:
        return False


def open_stdin(text):
    fd = os.memfd_create("stdin")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.lseek(fd, 0, os.SEEK_SET)
        os_dup2(fd, 0)
    finally:
        os.close(fd)
    sys.stdin = sys.__stdin__ = open_stream(0, "<stdin>", "r", "surrogateescape", False)


def flush_streams():
    global streams_changed
    out, err = sys.stdout, sys.stderr
    if out is not own_out or err is not own_err:
        streams_changed = True
        for stream in (out, err):
            try:
                stream.flush()
            except BaseException:
                pass
    try:
        own_out.flush()
    except BaseException:
        streams_changed = True
    try:
        own_err.flush()
    except BaseException:
        streams_changed = True
