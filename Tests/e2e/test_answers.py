"""Every answer to a bad request is the one that clients know, and no bad request costs another client
anything."""

import gzip
import subprocess
import zlib

import cramjam
import grpc
import pytest
from google.rpc import status_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import data
from backend import SIGNALS
from client import PROTOBUF, HTTPClient, RawHTTP2, grpc_message
from conftest import MIB, config, exporter, otlp
from gateway import wait_until

GOOD = data.spans(2).SerializeToString()
TEXT = "text/plain"
WRONG_METHOD = "405 method not allowed, supported: [POST]"


def field(number, content):
    """A length-delimited field."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def nested(depth):
    """A request whose one attribute is an array in an array in an array."""
    value = b"\x18\x01"
    for _ in range(depth):
        value = (
            b"\x2a" + varint(len(value) + 1 + len(varint(len(value)))) + b"\x0a" + varint(len(value)) + value
        )
    pair = b"\x12" + varint(len(value)) + value
    resource = b"\x0a" + varint(len(pair)) + pair
    envelope = b"\x0a" + varint(len(resource)) + resource
    return b"\x0a" + varint(len(envelope)) + envelope


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


UNDECODABLE = {
    "truncated": GOOD[:-1],
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "mis-nested: a span ends after its scope": field(1, b"\x12\x06\x12\x20abcd"),
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\x07",
    "a length of 2^63": b"\x0a" + b"\xff" * 8 + b"\x7f",
    "a varint without an end": b"\x0a" + b"\xff" * 11,
    "wire type 7": b"\x0f",
    "field number 0": b"\x02\x00",
    "a number where a message belongs": b"\x08\x01",
    "text that is not UTF-8 before a broken length": field(1, field(2, field(2, b"\x2a\x02\xc3\x28"))) + b"\x0a\x05",
    "nested a thousand deep": nested(1000),
    "an end without a group": b"\x0c",
    "text": b"hello, is this the gateway?",
}

CORRUPT_GZIP = {
    "not gzip at all": b"\x00" * 64,
    "truncated": gzip.compress(GOOD)[:-9],
    "wrong checksum": gzip.compress(GOOD)[:-8] + b"\x00" * 8,
    "broken inside": gzip.compress(GOOD)[:12] + b"\xff" * 40 + gzip.compress(GOOD)[52:],
    "garbage behind": gzip.compress(GOOD) + b"garbage",
}

BOMB = gzip.compress(bytes(64 * MIB))
assert len(BOMB) < MIB


def packed(compress, body):
    return bytes(compress(body))


# By the names that HTTP has for them; gRPC's snappy is x-snappy-framed.
PACKERS = {
    "zstd": cramjam.zstd.compress,
    "snappy": cramjam.snappy.compress_raw,
    "x-snappy-framed": cramjam.snappy.compress,
}
CORRUPT = {
    f"{name}: {fault}": (name, body)
    for name, compress in PACKERS.items()
    for fault, body in {
        "not at all": b"\xff" * 64,
        "truncated": packed(compress, GOOD)[:-9],
        "broken inside": packed(compress, GOOD)[:12] + b"\xff" * 40 + packed(compress, GOOD)[52:],
        "garbage behind": packed(compress, GOOD) + b"garbage",
    }.items()
}
# Below the limit as they come; a block of snappy promises 16 MiB of which it has a part.
BOMBS = {
    "zstd": packed(cramjam.zstd.compress, bytes(64 * MIB)),
    "snappy": packed(cramjam.snappy.compress_raw, bytes(16 * MIB)),
    "x-snappy-framed": packed(cramjam.snappy.compress, bytes(16 * MIB)),
}
assert all(len(bomb) < MIB for bomb in BOMBS.values())


pytestmark = pytest.mark.usefixtures("others")


def post(target, transport, body=GOOD, path="/v1/traces", method="POST", **headers):
    """A request to the HTTP port by HTTP/1.1 or by HTTP/2 with prior knowledge; status, fields and body."""
    fields = {"content-type": PROTOBUF, **{name.replace("_", "-"): value for name, value in headers.items()}}
    fields = {name: value for name, value in fields.items() if value is not None}
    if transport == "http1":
        client = HTTPClient(target.gateway.http_port)
        # By hand: http.client would add a content type or a length of its own.
        client.connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"content-length": str(len(body)), **fields}.items():
            client.connection.putheader(name, value)
        client.connection.endheaders(body)
        answer = client.connection.getresponse()
        result = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        client.close()
        return result
    client = RawHTTP2(target.gateway.http_port)
    stream = client.open(path, method=method, te=None, **{"content-type": None, **fields})
    client.send(stream, body)
    answer = client.answer(stream)
    client.close()
    return int(answer["head"][":status"]), answer["head"], answer["body"]


@pytest.fixture(params=["http1", "http2"])
def transport(request):
    return request.param


# OTLP/HTTP


@pytest.mark.parametrize(
    "fields, status, content_type, words",
    [
        ({"method": "GET"}, 405, TEXT, WRONG_METHOD),
        ({"method": "PUT"}, 405, TEXT, WRONG_METHOD),
        ({"method": "DELETE"}, 405, TEXT, WRONG_METHOD),
        ({"path": "/v1/nothing"}, 404, TEXT, "404 page not found"),
        ({"path": "/"}, 404, TEXT, "404 page not found"),
        ({"path": "/v1/traces/"}, 404, TEXT, "404 page not found"),
        ({"content_type": None}, 415, TEXT, "415 unsupported media type"),
        ({"content_type": "text/plain"}, 415, TEXT, "415 unsupported media type"),
        ({"content_type": "application/x-protobufs"}, 415, TEXT, "415 unsupported media type"),
        ({"content_encoding": "br"}, 400, PROTOBUF, "unsupported Content-Encoding: br"),
    ],
)
def test_http_requests_that_are_wrong_from_the_head(target, transport, fields, status, content_type, words):
    """If it failed, a user with a wrong exporter setting could not tell which one."""
    got, headers, body = post(target, transport, **fields)
    assert got == status
    assert headers["content-type"].split(";")[0] == content_type
    if content_type == PROTOBUF:
        answer = status_pb2.Status.FromString(body)
        assert answer.code == 3
        assert words in answer.message
    else:
        assert body.decode().startswith(words)
    if status == 405:
        assert headers["allow"] == "POST"


def test_a_length_that_is_too_large(target):
    """If it failed, a client would send all of a body that cannot be taken."""
    status, _, body = post(target, "http1", content_length=str(10 * MIB))
    assert status == 413
    assert "10485760" in status_pb2.Status.FromString(body).message


@pytest.mark.parametrize("name", UNDECODABLE)
def test_http_bodies_that_are_no_protobuf(target, transport, name):
    """If it failed, a client would send the same broken request for ever, or break the gateway with it."""
    status, headers, body = post(target, transport, UNDECODABLE[name])
    assert (status, headers["content-type"]) == (400, PROTOBUF)
    answer = status_pb2.Status.FromString(body)
    assert answer.code == 3
    assert answer.message


@pytest.mark.parametrize("name", CORRUPT_GZIP)
def test_http_bodies_that_do_not_decompress(target, transport, name):
    """If it failed, damaged data would pass for good, or the client would not learn of it."""
    status, headers, body = post(target, transport, CORRUPT_GZIP[name], content_encoding="gzip")
    assert (status, headers["content-type"]) == (400, PROTOBUF)
    assert status_pb2.Status.FromString(body).code == 3


@pytest.mark.parametrize("name", CORRUPT)
def test_http_bodies_that_are_neither_zstd_nor_snappy(target, transport, name):
    """As with gzip."""
    encoding, body = CORRUPT[name]
    status, headers, answer = post(target, transport, body, content_encoding=encoding)
    assert (status, headers["content-type"]) == (400, PROTOBUF)
    status = status_pb2.Status.FromString(answer)
    # A frame of zstd without a checksum that is broken inside may decompress, to what is no protobuf.
    assert status.code == 3 and status.message
    assert "broken inside" in name or "the body is not valid" in status.message


@pytest.mark.parametrize(
    "body, encoding",
    [
        (bytes(MIB + 1), None),
        (BOMB, "gzip"),
        (zlib.compress(bytes(64 * MIB)), "deflate"),
        *((bomb, name) for name, bomb in BOMBS.items()),
    ],
)
def test_http_bodies_that_are_too_large(target, transport, body, encoding):
    """If it failed, a few kilobytes could fill the gateway's memory."""
    status, headers, answer = post(target, transport, body, content_encoding=encoding)
    assert (status, headers["content-type"]) == (413, PROTOBUF)
    message = status_pb2.Status.FromString(answer).message
    assert "too large" in message and "max_request_body_size" in message


