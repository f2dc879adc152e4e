exc = ValueError("with notes")
if hasattr(exc, "add_note"):
    exc.add_note("the first note")
    exc.add_note("another\nof two lines")
raise exc
