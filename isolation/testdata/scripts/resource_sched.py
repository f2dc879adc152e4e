import resource
import sched
import time

print(resource.getrlimit(resource.RLIMIT_CORE)[0] >= 0, resource.getpagesize() > 0)
s, order = sched.scheduler(time.monotonic, time.sleep), []
start = time.monotonic()
s.enterabs(start + 0.002, 1, order.append, ("second",))
s.enterabs(start + 0.001, 1, order.append, ("first",))
s.run()
print(order, s.empty())
