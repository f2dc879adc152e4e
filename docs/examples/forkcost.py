"""Where the time of forked jobs goes, by what perf sampled of a process that forks.

    perf record -e cpu-clock -F 4000 -g -o fork.perf COMMAND
    perf script -i fork.perf -F comm,pid,ip,sym --show-task-events | python3 docs/examples/forkcost.py

The interpreter is the process that forked most often. What the kernel does once a
process is past perf's reach, which is giving back its memory, is not among the samples.
"""

import collections
import re
import sys

KINDS = (   # the first whose function is on the stack
    ("page fault: copying a page", "exc_page_fault", "do_wp_page"),
    ("page fault: mapping a file's pages", "exc_page_fault", "do_fault"),
    ("page fault: the rest", "exc_page_fault", ""),
    ("fork", "kernel_clone", ""),
    ("other system calls", "do_syscall_64", ""),
    ("Python and libraries", "", ""),
)


def read(lines):
    """The samples, as process id and names on the stack, and each process's parent."""
    samples, parents, stack = [], {}, None
    for line in lines:
        if task := re.search(r"PERF_RECORD_FORK\((\d+):\d+\):\((\d+):", line):
            if task[1] != task[2]:
                parents[task[1]] = task[2]
        elif head := re.match(r"\s*\S.*?\s+(\d+)\s*$", line):
            stack = []
            samples.append((head[1], stack))
        elif line.strip() and stack is not None:
            stack.append(line.split(None, 1)[-1])
    return samples, parents


def kind(stack):
    names = " ".join(stack)
    return next(name for name, first, second in KINDS if first in names and second in names)


def main():
    samples, parents = read(sys.stdin)
    interpreter = collections.Counter(parents.values()).most_common(1)[0][0]
    counts = collections.Counter()
    for pid, stack in samples:
        if pid == interpreter:
            counts["interpreter", kind(stack)] += 1
        elif parents.get(pid) == interpreter:
            counts["job", kind(stack)] += 1
    total = sum(counts.values())
    for (process, what), n in counts.most_common():
        print(f"{n / total:6.1%}  {process:11}  {what}")


main()
