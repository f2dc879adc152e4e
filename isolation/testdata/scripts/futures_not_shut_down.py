from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(2)
pool.submit(print, "by the pool")
print(pool.submit(lambda: "result").result())
