import multiprocessing


def fail():
    raise KeyError("in a child")


if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=fail, name="failing")
    process.start()
    process.join()
    print(process.exitcode)