@pytest.mark.parametrize(
    "body, headers",
    [
        (GOOD, {}),
        (b"", {}),
        (b"\x0a\x00", {}),
        (GOOD, {"content_type": "Application/X-Protobuf; charset=utf-8"}),
        (GOOD, {"content_encoding": "identity"}),
        (GOOD, {"content_encoding": ""}),
        (gzip.compress(GOOD), {"content_encoding": "GZIP"}),
        (zlib.compress(GOOD), {"content_encoding": "deflate"}),
        *((packed(compress, GOOD), {"content_encoding": name}) for name, compress in PACKERS.items()),
        (packed(cramjam.snappy.compress, GOOD), {"content_encoding": "snappy"}),
        (packed(cramjam.zstd.compress, GOOD[:0]) + packed(cramjam.zstd.compress, GOOD), {"content_encoding": "ZSTD"}),
        (bytes([0xFA, 0x7F, 3]) + b"abc" + GOOD, {}),
        (field(1, field(2, field(2, b"\x2a\x02\xc3\x28"))), {}),
        (gzip.compress(GOOD), {"content_encoding": "x-gzip"}),
    ],
)
def test_http_requests_that_only_look_odd(target, transport, body, headers):
    """If it failed, a client that the specification allows would be turned away."""
    assert post(target, transport, body, **headers)[0::2] == (200, b"")


