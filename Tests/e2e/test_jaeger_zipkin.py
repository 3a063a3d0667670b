"""Clients of Jaeger and Zipkin, as they are in old applications, through the gateway to a backend that knows OTLP alone."""

import gzip
import json
import socket
import struct
import urllib.error
import urllib.request

import grpc
import jaeger_client
import jaeger_client.reporter
import opentelemetry.exporter.zipkin.json as zipkin_exporter
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from py_zipkin import Encoding, Kind
from py_zipkin.zipkin import zipkin_span

from conftest import config, exporter, otlp
from gateway import LOOPBACK, command, free_port, wait_until

CLIENT, SERVER = 3, 2


def running(gateway, backend, receiver, keys):
    receivers = {**otlp(grpc={}), receiver: keys}
    return gateway(config({"otlp_grpc": exporter(backend)}, receivers=receivers, signals=["traces"]))


def spans(store, count):
    """What the backend has, once it has so many spans: (resource, scope, span)."""

    def found():
        return [
            (resource.resource, scope.scope, span)
            for request in store.received("traces")
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    wait_until(lambda: len(found()) >= count, lambda: f"{count} spans; there are {len(found())}")
    assert len(found()) == count
    return found()


def attributes(message):
    """As Python values."""
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in message.attributes
    }


def post(port, path, body, **headers):
    """Status and body of the answer."""
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", data=body, method="POST")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("encoding", [Encoding.V1_JSON, Encoding.V2_JSON, Encoding.V2_PROTO3])
def test_py_zipkin(gateway, backend, encoding):
    """If it failed, services with Zipkin's clients would vanish from traces when the gateway takes Zipkin's port."""
    store, port = backend(), free_port()
    started = running(gateway, store, "zipkin", {"endpoint": f"{LOOPBACK}:{port}"})
    path = "/api/v1/spans" if encoding == Encoding.V1_JSON else "/api/v2/spans"
    media = "application/x-protobuf" if encoding == Encoding.V2_PROTO3 else "application/json"
    answers = []

    def transport(body):
        body = body.encode() if isinstance(body, str) else body
        answers.append(post(port, path, body, Content_Type=media))

    with zipkin_span(
        service_name="shop",
        span_name="order",
        kind=Kind.SERVER,
        transport_handler=transport,
        sample_rate=100,
        encoding=encoding,
        port=8080,
        host="10.0.0.1",
    ) as root:
        root.update_binary_annotations({"customer": "7"})
        root.add_annotation("packed")
        with zipkin_span(service_name="shop", span_name="pay", kind=Kind.CLIENT) as child:
            child.add_sa_binary_annotation(port=443, service_name="bank", host="10.0.0.2")
    assert answers and all(answer == (202, b"") for answer in answers)
    by_name = {span.name: (resource, span) for resource, _, span in spans(store, 2)}
    resource, order = by_name["order"]
    _, pay = by_name["pay"]
    assert attributes(resource)["service.name"] == "shop"
    assert order.kind == SERVER and pay.kind == CLIENT
    assert pay.trace_id == order.trace_id and pay.parent_span_id == order.span_id and not order.parent_span_id
    assert attributes(order)["customer"] == "7" and [event.name for event in order.events] == ["packed"]
    assert order.end_time_unix_nano >= pay.end_time_unix_nano > pay.start_time_unix_nano > 0
    if encoding != Encoding.V1_JSON:
        assert attributes(pay)["peer.service"] == "bank" and attributes(pay)["net.peer.port"] == 443
    started.stop()


