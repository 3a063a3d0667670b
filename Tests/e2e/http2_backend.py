"""A strict OTLP/HTTP server that speaks HTTP/2, over TLS only."""

import gzip
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events

from backend import SIGNALS
from gateway import LOOPBACK, free_port
from http_backend import PATHS, PROTOBUF


class HTTP2Backend:
    """Keeps what it gets, in `requests`. While `closes` is not 0, a request ends its connection without a word."""

    def __init__(self, tls):
        self.tls = tls
        self.requests, self.faults = [], []
        self.connections = self.closes = 0
        self.lock = threading.Lock()
        self.port = free_port()
        self.listener = socket.create_server((LOOPBACK, self.port))
        self.sockets = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    @property
    def url(self):
        return f"https://{LOOPBACK}:{self.port}"

    def received(self, signal="traces"):
        with self.lock:
            return [request for request in self.requests if isinstance(request, SIGNALS[signal][1])]

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            plain.settimeout(30)
            with self.lock:
                self.connections += 1
            thread = threading.Thread(target=self.serve, args=[plain])
            self.threads.append(thread)
            thread.start()

    def serve(self, plain):
        try:
            with self.tls.wrap_socket(plain, server_side=True) as connection:
                with self.lock:
                    self.sockets.append(connection)
                assert connection.selected_alpn_protocol() == "h2"
                self.talk(connection)
        except (OSError, ssl.SSLError):
            pass
        except AssertionError as fault:
            with self.lock:
                self.faults.append(str(fault))
        finally:
            plain.close()

    def talk(self, connection):
        h2_side = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        h2_side.initiate_connection()
        heads, bodies = {}, {}
        connection.sendall(h2_side.data_to_send())
        while part := connection.recv(65536):
            for event in h2_side.receive_data(part):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    h2_side.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    if self.is_closing():
                        return
                    self.answer(h2_side, event.stream_id, heads.pop(event.stream_id), bodies.pop(event.stream_id))
            connection.sendall(h2_side.data_to_send())

    def is_closing(self):
        with self.lock:
            self.closes, was = max(0, self.closes - 1), self.closes
            return was > 0

    def answer(self, h2_side, stream, head, body):
        assert head[":method"] == "POST" and head[":scheme"] == "https", head
        assert head[":authority"] == f"{LOOPBACK}:{self.port}", head
        assert head["content-type"] == PROTOBUF and head["user-agent"], head
        assert int(head["content-length"]) == len(body), head
        assert not {"host", "connection", "transfer-encoding"} & set(head), head
        signal = PATHS[head[":path"]]
        if head.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = SIGNALS[signal][1].FromString(body)
        with self.lock:
            self.requests.append(request)
        h2_side.send_headers(stream, [(":status", "200"), ("content-type", PROTOBUF)])
        h2_side.send_data(stream, SIGNALS[signal][2]().SerializeToString(), end_stream=True)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for each in self.sockets:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self.threads:
            thread.join()
