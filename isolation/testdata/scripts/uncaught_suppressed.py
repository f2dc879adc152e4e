try:
    [][1]
except IndexError:
    raise LookupError("nothing") from None