def test_the_sdks_zipkin_exporter(gateway, backend):
    """If it failed, what an SDK writes into Zipkin's texts would not come back as what it was."""
    store, port = backend(), free_port()
    running(gateway, store, "zipkin", {"endpoint": f"{LOOPBACK}:{port}", "parse_string_tags": True})
    provider = TracerProvider(resource=Resource({"service.name": "shop", "host.name": "h"}))
    client = zipkin_exporter.ZipkinExporter(endpoint=f"http://{LOOPBACK}:{port}/api/v2/spans")
    provider.add_span_processor(SimpleSpanProcessor(client))
    with provider.get_tracer("lib", "1.2").start_as_current_span("op", kind=SpanKind.PRODUCER) as span:
        span.set_attributes({"n": 5, "ok": True, "f": 1.5, "t": "x"})
        span.add_event("e", {"k": "v"})
        span.set_status(StatusCode.ERROR, "broken")
    provider.shutdown()
    [(resource, scope, found)] = spans(store, 1)
    assert attributes(resource)["service.name"] == "shop"
    assert found.trace_id.hex() == f"{span.context.trace_id:032x}"
    assert found.span_id.hex() == f"{span.context.span_id:016x}"
    assert found.kind == 4 and found.status.code == 2
    values = attributes(found)
    assert values["n"] == 5 and values["ok"] is True and values["f"] == 1.5 and values["t"] == "x"
    assert scope.name == "lib" and scope.version == "1.2"


@pytest.mark.parametrize("compression", ["gzip", "deflate", None])
def test_bodies_of_zipkin_may_be_compressed(gateway, backend, compression):
    """If it failed, clients that compress would be refused. What is wrong is told in words, and nothing is stored."""
    import zlib

    store, port = backend(), free_port()
    running(gateway, store, "zipkin", {"endpoint": f"{LOOPBACK}:{port}"})
    body = json.dumps([{"traceId": "a", "id": "b", "timestamp": 1}]).encode()
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, None: lambda body: body}[compression]
    headers = {"Content_Encoding": compression} if compression else {}
    assert post(port, "/", pack(body), Content_Type="application/json", **headers) == (202, b"")
    status, text = post(port, "/api/v2/spans", pack(b"[{}]"), Content_Type="application/json", **headers)
    assert status == 400 and text == b"zipkin: a span has no traceId"
    spans(store, 1)


def jaeger_tracer(port):
    """A tracer of jaeger-client that sends packets there."""
    settings = {
        "sampler": {"type": "const", "param": 1},
        "local_agent": {"reporting_host": LOOPBACK, "reporting_port": port},
        "reporter_batch_size": 1,
        "tags": {"zone": "a"},
    }
    client = jaeger_client.Config(config=settings, service_name="shop", validate=True)
    return client.new_tracer()


def test_jaeger_client_over_udp(gateway, backend):
    """If it failed, services with Jaeger's clients, which send packets to an agent's port, would vanish from traces."""
    store, port = backend(), free_port()
    keys = {"protocols": {"thrift_compact": {"endpoint": f"{LOOPBACK}:{port}"}}}
    started = running(gateway, store, "jaeger", keys)
    tracer = jaeger_tracer(port)
    with tracer.start_span("order", tags={"span.kind": "server", "n": 5, "ok": True, "f": 1.5}) as order:
        with tracer.start_span("pay", child_of=order) as pay:
            pay.set_tag("error", True)
            pay.log_kv({"event": "retry", "attempt": 2})
    found = {span.name: (resource, span) for resource, _, span in spans(store, 2)}
    tracer.close()
    resource, parent = found["order"]
    _, child = found["pay"]
    assert attributes(resource)["service.name"] == "shop" and attributes(resource)["zone"] == "a"
    assert attributes(resource)["opencensus.exporterversion"].startswith("Jaeger-Python-")
    assert parent.kind == SERVER and child.parent_span_id == parent.span_id
    assert parent.span_id.hex() == f"{order.span_id:016x}" and child.trace_id == parent.trace_id
    values = attributes(parent)
    assert values["n"] == 5 and values["ok"] is True and values["f"] == 1.5
    assert child.status.code == 2 and child.events[0].name == "retry"
    # What is no batch is counted, and does no harm.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for packet in (b"", b"x", b"\x82\x81\x01\x09emitBatch\x1c\x29\xfc\xff\xff\xff\xff\x07"):
            client.sendto(packet, (LOOPBACK, port))
    wait_until(
        lambda: started.metrics().sum("sluice_receiver_undecodable_requests", receiver="jaeger", transport="udp")
        >= 2,
        "two packets counted",
    )
    started.stop()


