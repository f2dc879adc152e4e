"""A restriction with a hole: jobs find a library's dictionary. Appended by the tests, which
then expect watch.py to notice what came of it."""

import json

start_restricted = start


def start(options):
    start_restricted(options)
    job_builtins["hole"] = vars(json)
    job_builtins["function"] = json.dumps
    WRITABLE.add(FunctionType)
