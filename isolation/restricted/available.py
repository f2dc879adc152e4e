"""Find RestrictedPython, or say how to get it: the pool must not start without."""

import os
import re
import sys

OLDEST_RESTRICTION = (8, 4)


def find_restriction():
    """The version of RestrictedPython; the process ends where it can't be used."""
    remedy = f"{sys.executable} -m pip install 'RestrictedPython>=8.4'"
    try:
        import RestrictedPython
    except ImportError as exc:
        if exc.name != "RestrictedPython":
            sys.exit(f"cannot restrict jobs: RestrictedPython cannot be imported: {exc}: "
                     f"install it again: {remedy}")
        sys.exit("cannot restrict jobs: this Python has no RestrictedPython 8.4 or newer: "
                 f"install it: {remedy} (in a virtual environment, whose python the pool names)")
    version = installed_version(RestrictedPython.__file__)
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers < OLDEST_RESTRICTION:
        sys.exit(f"cannot restrict jobs: RestrictedPython {version or 'of unknown version'} "
                 f"lets jobs escape: install 8.4 or newer: {remedy}")
    return version


def installed_version(file):
    """What the folder beside the package is called; importlib.metadata would take 20 ms."""
    folder = os.path.dirname(os.path.dirname(file))
    found = [m[1] for m in map(re.compile(r"(?i)restrictedpython-([^-]+)\.dist-info").fullmatch,
                               os.listdir(folder)) if m]
    if len(found) == 1:
        return found[0]
    import importlib.metadata
    try:
        return importlib.metadata.version("RestrictedPython")
    except importlib.metadata.PackageNotFoundError:
        return ""


layers = [f"RestrictedPython {find_restriction()}"]
