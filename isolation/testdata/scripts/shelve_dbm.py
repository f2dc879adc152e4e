import dbm.dumb
import shelve

with shelve.Shelf(dbm.dumb.open("shelf", "c")) as shelf:
    shelf["a"] = {"list": [1, 2]}
    shelf["b"] = (3,)
with shelve.Shelf(dbm.dumb.open("shelf", "r")) as shelf:
    print(sorted(shelf.items()), "a" in shelf)
