import threading

barrier, event, ready = threading.Barrier(3), threading.Event(), threading.Semaphore(0)
out, condition = [], threading.Condition()


def run(n):
    barrier.wait()
    event.wait()
    with condition:
        out.append(n)
        condition.notify_all()
    ready.release()


threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(3)]
for t in threads:
    t.start()
event.set()
for _ in threads:
    ready.acquire()
with condition:
    condition.wait_for(lambda: len(out) == 3)
for t in threads:
    t.join()
print(sorted(out))
local = threading.local()
local.x = 1
seen = []
t = threading.Thread(target=lambda: seen.append(hasattr(local, "x")))
t.start()
t.join()
print(seen)
