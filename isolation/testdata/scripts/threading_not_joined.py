import threading

main_ends = threading.Event()


def late():
    main_ends.wait()
    print("late, from", threading.current_thread().name)


threading.Thread(target=late, name="straggler").start()
print("main ends")
main_ends.set()
