import multiprocessing
import os


def child(queue, pipe, value):
    queue.put(os.getppid())
    pipe.send({"name": multiprocessing.current_process().name})
    with value.get_lock():
        value.value += 5


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue, value = context.Queue(), context.Value("i", 1)
    here, there = context.Pipe()
    process = context.Process(target=child, args=(queue, there, value), name="worker-a")
    process.start()
    print(queue.get(timeout=30) == os.getpid(), here.recv())
    process.join()
    print(value.value, process.exitcode, multiprocessing.parent_process(), multiprocessing.active_children())
