"""Show the results of `molt batch` as a table, one line a job.

    molt batch jobs.jsonl -o results.jsonl
    python3 docs/examples/show.py results.jsonl

Without a file it reads standard input.
"""

import fileinput
import json


def outcome(result):
    """What a person wants to know first of a result."""
    error = result.get("error")
    if error:
        line = f"line {error['line']}: " if error.get("line") else ""
        return f"{line}{error['type']}: {error['message']}"
    parts = []
    if result["stdout"]:
        parts.append("printed " + repr(result["stdout"]))
    if "repr" in result and result["repr"] != "None":
        parts.append("value " + result["repr"])
    for name in result.get("files", {}):
        parts.append("file " + name)
    return ", ".join(parts)


def main():
    results = [json.loads(line) for line in fileinput.input(encoding="utf-8")]
    if not results:
        return
    ids = max(len(r["id"]) for r in results)
    for r in results:
        usage = r.get("usage") or {"wall_ms": 0}
        text = " ".join(outcome(r).split())
        print(f"{r['id']:{ids}}  {r['status']:13}  {usage['wall_ms']:8.1f} ms  {text[:90]}")


if __name__ == "__main__":
    main()
