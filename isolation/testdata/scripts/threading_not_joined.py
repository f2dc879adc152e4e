import threading
import time


def late():
    time.sleep(0.02)
    print("late, from", threading.current_thread().name)


threading.Thread(target=late, name="straggler").start()
print("main ends")