def test_a_body_of_exactly_the_limit(target, transport):
    """If it failed, the limit in the configuration would not be the limit."""
    padding = MIB - data.spans(1, padding=MIB - 1000).ByteSize() + MIB - 1000
    body = data.spans(1, padding=padding).SerializeToString()
    assert len(body) == MIB
    assert post(target, transport, body)[0] == 200
    assert post(target, transport, body + b"\x00")[0] == 413


def test_curl_with_http2_and_prior_knowledge(target, tmp_path):
    """If it failed, clients that speak HTTP/2 at once on the HTTP port would not be understood."""
    (tmp_path / "body").write_bytes(GOOD)
    url = f"http://127.0.0.1:{target.gateway.http_port}/v1/traces"
    common = [
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "10",
        "--http2-prior-knowledge",
        url,
        "--output",
        "-",
        "--write-out",
        "%{http_code} %{http_version}",
        "--header",
        f"Content-Type: {PROTOBUF}",
    ]
    sent = subprocess.run(common + ["--data-binary", f"@{tmp_path / 'body'}"], capture_output=True, text=True)
    assert sent.stdout == "200 2", sent.stderr
    got = subprocess.run(common, capture_output=True, text=True)
    assert got.stdout == WRONG_METHOD + "405 2", got.stderr


# gRPC


def call(target, *messages, **fields):
    """A gRPC call of raw bytes; code and message."""
    client = RawHTTP2(target.gateway.grpc_port)
    stream = client.open(**fields)
    for message in messages[:-1]:
        client.send(stream, message, end_stream=False)
    client.send(stream, messages[-1])
    result = client.grpc_status(stream)
    client.close()
    return result


@pytest.mark.parametrize("name", UNDECODABLE)
def test_grpc_messages_that_are_no_protobuf(target, name):
    """As over HTTP."""
    code, message = call(target, grpc_message(UNDECODABLE[name]))
    assert code == 13
    assert message.startswith("grpc: error unmarshalling request")


@pytest.mark.parametrize("name", CORRUPT_GZIP)
def test_grpc_messages_that_do_not_decompress(target, name):
    """As over HTTP."""
    assert call(target, grpc_message(CORRUPT_GZIP[name], flag=1), grpc_encoding="gzip")[0] == 13


