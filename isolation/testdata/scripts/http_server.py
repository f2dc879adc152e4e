import http.client
import http.server
import threading
import urllib.error
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404, "Nothing here")
            return
        body = f"path {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print("log:", format % args)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever)
thread.start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
base = f"http://127.0.0.1:{server.server_port}"
print(opener.open(base + "/a?b=c", timeout=30).read())
try:
    opener.open(base + "/missing", timeout=30)
except urllib.error.HTTPError as exc:
    print(exc.code, exc.reason)
    exc.close()
connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
connection.request("GET", "/direct")
print(connection.getresponse().read())
connection.close()
server.shutdown()
thread.join()
server.server_close()
