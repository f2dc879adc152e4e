import locale

print(locale.setlocale(locale.LC_NUMERIC), locale.localeconv()["decimal_point"])
print(locale.getpreferredencoding(False), locale.strxfrm("a") < locale.strxfrm("b"))
try:
    locale.setlocale(locale.LC_ALL, "no_SUCH.locale")
except locale.Error as exc:
    print(exc)
print(locale.format_string("%.2f", 1234.5, grouping=True), locale.atof("1.5"))
