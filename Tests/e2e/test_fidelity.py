"""What arrives is what was sent, in batches of the sizes that were asked for."""

import gzip
import itertools
import threading
import time

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import data
from backend import SIGNALS
from conftest import config, exporter, otlp
from gateway import wait_until

BATCH = {"batch": {"timeout": "50ms"}}


def sdk_spans():
    """Spans as an instrumented application makes them, with everything that a span can have."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "shop", "service.instance.id": "a-1", "host.cpus": 2})
    )
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("library", "1.2.3", "https://schema", {"scope": "attribute"})
    far = trace.SpanContext(
        trace_id=(1 << 127) + 5,
        span_id=(1 << 63) + 7,
        is_remote=True,
        trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState([("vendor", "value"), ("other", "1")]),
    )
    attributes = {
        "string": "\u65e5\u672c \U0001f600",
        "empty": "",
        "bool": True,
        "int": -(1 << 63),
        "double": 0.1,
        "big": 1e300,
        "strings": ["a", "b"],
        "bools": [True, False],
        "ints": [1, 1 << 62],
        "doubles": [1.5, -2.5],
        "none": [],
    }
    with tracer.start_as_current_span(
        "parent",
        context=trace.set_span_in_context(trace.NonRecordingSpan(far)),
        kind=trace.SpanKind.SERVER,
        attributes=attributes,
        links=[trace.Link(far, {"why": "linked"})],
        start_time=1_700_000_000_123_456_789,
        end_on_exit=False,
    ) as parent:
        parent.add_event("event", {"n": 1}, timestamp=1_700_000_000_223_456_789)
        parent.set_status(trace.Status(trace.StatusCode.ERROR, "it broke"))
        for kind in trace.SpanKind:
            with tracer.start_as_current_span(f"child {kind.name}", kind=kind) as child:
                child.set_status(trace.StatusCode.OK)
        parent.end(end_time=1_700_000_001_000_000_001)
    with provider.get_tracer("second library").start_as_current_span("root"):
        pass
    return memory.get_finished_spans()


@pytest.mark.parametrize(
    "transport, compressed, outgoing",
    [("grpc", False, "none"), ("grpc", True, "gzip"), ("http", False, "gzip"), ("http", True, "none")],
)
def test_sdk_spans_arrive_field_for_field(gateway, backend, transport, compressed, outgoing):
    """If it failed, a user's traces would come out of the gateway altered, in whichever way they are sent."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo, compression=outgoing)}, BATCH))
    if transport == "grpc":
        sdk = GRPCSpanExporter(
            f"127.0.0.1:{running.grpc_port}",
            insecure=True,
            compression=grpc.Compression.Gzip if compressed else grpc.Compression.NoCompression,
        )
    else:
        sdk = HTTPSpanExporter(
            f"http://127.0.0.1:{running.http_port}/v1/traces",
            compression=Compression.Gzip if compressed else Compression.NoCompression,
        )
    sent = sdk_spans()
    assert sdk.export(sent) == SpanExportResult.SUCCESS
    sdk.shutdown()
    expected = data.flat([encode_spans(sent)])
    wait_until(lambda: len(data.flat(tempo.received())) >= len(expected), "the spans at the backend")
    assert data.flat(tempo.received()) == expected

    # Once more in words, not through the encoder that made the expectation.
    found = {
        span.name: (resource, scope, span)
        for request in tempo.received()
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    resource, scope, span = found["parent"]
    values = {pair.key: pair.value for pair in span.attributes}
    assert {pair.key: pair.value.string_value for pair in resource.resource.attributes}[
        "service.name"
    ] == "shop"
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == ("library", "1.2.3", "https://schema")
    assert scope.scope.attributes[0].value.string_value == "attribute"
    assert span.trace_id == ((1 << 127) + 5).to_bytes(16, "big")
    assert span.parent_span_id == ((1 << 63) + 7).to_bytes(8, "big")
    assert span.trace_state == "vendor=value,other=1"
    assert span.flags == 0x300  # The parent is remote, and that is known.
    assert span.start_time_unix_nano == 1_700_000_000_123_456_789
    assert span.end_time_unix_nano == 1_700_000_001_000_000_001
    assert span.kind == span.SPAN_KIND_SERVER
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "it broke")
    assert (values["int"].int_value, values["double"].double_value) == (-(1 << 63), 0.1)
    assert values["string"].string_value == "\u65e5\u672c \U0001f600"
    assert [value.bool_value for value in values["bools"].array_value.values] == [True, False]
    assert (span.events[0].name, span.events[0].time_unix_nano) == ("event", 1_700_000_000_223_456_789)
    assert span.links[0].span_id == ((1 << 63) + 7).to_bytes(8, "big")
    assert found["child CLIENT"][2].parent_span_id == span.span_id
    assert found["root"][1].scope.name == "second library"


