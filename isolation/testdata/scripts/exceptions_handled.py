class Custom(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


def risky(n):
    try:
        if n == 0:
            raise Custom(5)
        if n == 1:
            return {}["missing"]
        return "fine"
    except Custom as exc:
        return exc, exc.code
    except (KeyError, IndexError) as exc:
        return repr(exc)
    else:
        return "never"
    finally:
        print("finally", n)


print([risky(n) for n in range(3)])
try:
    try:
        1 / 0
    except ZeroDivisionError as exc:
        raise ValueError("wrapped") from exc
except ValueError as exc:
    print(repr(exc.__cause__), exc.__suppress_context__, exc.__traceback__.tb_lineno)
