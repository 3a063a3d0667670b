"""Clients of the gateway: a well-behaved one on each transport, and sockets that say what no library would.
"""

import gzip
import http.client
import socket
import struct

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from google.rpc import error_details_pb2, status_pb2

from backend import SIGNALS
from gateway import LOOPBACK

PROTOBUF = "application/x-protobuf"
HTTP_PATHS = {"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"}


def signal_of(request):
    return next(signal for signal, (_, kind, _) in SIGNALS.items() if isinstance(request, kind))


def retry_seconds(status):
    """The delay of the RetryInfo in a google.rpc.Status; None without one."""
    for detail in status.details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return None


def error_retry_seconds(error):
    """The same of a grpcio error."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return retry_seconds(status_pb2.Status.FromString(value))
    return None


class GRPCClient:
    """A grpcio client; `export` raises grpc.RpcError when the answer is not OK."""

    def __init__(self, port, compression=grpc.Compression.NoCompression, options=()):
        self.channel = grpc.insecure_channel(
            f"{LOOPBACK}:{port}",
            compression=compression,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_send_message_length", -1),
                *options,
            ],
        )

    def export(self, request, timeout=15, metadata=None):
        path, _, response = SIGNALS[signal_of(request)]
        call = self.channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return call(request, timeout=timeout, metadata=metadata)

    def call(self, path, message, timeout=15):
        """Any bytes to any method."""
        return self.channel.unary_unary(path)(message, timeout=timeout)

    def close(self):
        self.channel.close()


class HTTPClient:
    """OTLP over HTTP/1.1 on one connection."""

    def __init__(self, port, timeout=15):
        self.connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)

    def post(self, body, path="/v1/traces", headers=None, method="POST"):
        """Status, header fields and body of the answer."""
        self.connection.request(method, path, body, {"Content-Type": PROTOBUF, **(headers or {})})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def export(self, request, compressed=False):
        body, headers = request.SerializeToString(), {}
        if compressed:
            body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
        signal = signal_of(request)
        status, headers, body = self.post(body, HTTP_PATHS[signal], headers)
        assert status == 200, (status, body)
        assert headers["Content-Type"] == PROTOBUF
        return SIGNALS[signal][2].FromString(body)

    def close(self):
        self.connection.close()


def raw_http(port, *parts, timeout=15):
    """Sends bytes as they are on one connection and reads until its end, or until nothing more comes for a
    while."""
    with socket.create_connection((LOOPBACK, port), timeout=timeout) as sock:
        for part in parts:
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
        return answer


def frame(kind, flags, stream, payload=b""):
    """The bytes of an HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class RawHTTP2:
    """An HTTP/2 client whose every frame the test chooses."""

    def __init__(self, port, timeout=15, wrap=None):
        self.socket = socket.create_connection((LOOPBACK, port), timeout=timeout)
        if wrap:
            self.socket = wrap(self.socket)
        self.begin()
        self.flush()

    def begin(self):
        """The client's end of a connection; what it sends first waits for `flush`."""
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        )
        self.h2.initiate_connection()
        self.answers = {}
        self.goaway = None

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def open(self, path=SIGNALS["traces"][0], end_stream=False, method="POST", **fields):
        """Sends a request's head, as gRPC does unless told otherwise; None leaves a field out."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.head(path, method, **fields), end_stream=end_stream)
        self.flush()
        return stream

    @staticmethod
    def head(path=SIGNALS["traces"][0], method="POST", **fields):
        """The fields that `open` sends."""
        head = {
            ":method": method,
            ":scheme": "http",
            ":path": path,
            ":authority": "gateway",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        head.update({name.replace("_", "-"): value for name, value in fields.items()})
        return [(name, value) for name, value in head.items() if value is not None]

    def send(self, stream, body, end_stream=True):
        """Sends a body in frames that the windows allow; stops when the server has answered and wants no more."""
        try:
            self._send(stream, body, end_stream)
        except h2.exceptions.StreamClosedError:
            pass  # RFC 9113, 8.1: an early answer, then a reset; whoever reads the answer judges it

    def _send(self, stream, body, end_stream):
        while True:
            size = min(len(body), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if size == 0 and body:
                self.read()
                continue
            part, body = body[:size], body[size:]
            self.h2.send_data(stream, part, end_stream=end_stream and not body)
            self.flush()
            if not body:
                return

    def read(self):
        """Reads once; false at the end of the connection."""
        data = self.socket.recv(65536)
        for event in self.h2.receive_data(data) if data else ():
            if isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event
                continue
            stream = getattr(event, "stream_id", None)
            answer = self.answers.setdefault(stream, {"head": {}, "trailers": {}, "body": b"", "end": None})
            if isinstance(event, h2.events.ResponseReceived):
                answer["head"] = dict(event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                answer["trailers"] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                answer["body"] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded):
                answer["end"] = "ended"
            elif isinstance(event, h2.events.StreamReset) and answer["end"] is None:
                answer["end"] = f"reset {int(event.error_code)}"
        if data:
            self.flush()
        return bool(data)

    def answer(self, stream):
        """Waits for a stream's end."""
        while not (self.answers.get(stream) or {"end": None})["end"]:
            if not self.read():
                raise ConnectionError("the gateway closed the connection")
        return self.answers[stream]

    def grpc_status(self, stream):
        """Code and message of a gRPC call."""
        answer = self.answer(stream)
        fields = {**answer["head"], **answer["trailers"]}
        assert "grpc-status" in fields, answer
        return int(fields["grpc-status"]), fields.get("grpc-message", "")

    def close(self):
        self.socket.close()


def grpc_message(body, flag=0, length=None):
    """A body behind gRPC's prefix, which may lie."""
    return bytes([flag]) + (len(body) if length is None else length).to_bytes(4, "big") + body
