import concurrent.futures as futures
import multiprocessing


def cube(x):
    return x ** 3


with futures.ThreadPoolExecutor(3) as pool:
    print(list(pool.map(cube, range(5))))
    jobs = {pool.submit(cube, n): n for n in range(4)}
    print(sorted((jobs[f], f.result()) for f in futures.as_completed(jobs)))
    failing = pool.submit(int, "x")
    print(repr(failing.exception()))
with futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    print(list(pool.map(cube, [3, 4])))