def binary_batch():
    """A batch of one span in Thrift's binary protocol, by hand."""

    def field(code, number, value):
        return struct.pack(">bh", code, number) + value

    def text(value):
        return struct.pack(">i", len(value)) + value

    process = field(11, 1, text(b"shop")) + b"\0"
    span = b"".join(
        [field(10, number, struct.pack(">q", value)) for number, value in [(1, 2), (2, 1), (3, 3), (4, 0)]]
        + [field(11, 5, text(b"op")), field(8, 7, struct.pack(">i", 1))]
        + [field(10, number, struct.pack(">q", value)) for number, value in [(8, 10), (9, 5)]]
    )
    spans = struct.pack(">bi", 12, 1) + span + b"\0"
    return field(12, 1, process) + field(15, 2, spans) + b"\0"


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def test_jaeger_over_http_grpc_and_binary_packets(gateway, backend):
    """If it failed, collectors' and agents' clients of the other three protocols would lose their spans."""
    store = backend()
    ports = {name: free_port() for name in ("grpc", "thrift_http", "thrift_binary")}
    keys = {"protocols": {name: {"endpoint": f"{LOOPBACK}:{port}"} for name, port in ports.items()}}
    running(gateway, store, "jaeger", keys)
    batch = binary_batch()
    media = "application/vnd.apache.thrift.binary"
    assert post(ports["thrift_http"], "/api/traces?format=jaeger.thrift", batch, Content_Type=media) == (202, b"")
    assert post(ports["thrift_http"], "/api/traces", batch, Content_Type="text/plain") == (
        400,
        b"Unsupported content type: text/plain",
    )
    assert post(ports["thrift_http"], "/other", batch, Content_Type=media)[0] == 404
    status, text = post(ports["thrift_http"], "/api/traces", batch[:-9], Content_Type=media)
    assert status == 400 and text.startswith(b"thrift: ")
    call = struct.pack(">Ii", 0x80010004, 9) + b"emitBatch" + struct.pack(">i", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(call + struct.pack(">bh", 12, 1) + batch + b"\0", (LOOPBACK, ports["thrift_binary"]))
    span = message(1, bytes(15) + b"\2") + message(2, bytes(7) + b"\3") + message(3, b"op")
    request = message(1, message(1, span) + message(2, message(1, b"shop")))
    with grpc.insecure_channel(f"{LOOPBACK}:{ports['grpc']}") as channel:
        posted = channel.unary_unary(
            "/jaeger.api_v2.CollectorService/PostSpans",
            request_serializer=lambda body: body,
            response_deserializer=lambda body: body,
        )
        assert posted(request, timeout=10) == b""
        with pytest.raises(grpc.RpcError) as refused:
            posted(message(1, message(1, message(1, b"short"))), timeout=10)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    for resource, _, span in spans(store, 3):
        assert attributes(resource)["service.name"] == "shop"
        assert span.name == "op" and span.span_id == bytes(7) + b"\3"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "[::]"])
def test_packets_come_on_both_families(gateway, backend, host):
    """If it failed, the clients of half a dual-stack cluster would send their packets to nobody, and not learn it."""
    store, port = backend(), free_port()
    keys = {"protocols": {"thrift_binary": {"endpoint": f"{host}:{port}"}}}
    running(gateway, store, "jaeger", keys)
    call = struct.pack(">Ii", 0x80010004, 9) + b"emitBatch" + struct.pack(">i", 1)
    packet = call + struct.pack(">bh", 12, 1) + binary_batch() + b"\0"
    for family, address in [(socket.AF_INET, LOOPBACK), (socket.AF_INET6, "::1")]:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.sendto(packet, (address, port))
    assert len(spans(store, 2)) == 2


@pytest.mark.parametrize("kind", ["jaeger", "zipkin"])
def test_their_exporters_are_refused_with_advice(tmp_path, kind):
    """If it failed, a user who brings a Collector's file would not learn what to write instead."""
    path = tmp_path / "config.yaml"
    text = {
        "receivers": otlp(grpc={}),
        "exporters": {kind: {"endpoint": "http://backend:9411"}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": [kind]}}},
    }
    path.write_text(json.dumps(text))
    result = command("validate", "--config", path)
    assert result.returncode == 1
    assert f'exporter "{kind}" is not built' in result.stderr and "otlp_grpc" in result.stderr, result.stderr
