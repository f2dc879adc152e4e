import multiprocessing


def square(x):
    return x * x


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        print(pool.map(square, range(6)))
        print(pool.apply_async(divmod, (7, 2)).get(timeout=30))
        try:
            pool.apply(int, ("x",))
        except ValueError as exc:
            print(exc)
