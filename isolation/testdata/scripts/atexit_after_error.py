import atexit

atexit.register(print, "callback after the traceback")
print("now it fails")
{}["key"]
