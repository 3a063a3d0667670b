"""A proxy of HTTP: tunnels (CONNECT), and requests with a whole URL."""

import http.client
import http.server
import select
import socket
import threading
import urllib.parse

from gateway import LOOPBACK, free_port


class Proxy:
    """Keeps the first lines of what it was asked, in `asked`, and their header fields, in `heads`. `names` says where a name
    that nobody else knows is; `credentials` is what `Proxy-Authorization` must say; so many requests are refused first."""

    def __init__(self, names=None, credentials=None, refused=0):
        self.names, self.credentials, self.refused = names or {}, credentials, refused
        self.asked, self.heads = [], []
        self.port = free_port()
        owner = self

        class Handler(_Handler):
            proxy = owner

        self.server = http.server.ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def address(self, host, port):
        return self.names.get(host, (host, port))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    proxy = None

    def log_message(self, *_):
        pass

    def is_allowed(self):
        self.proxy.asked.append(self.requestline)
        self.proxy.heads.append(self.headers)
        is_known = self.proxy.credentials in (None, self.headers["Proxy-Authorization"])
        if is_known and self.proxy.refused == 0:
            return True
        if is_known:
            self.proxy.refused -= 1
        self.send_response(502 if is_known else 407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_CONNECT(self):
        if not self.is_allowed():
            return
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection(self.proxy.address(host, int(port))) as there:
            self.send_response(200, "Connection established")
            self.end_headers()
            pair = {self.connection: there, there: self.connection}
            while True:
                for readable in select.select(list(pair), [], [], 30)[0]:
                    data = readable.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    pair[readable].sendall(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.is_allowed():
            return
        url = urllib.parse.urlsplit(self.path)
        there = http.client.HTTPConnection(*self.proxy.address(url.hostname, url.port))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        there.request("POST", url.path, body, headers)
        answer = there.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        there.close()