@pytest.mark.parametrize("signal, transport", list(itertools.product(SIGNALS, ["grpc", "http"])))
def test_every_field_of_every_signal_arrives(gateway, backend, clients, signal, transport):
    """If it failed, some field of the data model, however rare, would be lost on the way, also when batches
    are cut."""
    collector = backend()
    # One consumer, so that the batches arrive in order and what was cut can be put together again.
    running = gateway(
        config(
            {"otlp": exporter(collector, sending_queue={"num_consumers": 1})},
            {"batch": {"timeout": "50ms", "send_batch_size": 3, "send_batch_max_size": 3}},
        )
    )
    sent = [data.filled(SIGNALS[signal][1](), seed) for seed in (1, 1_000_000)]
    client = getattr(clients, transport)(running)
    for request in sent:
        client.export(request)
    expected = sum(map(data.item_count, sent))
    wait_until(
        lambda: sum(map(data.item_count, collector.received(signal))) >= expected, "the items at the backend"
    )
    received = collector.received(signal)
    assert max(map(data.item_count, received)) <= 3
    if signal == "metrics":
        # A cut between the points of one metric repeats the metric around them.
        received = [merged_metrics(received)]
        sent = [merged_metrics(sent)]
    assert data.flat(received) == data.flat(sent)


def merged_metrics(requests):
    """One request in which neighbouring envelopes that differ in nothing but their items are one."""
    whole = type(requests[0])()
    for request in requests:
        for resource in request.resource_metrics:
            target = last_like(whole.resource_metrics, resource, "scope_metrics")
            for scope in resource.scope_metrics:
                inner = last_like(target.scope_metrics, scope, "metrics")
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    points = getattr(metric, kind).data_points
                    bare = type(metric).FromString(metric.SerializeToString())
                    del getattr(bare, kind).data_points[:]
                    if inner.metrics:
                        last = type(metric).FromString(inner.metrics[-1].SerializeToString())
                        if last.WhichOneof("data") == kind:
                            del getattr(last, kind).data_points[:]
                            if last == bare:
                                getattr(inner.metrics[-1], kind).data_points.extend(points)
                                continue
                    inner.metrics.append(metric)
    return whole


def last_like(envelopes, envelope, items):
    """The last of the envelopes if it equals the given one but for its items; else a new one like it."""
    bare = type(envelope).FromString(envelope.SerializeToString())
    del getattr(bare, items)[:]
    if envelopes:
        last = type(envelope).FromString(envelopes[-1].SerializeToString())
        del getattr(last, items)[:]
        if last == bare:
            return envelopes[-1]
    envelopes.append(bare)
    return envelopes[-1]


def test_a_batch_leaves_when_it_is_full(gateway, backend, clients):
    """If it failed, a backend would get many small requests, or wait for the timer though there is enough."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo)},
            {"batch": {"timeout": "60s", "send_batch_size": 100}},
            signals=["traces"],
        )
    )
    client = clients.grpc(running)
    for number in range(20):
        client.export(data.spans(30, first=30 * number))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 600, "five batches")
    # A request is never cut without send_batch_max_size: the fourth one makes a batch full.
    assert [data.item_count(request) for request in tempo.received()] == [120] * 5
    assert sorted(map(int, data.span_names(tempo.received()))) == list(range(600))


def test_a_batch_leaves_when_its_time_is_over(gateway, backend, clients):
    """If it failed, the last spans of a quiet application would stay in the gateway."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo)},
            {"batch": {"timeout": "300ms", "send_batch_size": 1000}},
            signals=["traces"],
        )
    )
    client = clients.grpc(running)
    sent = time.monotonic()
    client.export(data.spans(3))
    client.export(data.spans(4, first=3))
    wait_until(lambda: tempo.received(), "the batch")
    # The lower end is the promise; the upper one would depend on the machine.
    assert tempo.arrivals[0] - sent >= 0.3
    assert data.span_names(tempo.received()) == [str(number) for number in range(7)]


def test_large_requests_are_cut_to_size(gateway, backend, clients):
    """If it failed, a backend would refuse a batch for its size, and all of it would be lost."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo)},
            {"batch": {"timeout": "100ms", "send_batch_size": 50, "send_batch_max_size": 70}},
            signals=["traces"],
        )
    )
    whole = data.spans(150, service="one")
    whole.MergeFrom(data.spans(75, first=150, service="two"))
    clients.grpc(running).export(whole)
    wait_until(lambda: len(data.span_names(tempo.received())) >= 225, "the spans")
    assert max(data.item_count(request) for request in tempo.received()) <= 70
    assert data.flat(tempo.received()) == data.flat([whole])
    page = running.metrics()
    assert page.sum("otelcol_processor_batch_batch_send_size_sum") == 225
    assert page.sum("otelcol_processor_batch_batch_send_size_count") == len(tempo.received())


def test_what_comes_and_goes_is_on_the_page(gateway, backend, clients):
    """If it failed, an operator's dashboards of a Collector would be empty at the gateway."""
    tempo = backend()
    configuration = config(
        {"otlp": exporter(tempo)},
        {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 256},
            "batch": {"timeout": "50ms", "send_batch_size": 50, "send_batch_max_size": 70},
        },
        signals=["traces"],
    )
    running = gateway(configuration, "--set", "service.telemetry.metrics.level=detailed")
    clients.grpc(running).export(data.spans(225))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 225, "the spans")
    wait_until(lambda: running.metrics().sum("otelcol_exporter_sent_spans") == 225, "the count")
    page = running.metrics()
    for processor in ("memory_limiter", "batch"):
        for way in ("incoming", "outgoing"):
            name = f"otelcol_processor_{way}_items"
            assert page.sum(name, processor=processor, otel_signal="traces") == 225, (processor, way)
    sent = len(tempo.received())
    size = "otelcol_exporter_queue_batch_send_size"
    assert page.sum(f"{size}_sum", exporter="otlp") == 225 and page.sum(f"{size}_count") == sent
    total = sum(request.ByteSize() for request in tempo.received())
    for name in (f"{size}_bytes", "otelcol_processor_batch_batch_send_size_bytes"):
        assert page.sum(f"{name}_sum") == total and page.sum(f"{name}_count") == sent, name
    assert page.sum("otelcol_exporter_in_flight_requests", exporter="otlp", data_type="traces") == 0


