"""The digest of a job, as digest.go describes it, in Python.

    python3 digest.py              check digests.json
    python3 digest.py JOB.json     print the digest of a job
"""

import base64
import datetime
import hashlib
import json
import os
import re
import struct
import sys


def value(v):
    if v is None:
        return b"n"
    if v is True:
        return b"t"
    if v is False:
        return b"f"
    if isinstance(v, int):
        return b"i%d;" % v
    if isinstance(v, float):
        return b"d" + struct.pack(">d", v).hex().encode()
    if isinstance(v, str):
        v = v.encode()
        return b"s%d:" % len(v) + v
    if isinstance(v, bytes):
        return b"b%d:" % len(v) + v
    if isinstance(v, list):
        return b"[" + b"".join(map(value, v)) + b"]"
    pairs = sorted(v.items(), key=lambda pair: pair[0].encode())
    return b"{" + b"".join(value(k) + value(x) for k, x in pairs) + b"}"


def utc(text):
    """RFC 3339 in UTC, to the nanosecond, without zeros at the fraction's end."""
    whole, fraction, zone = re.fullmatch(r"([^.]{19})(?:\.(\d+))?(.*)", text).groups()
    at = datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    fraction = (fraction or "")[:9].rstrip("0")
    at = at.astimezone(datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + ("." + fraction if fraction else "") + "Z"


def canonical(job):
    form = {}
    for name in ("args", "code", "env", "inputs", "memory_bytes", "stdin", "timeout_ms"):
        form[name] = job.get(name)
    form["files"] = {k: base64.b64decode(v) for k, v in (job.get("files") or {}).items()}
    outputs = job.get("outputs") or {}
    form["outputs"] = {k: outputs[k] for k in ("files", "locals") if outputs.get(k)}
    if job.get("expires_at"):
        form["expires_at"] = utc(job["expires_at"])
    return b"molt-job-1\n" + value({k: v for k, v in form.items() if v})


def digest(text):
    return hashlib.sha256(canonical(json.loads(text))).hexdigest()


def check():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "digests.json")) as f:
        vectors = json.load(f)
    for v in vectors:
        for text in v["json"]:
            form = canonical(json.loads(text))
            assert form.hex() == v["canonical_hex"], (v["name"], form)
            assert digest(text) == v["digest"], v["name"]
    print(len(vectors), "vectors agree")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with open(sys.argv[1]) as f:
            print(digest(f.read()))
    else:
        check()
