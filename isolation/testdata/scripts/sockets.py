import selectors
import socket
import threading

server = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(data[::-1])


thread = threading.Thread(target=serve)
thread.start()
with socket.create_connection(server.getsockname(), timeout=30) as client:
    client.sendall(b"hello")
    print(client.recv(100), client.gettimeout())
thread.join()
server.close()
left, right = socket.socketpair()
with selectors.DefaultSelector() as selector:
    selector.register(right, selectors.EVENT_READ, "data")
    left.send(b"x")
    print([key.data for key, _ in selector.select(30)])
left.close()
right.close()
try:
    socket.create_connection(server_address := ("127.0.0.1", 1), timeout=30)
except OSError as exc:
    print(type(exc).__name__)