def test_what_is_under_way_is_on_the_page(gateway, backend, clients):
    """If it failed, nobody could see that a destination takes its time."""
    go = threading.Event()
    tempo = backend(answer=lambda request, context: go.wait(20) and None)
    running = gateway(config({"otlp": exporter(tempo)}, BATCH, signals=["traces"]))
    clients.grpc(running).export(data.spans(3))
    in_flight = "otelcol_exporter_in_flight_requests"
    wait_until(lambda: running.metrics().sum(in_flight, exporter="otlp") == 1, "the request")
    go.set()
    wait_until(lambda: running.metrics().sum(in_flight, exporter="otlp") == 0, "its answer")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_large_batches(gateway, backend, clients, compression):
    """If it failed, what is larger than the windows of HTTP/2 would be stuck."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo, compression=compression, timeout="30s")},
            {"batch": {"timeout": "60s", "send_batch_size": 12}},
            otlp(grpc={"max_recv_msg_size_mib": 8}, http={}),
            signals=["traces"],
        )
    )
    sent = [data.spans(4, first=4 * number, padding=1 << 20) for number in range(3)]
    compressed = clients.grpc(running, compression=grpc.Compression.Gzip)
    compressed.export(sent[0])
    clients.grpc(running).export(sent[1])
    clients.http(running).export(sent[2])
    wait_until(lambda: len(data.span_names(tempo.received())) >= 12, "12 MiB, in parts below the limit")
    assert data.flat(tempo.received()) == data.flat(sent)


def test_without_a_batch_processor_requests_go_out_as_they_came(gateway, backend, clients):
    """If it failed, a user who wants no batching would get it, or lose the request's borders."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo)}, signals=["traces"]))
    client = clients.grpc(running)
    sent = [data.spans(2, first=2 * number) for number in range(10)]
    for request in sent:
        client.export(request)
    wait_until(lambda: len(tempo.received()) >= 10, "ten requests")
    assert sorted(r.SerializeToString() for r in tempo.received()) == sorted(
        r.SerializeToString() for r in sent
    )


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_exporter_sends_what_it_was_told(gateway, raw_backend, clients, compression):
    """If it failed, a backend would see another encoding, tenant or timeout than the configuration says."""
    server = raw_backend()
    running = gateway(
        config(
            {
                "otlp": exporter(
                    server,
                    compression=compression,
                    timeout="7s",
                    headers={"X-Scope-OrgID": "tenant"},
                    user_agent="mine",
                )
            },
            signals=["traces"],
        )
    )
    request = data.spans(50)
    clients.grpc(running).export(request)
    wait_until(lambda: server.requests, "the request")
    head, body = server.requests[0]
    assert head[":path"] == SIGNALS["traces"][0]
    assert head["content-type"] == "application/grpc"
    assert head["te"] == "trailers"
    assert head["x-scope-orgid"] == "tenant"
    assert head["user-agent"] == "mine"
    assert head["grpc-timeout"] in ("7S", "7000m", "7000000u")
    assert int.from_bytes(body[1:5], "big") == len(body) - 5
    if compression == "gzip":
        assert (head["grpc-encoding"], body[0]) == ("gzip", 1)
        assert gzip.decompress(body[5:]) == request.SerializeToString()
    else:
        assert (head.get("grpc-encoding", "identity"), body[0]) == ("identity", 0)
        assert body[5:] == request.SerializeToString()


def test_a_request_may_be_several_gzip_members(gateway, backend, clients):
    """If it failed, a gateway in front that passes compressed parts on would lose spans here."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo)}, BATCH))
    parts = [data.spans(5), data.spans(5, first=5)]
    body = b"".join(gzip.compress(part.SerializeToString()) for part in parts)
    status, _, _ = clients.http(running).post(body, headers={"Content-Encoding": "gzip"})
    assert status == 200
    wait_until(lambda: len(data.span_names(tempo.received())) >= 10, "the spans")
    assert data.flat(tempo.received()) == data.flat(parts)
