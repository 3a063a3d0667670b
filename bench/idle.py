"""Connections that have nothing to say: what they take of the gateway's memory, for `bench/run startup`."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# An idle connection is looked at every 15 s, and counts as idle 5 s after its last byte.
IDLE_SECONDS = 25
CLIENT_FIELDS = (
    ("user-agent", "grpc-go/1.71.0"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "gzip"),
    ("grpc-timeout", "9999934u"),
)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    return bytes([len(value)]) + value.encode()


def request(body):
    """The head and the body of a call, its fields for the dynamic table, as gRPC's clients send them."""
    # :method POST, :scheme http, then literals whose names are in the static table, or are not.
    fields = b"\x83\x86"
    fields += b"\x44" + text("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    fields += b"\x41" + text("gateway.observability.svc:4317") + b"\x5f" + text("application/grpc")
    fields += b"".join(b"\x40" + text(name) + text(value) for name, value in CLIENT_FIELDS)
    message = b"\0" + struct.pack(">I", len(body)) + body
    return frame(1, 4, 1, fields) + frame(0, 1, 1, message)


def read_answer(client):
    """Reads until the first stream has ended."""
    seen = b""
    while True:
        more = client.recv(4096)
        if not more:
            raise ConnectionError("the gateway closed a connection that was to be idle")
        seen += more
        while len(seen) >= 9:
            length, kind, flags = int.from_bytes(seen[:3], "big"), seen[3], seen[4]
            if len(seen) < 9 + length:
                break
            seen = seen[9 + length :]
            if kind == 1 and flags & 1:
                return


class Crowd:
    """So many connections of a client."""

    def __init__(self, port, count):
        # Each of these addresses has ports of its own.
        self.clients = []
        for index in range(count):
            source = (f"127.0.0.{2 + index % 4}", 0)
            self.clients.append(socket.create_connection(("127.0.0.1", port), timeout=30, source_address=source))

    def greet(self):
        """Preface and settings, as a client sends them before it has a request."""
        for client in self.clients:
            client.sendall(PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 65_535)))

    def ask(self, body):
        """A request on each; returns when all are answered."""
        asked = frame(4, 1, 0) + request(body)
        for client in self.clients:
            client.sendall(asked)
        for client in self.clients:
            read_answer(client)

    def close(self):
        for client in self.clients:
            client.close()


def measure(gateway, port, count, body):
    """Resident MiB: before, with so many connections that are silent, that have greeted, that have made a request each,
    and have been idle since."""
    mib = {"none": gateway.program.memory_mib()[0]}
    crowd = Crowd(port, count)
    try:
        for name, step in (("silent", None), ("greeted", crowd.greet), ("asked", lambda: crowd.ask(body))):
            if step:
                step()
            time.sleep(2)
            mib[name] = gateway.program.memory_mib()[0]
        time.sleep(IDLE_SECONDS)
        mib["idle"] = gateway.program.memory_mib()[0]
    finally:
        crowd.close()
    return mib
