import sys
import threading

t = threading.Thread(target=sys.exit, args=("ignored",))
t.start()
t.join()
print("still here")
