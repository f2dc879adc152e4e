import os
import signal
import time

try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        time.sleep(0.001)
except KeyboardInterrupt as exc:
    print("interrupted", repr(exc))
