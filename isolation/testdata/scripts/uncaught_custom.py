class AppError(Exception):
    """Multi-line messages and attributes."""

    def __str__(self):
        return "first line\nsecond line: " + ", ".join(self.args)


class Outer:
    class Inner(AppError):
        pass


raise Outer.Inner("a", "b")
