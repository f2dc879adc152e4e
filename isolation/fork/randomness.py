"""Random numbers of its own for each child of a fork.

Seeding a generator anew touches a hundred pages when numpy does it. The state of either
generator is 624 words of random bits, which the kernel can write where they are kept, in
one call.
"""

import _ctypes
import sys

WORDS = 624     # of a Mersenne Twister's state; the number of those used up is kept too
WORD_SIZE = 4

random_generator = None
states = ()     # for each generator: where its words are, and how to seed it otherwise

libc_getrandom = _ctypes.dlsym(_ctypes.dlopen(None, 0), "getrandom")


class Word(_ctypes._SimpleCData):
    _type_ = "I"


def prepare_randomness():
    """Once, when every module is there whose generator the children share."""
    global random_generator, states
    found = []
    # numpy imports it when it is asked for. Loading it here would cost every child the
    # copies of a hundred mappings, also those that need none of it.
    if "numpy.random" in sys.modules:
        found.append(numpy_state(sys.modules["numpy.random"]))
    random = sys.modules.get("random")
    if random is not None:
        random_generator = random._inst
        found.append(random_state(random_generator))
    states = tuple(found)


def random_state(generator):
    generator.seed()
    used_up = id(generator) + object.__basicsize__
    words = used_up + WORD_SIZE
    if sys.implementation.name != "cpython" or type(generator).__basicsize__ < object.__basicsize__ + WORD_SIZE * (WORDS + 1):
        return None, generator.seed
    return state_at(words, used_up, lambda: generator.getstate()[1]), generator.seed


def numpy_state(random):
    random.seed()
    try:
        generator = random.mtrand._rand._bit_generator
        if type(generator).__name__ != "MT19937":
            return None, random.seed    # numpy.random.set_bit_generator
        words = generator.ctypes.state_address

        def told():
            state = generator.state["state"]
            return (*map(int, state["key"]), state["pos"])

        return state_at(words, words + WORD_SIZE * WORDS, told), random.seed
    except AttributeError:
        return None, random.seed        # a numpy that keeps it elsewhere


def state_at(address, used_up, told):
    """A pointer to the words at an address, or None where they aren't those of the
    generator; told is what that tells of its state."""
    words, used_up = (Word * WORDS).from_address(address), Word.from_address(used_up)
    if (*words, used_up.value) != told():
        return None
    used_up.value = WORDS   # the first number that is asked for makes new words of these
    return _ctypes.byref(words)


def reseed():
    """In a child."""
    for words, seed in states:
        if words is None or call_c(libc_getrandom, (words, WORD_SIZE * WORDS, 0)) != WORD_SIZE * WORDS:
            seed()
