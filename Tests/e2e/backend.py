"""Backends that the gateway exports to: a real one (grpcio), and one that breaks the rules byte by byte (h2).
"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from gateway import LOOPBACK, free_port

SIGNALS = {
    "traces": (
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
    ),
    "metrics": (
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
    ),
    "logs": (
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
    ),
}


def retry_info(seconds):
    """The bytes of `grpc-status-details-bin` that ask to come again after so many seconds."""
    info = error_details_pb2.RetryInfo(
        retry_delay=duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(details=[detail]).SerializeToString()


def refuse(context, code, seconds=None):
    """Ends a call with a status, with a RetryInfo if seconds are given."""
    if seconds is not None:
        context.set_trailing_metadata((("grpc-status-details-bin", retry_info(seconds)),))
    context.abort(code, "as told")


class Backend:
    """A grpcio server for all three signals that keeps what it gets.

    `answer`, if set, is called with the request and the grpcio context before the request is kept: it may
    abort, block, or return a response of its own. Only what is answered with OK is kept.
    """

    def __init__(self, port=None, answer=None, options=(), credentials=None, host=LOOPBACK):
        self.host = host
        self.port = port or free_port()
        base = {"grpc.so_reuseport": 0, "grpc.max_receive_message_length": 64 << 20}
        self.options = list({**base, **dict(options)}.items())
        self.answer = answer
        self.credentials = credentials
        self.requests = []
        self.arrivals = []
        self.calls = 0
        self._lock = threading.Lock()
        self._server = None
        self.start()

    @property
    def endpoint(self):
        return f"{self.host}:{self.port}"

    def start(self):
        self._server = grpc.server(ThreadPoolExecutor(32), options=self.options)
        handlers = [
            grpc.method_handlers_generic_handler(
                path.split("/")[1],
                {
                    "Export": grpc.unary_unary_rpc_method_handler(
                        self._handler(response), request.FromString, response.SerializeToString
                    )
                },
            )
            for path, request, response in SIGNALS.values()
        ]
        self._server.add_generic_rpc_handlers(handlers)
        if self.credentials:
            assert self._server.add_secure_port(self.endpoint, self.credentials) == self.port
        else:
            assert self._server.add_insecure_port(self.endpoint) == self.port
        self._server.start()

    def stop(self):
        """Gone, as if it had never been there; `start` brings it back."""
        if self._server:
            self._server.stop(0).wait()
            self._server = None

    def _handler(self, response_type):
        def handle(request, context):
            with self._lock:
                self.calls += 1
            response = self.answer(request, context) if self.answer else None
            with self._lock:
                self.requests.append(request)
                self.arrivals.append(time.monotonic())
            return response or response_type()

        return handle

    def received(self, signal="traces"):
        """The requests of one signal so far."""
        with self._lock:
            return [request for request in self.requests if isinstance(request, SIGNALS[signal][1])]

    def clear(self):
        with self._lock:
            self.requests, self.arrivals, self.calls = [], [], 0


class RawBackend:
    """An HTTP/2 server that does as it is told with every request.

    It calls `act(connection, stream, headers, body, socket)`. It also keeps what grpcio hides: the request's header fields and the bytes of its body.
    """

    def __init__(self, act=None):
        self.act = act or self.accept
        self.requests = []
        self._sockets = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"{LOOPBACK}:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @staticmethod
    def accept(connection, stream, headers, body, sock):
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        connection.send_data(stream, bytes(5))
        connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        connection.initiate_connection()
        heads, bodies = {}, {}
        try:
            sock.sendall(connection.data_to_send())
            while data := sock.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                    elif isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] += event.data
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        head, body = heads.pop(event.stream_id), bodies.pop(event.stream_id)
                        self.requests.append((head, body))
                        self.act(connection, event.stream_id, head, body, sock)
                sock.sendall(connection.data_to_send())
        except (OSError, h2.exceptions.ProtocolError):
            pass  # The test or the gateway ended the connection.
        finally:
            sock.close()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join()
