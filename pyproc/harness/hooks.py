"""Exceptions that end no script, and stacks, told as Python tells them of a script.

What Python prints of an exception that it ignores, or that ends a thread, is written in
C and reads source lines from files; a job has no file.
"""

import _thread
import sys
import traceback

library_unraisablehook = sys.unraisablehook
library_thread_hook = _thread._excepthook
# These versions don't mark the place within a line here.
BARE_LINES = sys.version_info >= (3, 13)
library_walk_stack = traceback.walk_stack


def install_hooks():
    """Once: the hooks that jobs find, and that they put back, are these."""
    sys.unraisablehook = sys.__unraisablehook__ = show_unraisable
    _thread._excepthook = show_thread_exception
    threading = modules.get("threading")
    if threading is not None:
        threading.excepthook = threading.__excepthook__ = show_thread_exception
    traceback.walk_stack = walk_stack


def shows_job(tb):
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == FILENAME:
            return True
        tb = tb.tb_next
    return False


def show_unraisable(args):
    if not shows_job(args.exc_traceback):
        return library_unraisablehook(args)
    head = args.err_msg or "Exception ignored in"
    if args.object is not None:
        try:
            head += f": {args.object!r}\n"
        except BaseException:
            head += ": <object repr() failed>\n"
    else:
        head += ":\n"
    try:
        told = TracebackException(args.exc_type, args.exc_value, args.exc_traceback)
        if BARE_LINES:
            told.stack = traceback.StackSummary.extract(traceback.walk_tb(args.exc_traceback))
        text = "".join(told.format(chain=False))
    except BaseException:
        return library_unraisablehook(args)
    sys.stderr.write(head + text)


def show_thread_exception(args):
    if args.exc_type is SystemExit or not shows_job(args.exc_traceback):
        return library_thread_hook(args)
    name = _thread.get_ident() if args.thread is None else args.thread.name
    sys.stderr.write(f"Exception in thread {name}:\n"
                     + format_exception(args.exc_value, args.exc_traceback))
    sys.stderr.flush()


def walk_stack(f):
    """traceback.walk_stack, which ends where molt called the job."""
    if f is None:
        return library_walk_stack(None)
    return job_stack(f)


def job_stack(f):
    while f is not None and f.f_code.co_filename not in INTERNAL_FILES:
        yield f, f.f_lineno
        f = f.f_back
