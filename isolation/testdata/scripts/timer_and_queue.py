import queue
import threading

q = queue.Queue()
threading.Timer(0.005, q.put, args=["tick"]).start()
print(q.get(timeout=20))
p = queue.PriorityQueue()
for item in [(3, "c"), (1, "a"), (2, "b")]:
    p.put(item)
print([p.get() for _ in range(3)], p.empty())
s = queue.SimpleQueue()
s.put(1)
print(s.get_nowait())
try:
    s.get_nowait()
except queue.Empty as exc:
    print(type(exc), queue.LifoQueue(1).full())
