"""What the prometheus receiver talks to: targets with pages, and a small API server of Kubernetes."""

import contextlib
import gzip
import http.server
import json
import queue
import socket
import ssl
import threading
import time
import urllib.parse

from gateway import LOOPBACK, free_port

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class HTTPServer:
    """An HTTP/1.1 server on a port of its own; `handle(request)` answers every GET."""

    def __init__(self, port=None, certificate=None):
        owner = self
        self._connections = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                owner._connections.append(self.connection)

            def do_GET(self):
                owner.handle(self)

            def log_message(self, *_):
                pass

        self.port = port or free_port()
        self._server = http.server.ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self):
        return f"{LOOPBACK}:{self.port}"

    def stop(self):
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._thread = None
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Target(HTTPServer):
    """A target whose page, status and demands the test sets."""

    def __init__(self, page="", content_type=TEXT, **options):
        self.page, self.content_type = page, content_type
        self.status = 200
        self.authorization = None
        self.redirect = None
        self.compresses = False
        self.requests = []
        super().__init__(**options)

    def handle(self, request):
        self.requests.append((request.path, dict(request.headers.items())))
        body = self.page.encode() if isinstance(self.page, str) else self.page
        status, headers = self.status, {"Content-Type": self.content_type}
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            status, body = 401, b"who are you?"
        elif self.redirect and not request.path.startswith("/elsewhere"):
            status, body = 302, b""
            headers["Location"] = self.redirect
        elif self.compresses:
            assert "gzip" in request.headers["Accept-Encoding"]
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def pod(name, address, namespace="shop", port=None, **annotations):
    """A pod as the API server describes it."""
    container = {"name": "app", "image": "app:1"}
    if port:
        container["ports"] = [{"name": "metrics", "containerPort": port, "protocol": "TCP"}]
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": {"app": name},
            "annotations": {f"prometheus.io/{key}": str(value) for key, value in annotations.items()},
        },
        "spec": {"nodeName": "node-1", "containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


class APIServer(HTTPServer):
    """Lists and watches pods as Kubernetes does: pages, versions, bookmarks, 410 Gone; insists on its token."""

    def __init__(self, token, pods=(), page_size=2, **options):
        self.token, self.page_size = token, page_size
        self.version = 100
        self.pods = {}
        self.lists, self.watches = [], []
        self._watchers = []
        self._lock = threading.Lock()
        for one in pods:
            self.pods[one["metadata"]["name"]] = self._stamped(one)
        self.refusals = 0
        super().__init__(**options)

    def _stamped(self, one):
        self.version += 1
        one = json.loads(json.dumps(one))
        one["metadata"]["resourceVersion"] = str(self.version)
        return one

    def change(self, kind, one):
        """ADDED, MODIFIED or DELETED."""
        with self._lock:
            one = self._stamped(one)
            if kind == "DELETED":
                self.pods.pop(one["metadata"]["name"], None)
            else:
                self.pods[one["metadata"]["name"]] = one
            self._tell({"type": kind, "object": one})

    def bookmark(self):
        with self._lock:
            self.version += 1
            metadata = {"resourceVersion": str(self.version)}
            self._tell({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}})

    def expire(self):
        """Ends all watches with 410."""
        with self._lock:
            status = {"kind": "Status", "metadata": {}, "status": "Failure", "code": 410, "message": "too old"}
            self._tell({"type": "ERROR", "object": status})
            self.end_watches(locked=True)

    def end_watches(self, locked=False):
        """Ends all watches, as servers do every few minutes."""
        self._tell(None)
        self._watchers.clear()

    def _tell(self, event):
        for watcher in self._watchers:
            watcher.put(event)

    def handle(self, request):
        url = urllib.parse.urlparse(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refusals += 1
            return self._answer(request, 401, {"kind": "Status", "code": 401})
        if url.path != "/api/v1/namespaces/shop/pods":
            return self._answer(request, 404, {"kind": "Status", "code": 404})
        if query.get("watch"):
            return self._watch(request, query)
        with self._lock:
            self.lists.append(query)
            start = int(query.get("continue", 0))
            names = sorted(self.pods)
            more = start + self.page_size < len(names)
            metadata = {"resourceVersion": str(self.version)}
            if more:
                metadata["continue"] = str(start + self.page_size)
            items = [self.pods[name] for name in names[start : start + self.page_size]]
        self._answer(request, 200, {"kind": "PodList", "metadata": metadata, "items": items})

    def _answer(self, request, status, body):
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _watch(self, request, query):
        watcher = queue.Queue()
        with self._lock:
            self.watches.append(query)
            self._watchers.append(watcher)
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            while (event := watcher.get(timeout=60)) is not None:
                data = json.dumps(event).encode() + b"\n"
                # In two pieces: a line need not come at once.
                for piece in (data[:20], data[20:]):
                    request.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    request.wfile.flush()
            request.wfile.write(b"0\r\n\r\n")
        except (OSError, queue.Empty):
            pass


class Point:
    """A data point with everything around it."""

    def __init__(self, resource, scope, metric, kind, point):
        self.resource = {a.key: a.value.string_value for a in resource.attributes}
        self.scope = scope.name
        self.name, self.unit, self.kind = metric.name, metric.unit, kind
        self.labels = {a.key: a.value.string_value for a in point.attributes}
        self.is_stale = bool(point.flags & 1)
        self.point = point
        self.value = point.as_double if kind in ("gauge", "sum") else point.count


def points(backend, name=None, **labels):
    """All data points that the backend got, in order; only those of a metric and with these labels, if told."""
    found = []
    for request in backend.received("metrics"):
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        found.append(Point(resource.resource, scope.scope, metric, kind, point))
    return [p for p in found if name in (None, p.name) and labels.items() <= p.labels.items()]
