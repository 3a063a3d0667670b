"""A strict Loki: it takes pushes as Loki's own endpoint does, refuses whatever breaks a rule, and keeps the entries."""

import collections
import http.server
import json
import re
import threading
import time

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from gateway import LOOPBACK, free_port

PATH = "/loki/api/v1/push"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")')
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
SINGLE = {"host", "content-type", "content-length", "content-encoding", "user-agent", "authorization", "x-scope-orgid"}

Entry = collections.namedtuple("Entry", "tenant labels time line metadata")


def push_request_type():
    """`logproto.PushRequest`, from its published description."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")

    def message(name, *fields):
        added = file.message_type.add(name=name)
        for number, (field_name, kind, label) in enumerate(fields, 1):
            added.field.add(
                name=field_name,
                number=number,
                label=label,
                type=field.TYPE_MESSAGE if isinstance(kind, str) else kind,
                type_name=f".logproto.{kind}" if isinstance(kind, str) else None,
            )

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("Pair", ("name", field.TYPE_STRING, one), ("value", field.TYPE_STRING, one))
    message("Time", ("seconds", field.TYPE_INT64, one), ("nanos", field.TYPE_INT32, one))
    message("Entry", ("time", "Time", one), ("line", field.TYPE_STRING, one), ("metadata", "Pair", many))
    message(
        "Stream",
        ("labels", field.TYPE_STRING, one),
        ("entries", "Entry", many),
        ("hash", field.TYPE_UINT64, one),
    )
    message("PushRequest", ("streams", "Stream", many))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))


PushRequest = push_request_type()


def parse_labels(text):
    """The labels of a stream, which must be written as Loki writes them."""
    assert text.startswith("{") and text.endswith("}"), text
    pairs = LABEL.findall(text)
    assert text == "{" + ", ".join(f"{name}={value}" for name, value in pairs) + "}", text
    names = [name for name, _ in pairs]
    assert names == sorted(set(names)), f"not sorted, or twice: {text}"
    # Loki does not count the label that it adds itself where it is missing.
    assert names and len(set(names) - {"service_name"}) <= 15, f"{len(names)} labels"
    labels = {name: json.loads(value) for name, value in pairs}
    for name, value in labels.items():
        assert name.strip("_"), "a label name of underscores only"
        assert len(name) <= 1024, "a long label name"
        assert 0 < len(value.encode()) <= 2048, f"label value of {len(value)} characters"
    return labels


def check_entry(entry):
    metadata = [(pair.name, pair.value) for pair in entry.metadata]
    assert len(entry.line.encode()) <= 256 << 10, "a long line"
    assert len(metadata) <= 128, f"{len(metadata)} pairs of metadata"
    assert sum(len(n.encode()) + len(v.encode()) for n, v in metadata) <= 64 << 10, "much metadata"
    assert all(NAME.match(name) and name.strip("_") for name, _ in metadata), metadata
    assert 0 <= entry.time.nanos < 1_000_000_000 and entry.time.seconds >= 0, entry.time
    return metadata


class LokiBackend:
    """Keeps the entries it takes, in `entries`, and the sizes of pushes.

    `answer`, if set, is called with the tenant and the entries of a push that breaks no rule: it may return None (all
    are kept), (status, fields, text) (none is), or raise ConnectionError to end the connection without an answer.
    Broken rules are in `faults`. `checks_time` refuses entries older than a week as Loki does: the others are kept.
    """

    def __init__(self, answer=None, needs_tenant=False, checks_time=False, port=None, tls=None):
        self.answer = answer
        self.needs_tenant, self.checks_time = needs_tenant, checks_time
        self.entries, self.heads, self.faults, self.push_bytes, self.pushes = [], [], [], [], []
        self.calls = 0
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

    def lines(self):
        with self.lock:
            return [entry.line for entry in self.entries]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    owner = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        owner = self.owner
        with owner.lock:
            owner.calls += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tenant = self.headers["X-Scope-OrgID"]
        if owner.needs_tenant and not tenant:
            self.reply(401, {}, "no org id\n")
            return
        try:
            entries = self.check(body, tenant)
        except AssertionError as fault:
            with owner.lock:
                owner.faults.append(str(fault)[:500])
            self.reply(400, {}, str(fault)[:500])
            return
        try:
            answer = owner.answer(tenant, entries) if owner.answer else None
        except ConnectionError:
            self.close_connection = True
            return
        if answer:
            self.reply(*answer)
            return
        oldest = (time.time() - 7 * 86400) * 1e9 if owner.checks_time else 0
        kept = [entry for entry in entries if entry.time >= oldest]
        with owner.lock:
            owner.entries += kept
            owner.heads.append(self.headers)
            owner.pushes.append(len(entries))
        if len(kept) == len(entries):
            self.reply(204, {}, "")
            return
        # As Loki's ingester says it: every entry, and how many they were at the end.
        old = [entry for entry in entries if entry.time < oldest]
        reasons = "".join(f"entry with timestamp {entry.time} ignored, reason: 'timestamp too old',\n" for entry in old)
        self.reply(
            400,
            {"Content-Type": "text/plain; charset=utf-8"},
            f"{reasons}user 'fake', total ignored: {len(old)} out of {len(entries)} for stream: {old[0].labels}\n",
        )

    def check(self, body, tenant):
        """The entries; AssertionError says which rule was broken."""
        fields = [name.lower() for name in self.headers.keys()]
        for name in SINGLE:
            assert fields.count(name) <= 1, f"{name} comes twice"
        assert "transfer-encoding" not in fields, "a body whose length is known needs no chunks"
        assert self.path == PATH, f"path {self.path}"
        assert self.headers["Content-Type"] == "application/x-protobuf", self.headers["Content-Type"]
        assert self.headers["Content-Encoding"] is None, self.headers["Content-Encoding"]
        assert self.headers["User-Agent"], "no User-Agent"
        plain = bytes(cramjam.snappy.decompress_raw(body))
        with self.owner.lock:
            self.owner.push_bytes.append(len(plain))
        push = PushRequest.FromString(plain)
        assert len(push.SerializeToString()) == len(plain), "lengths or numbers are longer than they need be"
        assert push.streams, "no streams"
        entries = []
        texts = [stream.labels for stream in push.streams]
        assert len(set(texts)) == len(texts), "a stream comes twice"
        for stream in push.streams:
            labels = parse_labels(stream.labels)
            assert stream.entries, "a stream without entries"
            times = [entry.time.seconds * 10**9 + entry.time.nanos for entry in stream.entries]
            assert times == sorted(times), "entries out of order"
            for at, entry in zip(times, stream.entries):
                entries.append(Entry(tenant, labels, at, entry.line, check_entry(entry)))
        return entries

    def reply(self, status, fields, text):
        body = text.encode()
        try:
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True
