"""Loads the harness as the bootstrap does, without serving."""

import glob
import os
import types


def load_harness(folder):
    harness = types.ModuleType("molt_harness")
    harness.own_module = harness
    harness.INTERNAL_FILES = set()
    for path in sorted(glob.glob(os.path.join(folder, "*.py"))):
        harness.INTERNAL_FILES.add(path)
        with open(path, encoding="utf-8") as source:
            exec(compile(source.read(), path, "exec"), harness.__dict__)
    return harness
