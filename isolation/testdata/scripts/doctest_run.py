"""A module with examples.

>>> double(4)
8
"""
import doctest


def double(x):
    """Return twice x.

    >>> double(2)
    4
    >>> double("ab")
    'abab'
    >>> double(None)
    Traceback (most recent call last):
        ...
    TypeError: unsupported operand type(s) for *: 'NoneType' and 'int'
    >>> double(3)
    7
    """
    return x * 2


print(doctest.testmod())
