"""One request and what became of it."""

import json

scan_json = json.JSONDecoder().scan_once


class Job:
    """One request. `rest` is where its inputs begin in `frame`, if it has any."""

    __slots__ = ("frame", "rest", "nonce", "code", "stdin", "args", "env", "locals",
                 "purge", "memory", "started", "taints", "saved_env")

    def __init__(self, frame):
        request, self.rest = scan_json(frame, 0)
        self.frame = frame
        self.nonce = request["nonce"]
        self.code = request["code"]
        get = request.get
        self.stdin = get("stdin")
        self.args = get("args")
        self.env = get("env")
        self.locals = get("locals")
        self.purge = get("purge")
        self.memory = get("memory")
        self.started = False
        self.taints = None
        self.saved_env = None

    def taint(self, reason):
        """The interpreter must not run another job, because of reason."""
        self.taints = reason if self.taints is None else self.taints + "; " + reason


class Completion:
    """What became of a job. Class attributes are the values of a job that just ran."""

    outcome = "ok"
    exit_code = None
    value = None      # JSON text
    repr = None       # str
    error = None      # JSON text
    locals = None     # JSON text
    limit = None      # str: which limit what the job raised tells of
    truncated = ()

    def cut(self, field):
        if field not in self.truncated:
            self.truncated = (*self.truncated, field)

    def encode(self):
        parts = ['{"outcome":"', self.outcome, '"']
        if self.value is not None:
            parts += (',"value":', self.value)
        if self.repr is not None:
            parts += (',"repr":', quote(self.repr))
        if self.error is not None:
            parts += (',"error":', self.error)
        if self.limit is not None:
            parts += (',"limit":', quote(self.limit))
        if self.exit_code is not None:
            parts += (',"exit_code":', int_repr(self.exit_code))
        if self.locals is not None:
            parts += (',"locals":', self.locals)
        parts.append("}")
        return "".join(parts)
