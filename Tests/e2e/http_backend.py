"""A strict OTLP/HTTP server: what is not what the specification asks for is answered with 400."""

import gzip
import http.server
import ssl
import threading

import cramjam
from google.rpc import status_pb2

import otlp_json
from backend import SIGNALS
from gateway import LOOPBACK, free_port

PATHS = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
UNPACKERS = {
    None: bytes,
    "gzip": gzip.decompress,
    "zstd": cramjam.zstd.decompress,
    "snappy": cramjam.snappy.decompress_raw,
    "x-snappy-framed": cramjam.snappy.decompress,
}
SINGLE = {"host", "content-type", "content-length", "content-encoding", "user-agent", "authorization"}


class HTTPBackend:
    """Keeps what it gets, in `requests`, their header fields, in `heads`, and their bytes, in `bodies`.

    `answer`, if set, is called with the request and the handler before the request is kept. It may return
    None, a response message, or (status, fields, body), or raise ConnectionError to end the connection
    without an answer. Only what is answered with 200 is kept. `paths` maps paths to signals.
    """

    def __init__(self, answer=None, paths=None, tls=None, port=None):
        self.answer = answer
        self.paths = paths or PATHS
        self.requests, self.heads, self.bodies, self.faults = [], [], [], []
        self.calls = self.connections = 0
        self.lock = threading.Lock()
        self.port = port or free_port()
        backend = self

        class Handler(_Handler):
            owner = backend

        self.server = http.server.ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def received(self, signal="traces"):
        with self.lock:
            return [request for request in self.requests if isinstance(request, SIGNALS[signal][1])]

    def clear(self):
        with self.lock:
            self.requests, self.heads, self.bodies, self.calls = [], [], [], 0

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    owner = None

    def setup(self):
        super().setup()
        with self.owner.lock:
            self.owner.connections += 1

    def log_message(self, *_):
        pass

    def do_POST(self):
        owner = self.owner
        with owner.lock:
            owner.calls += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            signal, request = self.check(body)
        except AssertionError as fault:
            with owner.lock:
                owner.faults.append(str(fault))
            self.reply(400, {"Content-Type": PROTOBUF}, status_pb2.Status(message=str(fault)))
            return
        try:
            answer = owner.answer(request, self) if owner.answer else None
        except ConnectionError:
            self.close_connection = True
            return
        if isinstance(answer, tuple):
            self.reply(*answer)
            return
        with owner.lock:
            owner.requests.append(request)
            owner.heads.append(self.headers)
            owner.bodies.append(body)
        self.reply(200, {"Content-Type": PROTOBUF}, answer or SIGNALS[signal][2]())

    def do_GET(self):
        with self.owner.lock:
            self.owner.faults.append(f"GET {self.path}")
        self.reply(405, {}, b"")

    def check(self, body):
        """The signal and the request; AssertionError says which rule was broken."""
        fields = [name.lower() for name in self.headers.keys()]
        for name in SINGLE:
            assert fields.count(name) <= 1, f"{name} comes twice"
        assert "transfer-encoding" not in fields, "a body whose length is known needs no chunks"
        assert self.path in self.owner.paths, f"path {self.path}"
        assert self.headers["Host"] == f"{LOOPBACK}:{self.owner.port}", self.headers["Host"]
        kind = self.headers["Content-Type"]
        assert kind in (PROTOBUF, JSON), kind
        assert self.headers["User-Agent"], "no User-Agent"
        encoding = self.headers["Content-Encoding"]
        assert encoding in UNPACKERS, encoding
        signal = self.owner.paths[self.path]
        message = bytes(UNPACKERS[encoding](body))
        if kind == JSON:
            assert otlp_json.decode(message)[0] == signal, self.path
            return otlp_json.decode(message)
        return signal, SIGNALS[signal][1].FromString(message)

    def reply(self, status, fields, body):
        body = body if isinstance(body, bytes) else body.SerializeToString()
        try:
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            if "Content-Length" not in fields:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def server_context(certificates, client_authority=None):
    """TLS of a Python server, which asks clients for certificates of an authority if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.set_alpn_protocols(["http/1.1"])
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context
