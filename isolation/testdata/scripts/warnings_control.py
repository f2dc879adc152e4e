import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.warn("one")
    warnings.warn("two", UserWarning)
print([str(w.message) for w in caught], caught[0].category, caught[0].lineno)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        warnings.warn("raised")
    except UserWarning as exc:
        print("caught", exc)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    warnings.warn("never seen")
