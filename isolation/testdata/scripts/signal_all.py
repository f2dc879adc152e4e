import os
import signal
import time

seen = []
old = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(signal.Signals(number).name))
os.kill(os.getpid(), signal.SIGUSR1)
while not seen:
    time.sleep(0.001)
print(seen, old == signal.SIG_DFL)
signal.signal(signal.SIGUSR1, old)


def expired(number, frame):
    raise TimeoutError("the alarm")


old = signal.signal(signal.SIGALRM, expired)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    while True:
        time.sleep(1)
except TimeoutError as exc:
    print(exc)
signal.signal(signal.SIGALRM, old)
print(signal.getsignal(signal.SIGTERM), signal.getitimer(signal.ITIMER_REAL))
