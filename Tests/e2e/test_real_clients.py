"""What SDKs, proxies and agents of the field send: served as they mean it, refused where a backend would refuse the batch."""

import contextlib
import json
import socket
import ssl
import subprocess

import cramjam
import grpc
import pytest
from google.rpc import status_pb2

import data
from backend import SIGNALS
from client import HTTP_PATHS, PROTOBUF, HTTPClient, RawHTTP2, grpc_message, raw_http
from conftest import MIB, config, exporter, otlp
from gateway import BINARY, LOOPBACK, free_port, wait_until
from test_answers import field, varint

GOOD = data.spans(2).SerializeToString()
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: g\r\nContent-Type: application/x-protobuf\r\n"


def message(number, content):
    """A length-delimited field of any length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def around(*numbers, content):
    """A field inside fields."""
    for number in reversed(numbers):
        content = message(number, content)
    return content


# Where ids stand: signal, the fields that lead there, the id's length.
IDS = {
    "span": ("traces", (1, 2, 2, 1), 16),
    "span's own": ("traces", (1, 2, 2, 2), 8),
    "parent": ("traces", (1, 2, 2, 4), 8),
    "link's trace": ("traces", (1, 2, 2, 13, 1), 16),
    "link's span": ("traces", (1, 2, 2, 13, 2), 8),
    "log's trace": ("logs", (1, 2, 2, 9), 16),
    "log's span": ("logs", (1, 2, 2, 10), 8),
    "exemplar of a gauge": ("metrics", (1, 2, 2, 5, 1, 5, 5), 16),
    "exemplar's span of a sum": ("metrics", (1, 2, 2, 7, 1, 5, 4), 8),
    "exemplar of a histogram": ("metrics", (1, 2, 2, 9, 1, 8, 5), 16),
    "exemplar of an exponential histogram": ("metrics", (1, 2, 2, 10, 1, 11, 4), 8),
}


@pytest.mark.parametrize("place", IDS)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 32])
def test_ids_of_every_length(target, place, size):
    """If it failed, one client's id would make a backend refuse a batch with everybody's data."""
    signal, numbers, wanted = IDS[place]
    body = around(*numbers, content=b"\x01" * size)
    is_good = size in (0, wanted)
    client = HTTPClient(target.gateway.http_port)
    status, _, answer = client.post(body, HTTP_PATHS[signal])
    client.close()
    assert status == (200 if is_good else 400)
    try:
        target.grpc.call(SIGNALS[signal][0], body)
        assert is_good
    except grpc.RpcError as error:
        assert not is_good and error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"an id of {size} bytes" in error.details() and "_id" in error.details()
    if not is_good:
        words = status_pb2.Status.FromString(answer).message
        assert f"must have {wanted}" in words and "at byte" in words, words


JSON_IDS = {
    "traces": '{"resourceSpans":[{"scopeSpans":[{"spans":[{"%s":"%s"}]}]}]}',
    "logs": '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"%s":"%s"}]}]}]}',
    "metrics": '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"exemplars":[{"%s":"%s"}]}]}}]}]}]}',
}


@pytest.mark.parametrize("signal", JSON_IDS)
@pytest.mark.parametrize("key, digits", [("traceId", 32), ("trace_id", 32), ("spanId", 16), ("span_id", 16)])
@pytest.mark.parametrize("count", [0, 2, 14, 16, 18, 30, 32, 34])
def test_ids_in_json(target, signal, key, digits, count):
    """If it failed, JSON would be a way around the check."""
    client = HTTPClient(target.gateway.http_port)
    body = JSON_IDS[signal] % (key, "a" * count)
    status, _, answer = client.post(body, HTTP_PATHS[signal], {"Content-Type": "application/json"})
    client.close()
    assert status == (200 if count in (0, digits) else 400), answer
    if status == 400:
        assert f"an id of {count // 2} bytes" in json.loads(answer)["message"]


TEXTS = {
    "a name": ("traces", (1, 2, 2, 5)),
    "an attribute's value": ("traces", (1, 2, 2, 9, 2, 1)),
    "an attribute's key": ("traces", (1, 2, 2, 9, 1)),
    "a state": ("traces", (1, 2, 2, 3)),
    "a status": ("traces", (1, 2, 2, 15, 2)),
    "an event": ("traces", (1, 2, 2, 11, 2)),
    "a scope's name": ("traces", (1, 2, 1, 1)),
    "a schema": ("traces", (1, 3)),
    "a value in a list in a map": ("logs", (1, 2, 2, 5, 6, 1, 2, 5, 1, 1)),
    "a body": ("logs", (1, 2, 2, 5, 1)),
    "a severity": ("logs", (1, 2, 2, 3)),
    "a resource's attribute": ("logs", (1, 1, 1, 2, 1)),
    "a metric's unit": ("metrics", (1, 2, 2, 3)),
    "a metric's description": ("metrics", (1, 2, 2, 2)),
    "a point's attribute": ("metrics", (1, 2, 2, 5, 1, 7, 2, 1)),
}
WRONG = {
    b"caf\xe9": "caf\ufffd",
    b"\xff\xfe": "\ufffd\ufffd",
    b"a\xe2\x82": "a\ufffd",
    b"\xed\xa0\x80x": "\ufffd\ufffd\ufffdx",
    b"\xc0\xaf" + b"y" * 130: "\ufffd\ufffd" + "y" * 130,
}


def text_at(request, numbers):
    """The text at the end of the field numbers, whatever the message is."""
    value = request
    for number in numbers:
        descriptor = value.DESCRIPTOR.fields_by_number[number]
        value = getattr(value, descriptor.name)
        if descriptor.is_repeated:
            value = value[0]
    return value


@pytest.mark.parametrize("place", TEXTS)
@pytest.mark.parametrize("transport", ["grpc", "http", "gzip"])
def test_text_that_is_not_utf8(gateway, backend, clients, place, transport):
    """If it failed, one application that writes Latin-1 would cost all others behind its agent their data."""
    signal, numbers = TEXTS[place]
    sink = backend()
    started = gateway(config({"otlp": exporter(sink)}))
    for wrong in WRONG:
        body = around(*numbers, content=wrong)
        # An item beside it, or an envelope without one would be answered and not sent.
        body += around(1, 2, 2, content=message({"traces": 5, "metrics": 1, "logs": 3}[signal], b"x"))
        if signal == "metrics":
            body += around(1, 2, 2, 5, 1, content=b"")
        if transport == "grpc":
            clients.grpc(started).call(SIGNALS[signal][0], body)
        else:
            extra = {"Content-Encoding": "gzip"} if transport == "gzip" else {}
            packed = bytes(cramjam.gzip.compress(body)) if extra else body
            status, _, answer = clients.http(started).post(packed, HTTP_PATHS[signal], extra)
            assert status == 200, answer
    wait_until(lambda: len(sink.received(signal)) == len(WRONG), "all requests at the backend")
    # Several are sent at a time.
    assert sorted(text_at(request, numbers) for request in sink.received(signal)) == sorted(WRONG.values())
    page = started.metrics()
    assert page.sum("sluice_receiver_repaired_texts", signal=signal) == len(WRONG)
    assert started.log.count("Text is not UTF-8") == 1


SECRET = message(1, b"password") + message(2, message(1, b"hunter2"))


@pytest.mark.parametrize(
    "request_with",
    {
        "a resource in two parts": lambda secret: around(
            1, content=message(1, message(1, secret)) + around(2, 2, content=b"") + message(1, b"\x10\x01")
        ),
        "a scope in two parts": lambda secret: around(
            1, 2, content=message(1, message(3, secret)) + message(1, message(1, b"lib")) + message(2, b"")
        ),
        "a map in two parts": lambda secret: around(
            1,
            2,
            2,
            9,
            content=message(1, b"map")
            + around(2, 6, 1, content=secret)
            + around(2, 6, 1, content=message(1, b"other")),
        ),
    }.values(),
    ids=["resource", "scope", "map"],
)
def test_nothing_hides_in_an_earlier_part(gateway, backend, clients, request_with):
    """If it failed, whoever writes a message in two parts, as protobuf allows, would get secrets past the processors that
    remove them: every reader behind puts the parts together."""
    sink = backend()
    statements = [
        'delete_key(resource.attributes, "password")',
        'delete_key(scope.attributes, "password")',
        'delete_key(span.attributes["map"], "password") where IsMap(span.attributes["map"])',
    ]
    started = gateway(config({"otlp": exporter(sink)}, {"transform": {"trace_statements": statements}}))
    status, _, answer = clients.http(started).post(request_with(SECRET))
    assert status == 200, answer
    wait_until(lambda: sink.received(), "the request at the backend")
    assert b"hunter2" not in sink.received()[0].SerializeToString()


def test_what_is_repaired_is_counted_for_its_service(gateway, clients):
    """If it failed, nobody would know which application to mend."""
    started = gateway(config({"nop": {}}))

    def request(service, text):
        name = message(1, b"service.name") + message(2, message(1, service.encode()))
        return message(1, message(1, message(1, name)) + around(2, 2, content=message(5, text)))

    clients.http(started).post(request("old", b"\xe9") + request("new", b"fine") + request("old", b"\xe8"))
    page = started.metrics()
    assert page.sum("sluice_receiver_repaired_texts", service="old", signal="traces") == 2
    assert page.sum("sluice_receiver_repaired_texts") == 2


AUTHORITIES = [
    "outbound|4317||otel.default.svc.cluster.local",
    "gateway:4317",
    "[::1]:4317",
    "",
    None,
    "%2Fvar%2Frun%2Fsluice.sock",
    "a_b",
    "user@host",
    "h\u00e9",
    "a,b;c=d",
]


@pytest.mark.parametrize("authority", AUTHORITIES)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_authorities_of_proxies(target, protocol, authority):
    """If it failed, everything behind a mesh would be reset."""
    client = RawHTTP2(getattr(target.gateway, f"{protocol}_port"))
    fields = {":authority": authority}
    if protocol == "http":
        stream = client.open("/v1/traces", content_type=PROTOBUF, te=None, **fields)
        client.send(stream, GOOD)
        assert client.answer(stream)["head"][":status"] == "200"
    else:
        stream = client.open(**fields)
        client.send(stream, grpc_message(GOOD))
        assert client.grpc_status(stream)[0] == 0
    client.close()


@pytest.mark.parametrize("fields, reason", [
    ({"connection": "close"}, "connection_specific_field"),
    ({"te": "gzip"}, "connection_specific_field"),
    ({"transfer-encoding": "chunked"}, "connection_specific_field"),
    ({"X-Upper": "a"}, "malformed_field_name"),
    ({"x": "a\nb"}, "malformed_field_value"),
    ({":path": None}, "missing_pseudo_field"),
    ({":path": "traces"}, "malformed_path"),
    ({":unknown": "x"}, "unknown_pseudo_field"),
    ({"content-length": "3"}, "body_differs_from_content_length"),
])
def test_what_is_malformed_is_reset_and_counted(target, fields, reason):
    """If it failed, requests could be smuggled through a proxy, or be reset without anybody knowing why."""
    def count():
        return target.gateway.metrics().sum("sluice_receiver_reset_streams", transport="grpc", reason=reason)

    before = count()
    client = RawHTTP2(target.gateway.grpc_port)
    client.h2.config.normalize_outbound_headers = False
    stream = client.h2.get_next_available_stream_id()
    head = [pair for pair in RawHTTP2.head() if pair[0] not in fields]
    extra = [(name, value) for name, value in fields.items() if value is not None]
    head = [pair for pair in extra if pair[0][0] == ":"] + head + [pair for pair in extra if pair[0][0] != ":"]
    client.h2.send_headers(stream, head)
    client.flush()
    client.send(stream, grpc_message(GOOD))
    assert client.answer(stream)["end"] == "reset 1"
    # The others of the connection go on.
    good = client.open()
    client.send(good, grpc_message(GOOD))
    assert client.grpc_status(good)[0] == 0
    client.close()
    assert count() == before + 1


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-CONTINUE", " 100-continue "])
def test_expect_in_any_case(target, expect):
    """If it failed, such clients would wait a second before every body, or for ever."""
    with socket.create_connection((LOOPBACK, target.gateway.http_port), timeout=10) as client:
        head = HEAD + f"Expect:{expect}\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
        client.sendall(head)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(GOOD)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path, status, location", [
    ("http://gateway:4318/v1/traces", 200, None),
    ("HTTPS://gateway/v1/traces?a=b", 200, None),
    ("http://[::1]:4318/v1/traces", 200, None),
    ("/v1/traces?x", 200, None),
    ("//v1/traces", 301, "/v1/traces"),
    ("/v1//traces?x=y", 301, "/v1/traces?x=y"),
    ("/./v1/../v1/traces", 301, "/v1/traces"),
    ("http://gateway//v1/traces", 301, "/v1/traces"),
    ("/v1/traces/", 404, None),
    ("http://gateway", 404, None),
    ("http://gateway?a", 404, None),
    ("/", 404, None),
    ("*", 404, None),
    ("//", 301, "/"),
])
def test_targets_as_clients_write_them(target, path, status, location):
    """If it failed, clients behind forward proxies, or with a slash too many, would learn something else than from the
    Collector."""
    request = HEAD.replace(b"/v1/traces", path.encode(), 1) + f"Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    answer = raw_http(target.gateway.http_port, request)
    head, _, _ = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].split()[1] == str(status), answer
    assert [line.split(": ")[1] for line in lines if line.startswith("location: ")] == ([location] if location else [])


def wildcards(port):
    return [f"0.0.0.0:{port}", f":{port}", f"[::]:{port}"]


def reaches(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_wildcards_are_both_families(tmp_path, gateway, kind):
    """If it failed, a dual-stack cluster would reach the gateway on half of its addresses."""
    page, health, own, probes = (free_port() for _ in range(4))
    host = ["0.0.0.0", "", "::"][kind]
    configuration = config(
        {"nop": {}, "prometheus": {"endpoint": wildcards(page)[kind]}}, signals=["metrics"],
        extensions=["health_check"],
        telemetry={"metrics": {"readers": [{"pull": {"exporter": {"prometheus": {
            "host": host or "0.0.0.0", "port": own}}}}]}},
    )
    configuration["extensions"] = {"health_check": {"endpoint": wildcards(health)[kind]}}
    ports = [free_port(), free_port()]
    configuration["receivers"] = otlp(
        grpc={"endpoint": wildcards(ports[0])[kind]}, http={"endpoint": wildcards(ports[1])[kind]})
    file = tmp_path / "wild.yaml"
    file.write_text(json.dumps(configuration))
    process = subprocess.Popen(
        [BINARY, "run", "--config", file, "--health-endpoint", f"{host}:{probes}" if kind < 2 else f"[::]:{probes}"],
        stderr=subprocess.DEVNULL)
    try:
        opened = [page, health, own, probes, *ports]
        wait_until(lambda: all(reaches(LOOPBACK, port) for port in opened), "the gateway listens")
        for port in opened:
            assert reaches("127.0.0.1", port) and reaches("::1", port), port
    finally:
        process.terminate()
        process.wait()


def test_an_explicit_address_is_that_address(gateway):
    """If it failed, a gateway for this machine would be open to others."""
    started = gateway(config({"nop": {}}))
    assert reaches(LOOPBACK, started.http_port) and not reaches("::1", started.http_port)
    assert reaches(LOOPBACK, started.grpc_port) and not reaches("::1", started.grpc_port)


def test_a_client_with_tls_is_turned_away_at_once(gateway):
    """If it failed, a client whose URL begins with https would hang, and nobody would learn why."""
    started = gateway(config({"nop": {}}))
    with socket.create_connection((LOOPBACK, started.http_port), timeout=30) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)) as failure:
            ssl.create_default_context().wrap_socket(plain, server_hostname="gateway")
    assert not isinstance(failure.value, TimeoutError)
    wait_until(lambda: "A client speaks TLS to a server that has none" in started.log, lambda: started.log)


def test_clients_at_the_other_port_are_named(gateway):
    """If it failed, who confuses 4317 and 4318 would find nothing in the log of the gateway that turns them away."""
    started = gateway(config({"nop": {}}))
    for first, words in [
        (b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
         "A client that speaks no HTTP/2 came to a port for gRPC"),
        (bytes([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), "A client speaks TLS to a server that has none"),
    ]:
        with socket.create_connection((LOOPBACK, started.grpc_port), timeout=30) as client:
            client.sendall(first.ljust(64, b"\0"))
            with contextlib.suppress(ConnectionError):
                while client.recv(1024):
                    pass
        wait_until(lambda words=words: words in started.log, lambda: started.log)
    # A method that is called there is not found.
    caller = RawHTTP2(started.http_port)
    assert caller.answer(caller.open(end_stream=True))["head"][":status"] == "404"
    caller.close()
    wait_until(lambda: "A client that speaks gRPC came to a port for OTLP over HTTP" in started.log,
               lambda: started.log)


def lz4(payload):
    return bytes(cramjam.lz4.compress(payload))


SKIPPED = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"


@pytest.mark.parametrize("body, status", [
    (lz4(GOOD), 200),
    (lz4(GOOD[:10]) + lz4(GOOD[10:]), 200),
    (SKIPPED + lz4(GOOD), 200),
    (lz4(GOOD) + SKIPPED, 200),
    (lz4(b""), 200),
    (lz4(GOOD)[:-1], 400),
    (lz4(GOOD)[:9], 400),
    (lz4(GOOD) + b"x", 400),
    (GOOD, 400),
    (bytes(cramjam.lz4.compress_block(GOOD)), 400),
    (lz4(bytes(2 * MIB)), 413),
])
def test_lz4(target, others, body, status):
    """If it failed, clients that the Collector serves would be refused, or a small body could fill the memory."""
    client = HTTPClient(target.gateway.http_port)
    answer = client.post(body, headers={"Content-Encoding": "lz4"})
    client.close()
    assert answer[0] == status, answer


@pytest.mark.parametrize("is_http2", [False, True])
def test_connections_over_http_end_with_age(gateway, is_http2):
    """If it failed, replicas that come later would get nothing."""
    started = gateway(config({"nop": {}}, receivers=otlp(http={"max_connection_age": "300ms"})))
    if is_http2:
        client = RawHTTP2(started.http_port)
        stream = client.open("/v1/traces", content_type=PROTOBUF, te=None)
        client.send(stream, GOOD)
        assert client.answer(stream)["head"][":status"] == "200"
        wait_until(lambda: client.goaway or not client.read(), "the connection is asked to end")
        client.close()
        return
    with socket.create_connection((LOOPBACK, started.http_port), timeout=10) as client:
        answers = []
        request = HEAD + f"Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD

        def ends():
            try:
                client.sendall(request)
                answers.append(client.recv(65536))
            except OSError:
                return True
            return b"connection: close" in answers[-1] or not answers[-1]

        wait_until(ends, "an answer that ends the connection", interval=0.05)
        assert answers[0].startswith(b"HTTP/1.1 200") and b"connection: close" not in answers[0]