@pytest.mark.parametrize(
    "messages, fields, code, words",
    [
        ([grpc_message(GOOD)], {"path": "/nobody.knows/This"}, 12, "unknown service"),
        ([grpc_message(GOOD)], {"path": SIGNALS["traces"][0] + "s"}, 12, "unknown service"),
        (
            [grpc_message(b"x", flag=1)],
            {"grpc_encoding": "lz4"},
            12,
            'grpc: Decompressor is not installed for grpc-encoding "lz4"',
        ),
        ([grpc_message(GOOD, flag=2)], {}, 13, "unexpected payload format 2"),
        ([grpc_message(GOOD, flag=255)], {}, 13, "unexpected payload format 255"),
        ([grpc_message(GOOD, flag=1)], {}, 13, "compressed flag set"),
        ([grpc_message(GOOD, length=len(GOOD) + 1)], {}, 13, "unexpected end"),
        ([grpc_message(GOOD, length=len(GOOD) - 1)], {}, 13, ""),
        ([grpc_message(b"", length=10)], {}, 13, "unexpected end"),
        ([grpc_message(GOOD)[:3]], {}, 13, "unexpected end"),
        ([b""], {}, 13, "unexpected end"),
        ([grpc_message(GOOD), grpc_message(GOOD)], {}, 13, "more than one message"),
        ([grpc_message(b""), grpc_message(GOOD)], {}, 13, "more than one message"),
        ([grpc_message(b"", length=MIB + 1)], {}, 8, "larger than max (1048577 vs. 1048576)"),
        ([grpc_message(b"", length=(1 << 32) - 1)], {}, 8, "larger than max (4294967295 vs. 1048576)"),
        ([grpc_message(bytes(2 * MIB))], {}, 8, "larger than max"),
        ([grpc_message(BOMB, flag=1)], {"grpc_encoding": "gzip"}, 8, "after decompression larger than max"),
        (
            [grpc_message(BOMBS["zstd"], flag=1)],
            {"grpc_encoding": "zstd"},
            8,
            "after decompression larger than max",
        ),
        (
            [grpc_message(BOMBS["x-snappy-framed"], flag=1)],
            {"grpc_encoding": "snappy"},
            8,
            "after decompression larger than max",
        ),
        # Framed, not a block.
        (
            [grpc_message(packed(cramjam.snappy.compress_raw, GOOD), flag=1)],
            {"grpc_encoding": "snappy"},
            13,
            "framed snappy: the body does not start as this encoding does",
        ),
        ([grpc_message(packed(cramjam.zstd.compress, GOOD)[:-5], flag=1)], {"grpc_encoding": "zstd"}, 13, "zstd"),
    ],
)
def test_grpc_calls_that_break_the_protocol(target, messages, fields, code, words):
    """If it failed, a client could not tell its own fault from the gateway's, or would send it again for
    ever."""
    got, message = call(target, *messages, **fields)
    assert got == code
    assert words in message


@pytest.mark.parametrize(
    "messages, fields",
    [
        ([grpc_message(GOOD)], {}),
        ([grpc_message(b"")], {}),
        ([grpc_message(b"\x0a\x00")], {}),
        ([grpc_message(gzip.compress(GOOD), flag=1)], {"grpc_encoding": "gzip"}),
        ([grpc_message(GOOD)], {"grpc_encoding": "gzip"}),
        ([grpc_message(packed(cramjam.zstd.compress, GOOD), flag=1)], {"grpc_encoding": "zstd"}),
        ([grpc_message(packed(cramjam.snappy.compress, GOOD), flag=1)], {"grpc_encoding": "snappy"}),
        ([grpc_message(GOOD)], {"grpc_encoding": "zstd"}),
        ([grpc_message(GOOD)], {"grpc_encoding": "identity"}),
        ([grpc_message(GOOD)], {"content-type": "application/grpc+proto"}),
        ([bytes([byte]) for byte in grpc_message(GOOD)], {}),
    ],
)
def test_grpc_calls_that_only_look_odd(target, messages, fields):
    """If it failed, a client that gRPC allows would be turned away."""
    assert call(target, *messages, **fields)[0] == 0


def test_what_grpc_clients_may_compress_with(target):
    """If it failed, a client could not find out by itself how to compress."""
    client = RawHTTP2(target.gateway.grpc_port)
    stream = client.open(grpc_encoding="br")
    client.send(stream, grpc_message(b"x", flag=1))
    assert client.answer(stream)["head"]["grpc-accept-encoding"] == "identity,gzip,zstd,snappy"
    client.close()


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"content-type": "application/x-protobuf"}, 415),
        ({"content-type": None}, 415),
        ({"method": "GET"}, 405),
    ],
)
def test_requests_on_the_grpc_port_that_are_no_grpc(target, fields, status):
    """If it failed, a browser or an HTTP exporter on the wrong port would get an answer that it cannot read.
    """
    client = RawHTTP2(target.gateway.grpc_port)
    stream = client.open(**fields)
    client.send(stream, grpc_message(GOOD))
    assert client.answer(stream)["head"][":status"] == str(status)
    client.close()


