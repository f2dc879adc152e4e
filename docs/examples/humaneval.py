"""Make a JSONL file of jobs for `molt batch` from HumanEval.

    python3 docs/examples/humaneval.py HumanEval.jsonl.gz > humaneval.jsonl
    python3 docs/examples/humaneval.py --broken HumanEval.jsonl.gz > broken.jsonl

Each job is a reference solution with its test, as the benchmark's own harness
would run it: prompt, solution, test, then the call of check. With --broken
every solution's body is `pass`, so that no job may pass. The data comes from
https://github.com/openai/human-eval (MIT).
"""

import argparse
import gzip
import json
import sys


def jobs(path, broken):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            task = json.loads(line)
            solution = "    pass\n" if broken else task["canonical_solution"]
            code = (
                f"{task['prompt']}{solution}\n{task['test']}\n"
                f"check({task['entry_point']})\n"
            )
            yield {"id": task["task_id"], "code": code, "timeout_ms": 30_000}


def main():
    parser = argparse.ArgumentParser(description="Make jobs from HumanEval.")
    parser.add_argument("path", help="HumanEval.jsonl or HumanEval.jsonl.gz")
    parser.add_argument("--broken", action="store_true", help="replace every solution by pass")
    args = parser.parse_args()
    for job in jobs(args.path, args.broken):
        json.dump(job, sys.stdout)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
