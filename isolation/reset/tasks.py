"""The number of asyncio's next task, which is counted in C and has no function to set it.

The counter is found by what it does: among the few hundred words in which the module keeps
its state, in memory of its own (since 3.12) or in its library's variables, it is the one that
follows the names of some tasks made for that. Where it isn't found, a task that a job made
costs the interpreter its place.
"""

import _ctypes

MOST_WORDS = 1 << 14
# Where CPython keeps a module's definition and state, and the definition the state's size.
MODULE_DEFINITION, MODULE_STATE, STATE_SIZE = 24, 32, 56


class Word(_ctypes._SimpleCData):
    _type_ = "Q"


word_at = Word.from_address


class NoLoop:
    """What a task needs of a loop to be made and never run."""

    def get_debug(self):
        return False

    def call_soon(self, *args, **kwargs):
        pass


async def no_work():
    pass


def number_of_next(Task):
    """Make a task, and tell its number."""
    work = no_work()
    task = Task(work, loop=NoLoop())
    task._log_destroy_pending = False
    number = int(task.get_name().rpartition("-")[2])
    work.close()
    return number


def words_of(module):
    """The addresses of the words in which an extension module keeps its state."""
    if object.__basicsize__ != 16:
        return []  # an interpreter with other headers
    state = word_at(id(module) + MODULE_STATE).value
    if state:
        size = word_at(word_at(id(module) + MODULE_DEFINITION).value + STATE_SIZE).value
        return range(state, state + min(size, MOST_WORDS * 8) - 7, 8)
    library = getattr(module, "__file__", None)
    words = []
    with open("/proc/self/maps") as file:
        for line in file:
            fields = line.split(maxsplit=5)
            if "rw" in fields[1] and len(fields) == 6 and fields[5].rstrip("\n") == library:
                start, end = (int(address, 16) for address in fields[0].split("-"))
                words.extend(range(start, end, 8))
    return words[:MOST_WORDS]


def find_counter(module):
    """The word that counts tasks, or None."""
    found = words_of(module)
    for _ in range(4):
        number = number_of_next(module.Task)
        found = [address for address in found if word_at(address).value == number]
    return word_at(found[0]) if len(found) == 1 else None


def keep_task_numbers(module):
    counter = find_counter(module)
    if counter is not None:
        counter.value = 0

        def restore(job):
            counter.value = 0
        return restore

    Task = module.Task
    last = number_of_next(Task)

    def detect(job):
        nonlocal last
        before, last = last, number_of_next(Task)
        if last != before + 1:
            job.taint("the number of asyncio's next task cannot be put back")
    return detect