@pytest.mark.parametrize(
    "message, code, words",
    [
        (GOOD[:-1], grpc.StatusCode.INTERNAL, "grpc: error unmarshalling request"),
        (bytes(2 * MIB), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_grpcio_reads_the_answers(target, message, code, words):
    """If it failed, a real client would see a broken connection in place of a status."""
    with pytest.raises(grpc.RpcError) as caught:
        target.grpc.call(SIGNALS["traces"][0], message)
    assert caught.value.code() == code
    assert words in caught.value.details()
    assert all(
        key != "grpc-status-details-bin" for key, _ in caught.value.trailing_metadata()
    ), "it must not be retried"


# What is left when all is done


def test_a_signal_without_a_pipeline(gateway, backend, clients):
    """If it failed, telemetry that goes nowhere would be accepted, and lost."""
    running = gateway(config({"otlp": exporter(backend())}, signals=["traces"]))
    with pytest.raises(grpc.RpcError) as caught:
        clients.grpc(running).export(data.points(1))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert clients.http(running).post(b"", "/v1/logs")[0] == 404


def test_own_paths_and_response_headers(gateway, backend, clients):
    """If it failed, a gateway behind a path prefix could not be had."""
    running = gateway(
        config(
            {"otlp": exporter(backend())},
            receivers=otlp(
                http={"traces_url_path": "own/way", "response_headers": {"X-Served-By": "sluice"}}
            ),
        )
    )
    client = clients.http(running)
    status, headers, _ = client.post(GOOD, "/own/way")
    assert (status, headers["x-served-by"]) == (200, "sluice")
    assert client.post(GOOD)[0] == 404


def test_many_resources_of_spans_are_counted(target):
    """If it failed, the counters that operators watch would be wrong for anything but the simplest request.
    """
    before = target.gateway.metrics().sum("otelcol_receiver_accepted_spans", transport="grpc")
    request = data.spans(3)
    for number in range(4):
        request.MergeFrom(data.spans(number, service=str(number)))
    request.resource_spans.add().scope_spans.add().spans.add(kind=Span.SPAN_KIND_CLIENT)
    target.grpc.export(request)
    assert target.gateway.metrics().sum("otelcol_receiver_accepted_spans", transport="grpc") == before + 10


@pytest.mark.parametrize("name, compress", PACKERS.items())
def test_what_was_compressed_arrives_as_it_was(gateway, backend, clients, name, compress):
    """If it failed, telemetry would be altered on its way, or encodings allowed that the operator has not."""
    tempo = backend()
    running = gateway(
        config({"otlp": exporter(tempo)}, receivers=otlp(http={"compression_algorithms": [name]}))
    )
    sent = data.spans(3000, padding=100)
    client = clients.http(running)
    body = packed(compress, sent.SerializeToString())
    assert client.post(body, headers={"Content-Encoding": name})[0] == 200
    wait_until(lambda: tempo.received(), "the request")
    assert tempo.received() == [sent]
    for encoding, other in [("gzip", gzip.compress(GOOD)), (None, GOOD)]:
        status, _, answer = client.post(other, headers={"Content-Encoding": encoding} if encoding else {})
        assert status == 400
        assert status_pb2.Status.FromString(answer).message == f"unsupported Content-Encoding: {encoding or ''}"


def test_browsers_are_told_what_they_may(gateway, backend, clients):
    """If it failed, pages that send telemetry would be refused by their browsers, or could not read why they were."""
    sink = backend()
    cors = {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["x-tenant"], "max_age": 60}
    running = gateway(config(
        {"otlp": exporter(sink)},
        receivers=otlp(grpc={}, http={"cors": cors, "response_headers": {"x-served-by": "sluice"}}),
    ))
    client = clients.http(running)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-tenant"}
    status, headers, body = client.post(b"", headers={"Origin": "https://shop.example.com", **asked}, method="OPTIONS")
    assert (status, body, headers["Access-Control-Allow-Origin"]) == (204, b"", "https://shop.example.com")
    assert headers["Access-Control-Allow-Headers"] == "content-type,x-tenant" and headers["x-served-by"] == "sluice"
    assert headers["Content-Length"] is None and headers["Access-Control-Max-Age"] == "60"
    status, headers, _ = client.post(b"", headers={"Origin": "https://evil.example", **asked}, method="OPTIONS")
    assert status == 204 and headers["Access-Control-Allow-Origin"] is None
    for origin, allowed in (("https://shop.example.com",) * 2, ("https://evil.example", None)):
        status, headers, _ = client.post(GOOD, headers={"Origin": origin})
        assert (status, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (200, allowed, "Origin")
        # A refusal must be readable, too.
        status, headers, _ = client.post(b"{", headers={"Origin": origin, "Content-Type": "application/json"})
        assert (status, headers["Access-Control-Allow-Origin"]) == (400, allowed)
    assert client.post(b"", method="OPTIONS")[0] == 405
    wait_until(lambda: len(sink.received("traces")) == 2, "the spans of both pages")
