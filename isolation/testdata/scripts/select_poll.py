import os
import select

read, write = os.pipe()
print(select.select([read], [write], [], 0)[0], select.select([], [write], [], 0)[1] == [write])
os.write(write, b"x")
poll = select.poll()
poll.register(read, select.POLLIN)
print(poll.poll(1000) == [(read, select.POLLIN)])
epoll = select.epoll()
epoll.register(read, select.EPOLLIN)
print(len(epoll.poll(10)))
epoll.close()
os.close(read)
os.close(write)
