import calendar
import time

print(calendar.month(2024, 2))
print(calendar.monthrange(2023, 2), calendar.isleap(1900), calendar.timegm((1970, 1, 2, 0, 0, 0)))
print(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(0)), time.gmtime(86400).tm_wday)
start = time.perf_counter()
time.sleep(0.001)
print(time.perf_counter() > start, time.monotonic() > 0, time.strptime("12:30", "%H:%M").tm_min)
