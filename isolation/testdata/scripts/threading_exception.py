import threading


def fail():
    raise RuntimeError("in a thread")


thread = threading.Thread(target=fail, name="failing")
thread.start()
thread.join()
print("the script goes on")
