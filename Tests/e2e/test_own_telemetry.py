"""What the gateway says about itself reaches a backend of OTLP, and never makes more of itself."""

import json

import pytest

import data
from conftest import backends, config, exporter, otlp
from gateway import LOOPBACK, command, fetch, free_port, wait_until
from http_backend import HTTPBackend
from client import RawHTTP2, grpc_message


@pytest.fixture
def http_backend(owned):
    return backends(HTTPBackend, owned)


def attributes(message):
    return {
        pair.key: pair.value.string_value or pair.value.int_value for pair in message.attributes
    }


def spans(backend):
    return [
        span
        for request in backend.received("traces")
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def records(backend):
    return [
        record
        for request in backend.received("logs")
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def points(backend, name):
    """The points of the last request that has the metric, by their labels."""
    for request in reversed(backend.received("metrics")):
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            if metric.name == name:
                kind = metric.WhichOneof("data")
                return kind, {tuple(sorted(attributes(p).items())): p for p in getattr(metric, kind).data_points}
    return None, {}


FORMS = {
    "grpc": lambda b: {"otlp": {"protocol": "grpc", "endpoint": f"http://{b.endpoint}"}},
    "otlp_grpc": lambda b: {"otlp_grpc": {"endpoint": b.endpoint, "tls": {"insecure": True}}},
    "gzip": lambda b: {"otlp": {"protocol": "grpc/protobuf", "endpoint": b.endpoint, "insecure": True,
                                "compression": "gzip"}},
    "http": lambda b: {"otlp": {"protocol": "http/protobuf", "endpoint": b.url}},
    "json": lambda b: {"otlp": {"protocol": "http/json", "endpoint": b.url + "/"}},
    "otlp_http": lambda b: {"otlp_http": {"endpoint": b.url, "compression": "gzip"}},
}


@pytest.mark.parametrize("form", FORMS)
def test_all_three_signals_arrive(gateway, backend, http_backend, clients, form):
    """If it failed, an operator would have to scrape a gateway that cannot be reached from outside."""
    sink = backend()
    own = http_backend() if "http" in form or form == "json" else backend()
    exporter_of = FORMS[form](own)
    telemetry = {
        "resource": {"attributes": [{"name": "deployment.environment", "value": "test"}]},
        "metrics": {"level": "detailed", "readers": [{"periodic": {"interval": 100, "exporter": exporter_of}}]},
        "logs": {"processors": [{"batch": {"schedule_delay": 50, "exporter": exporter_of}}]},
        "traces": {"processors": [{"simple": {"exporter": exporter_of}}], "sampler": {"always_on": {}}},
    }
    started = gateway(config({"otlp": exporter(sink)}, {"batch": {"timeout": "20ms"}}, telemetry=telemetry))
    clients.grpc(started).export(data.spans(7))
    clients.http(started).export(data.records(3))

    wait_until(lambda: len(spans(own)) >= 4, lambda: [span.name for span in spans(own)])
    wait_until(lambda: any(r.body.string_value.startswith("Everything is ready") for r in records(own)), "the log")
    sent = (("exporter", "otlp"),)
    wait_until(lambda: getattr(points(own, "otelcol_exporter_sent_spans")[1].get(sent), "as_int", 0) == 7, "the metrics")

    by_name = {span.name: span for span in spans(own)}
    assert set(by_name) == {
        "receiver/otlp/TraceDataReceived", "receiver/otlp/LogsReceived", "exporter/otlp/traces", "exporter/otlp/logs"}
    received = by_name["receiver/otlp/TraceDataReceived"]
    assert len(received.trace_id) == 16 and len(received.span_id) == 8 and received.parent_span_id == b""
    assert received.kind == received.SPAN_KIND_SERVER
    assert 0 < received.end_time_unix_nano - received.start_time_unix_nano < 60e9
    assert attributes(received) == {
        "receiver": "otlp", "transport": "grpc", "format": "protobuf", "accepted_spans": 7, "refused_spans": 0}
    assert attributes(by_name["exporter/otlp/logs"]) == {"items.sent": 3, "items.failed": 0}

    kind, accepted = points(own, "otelcol_receiver_accepted_spans")
    assert kind == "sum" and accepted[(("receiver", "otlp"), ("transport", "grpc"))].as_int == 7
    assert points(own, "otelcol_process_memory_rss")[0] == "gauge"
    wait_until(lambda: sum(p.count for p in points(own, "otelcol_processor_batch_batch_send_size")[1].values()) == 2,
               "both batches")
    kind, sizes = points(own, "otelcol_processor_batch_batch_send_size")
    assert kind == "histogram"
    size = sizes[(("processor", "batch"),)]
    assert size.count == 2 and size.sum == 10 and len(size.bucket_counts) == len(size.explicit_bounds) + 1
    request = own.received("metrics")[-1]
    metrics = {m.name: m for m in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["otelcol_receiver_accepted_spans"].unit == "{spans}"
    assert metrics["otelcol_receiver_accepted_spans"].sum.is_monotonic
    resource = attributes(request.resource_metrics[0].resource)
    assert resource["service.name"] == "sluice" and resource["deployment.environment"] == "test"
    assert {"service.version", "service.instance.id"} <= set(resource)

    started.stop()
    assert any(record.body.string_value == "Shutdown complete." or "eceived signal" in record.body.string_value
               for record in records(own))


NAMES = [
    *(
        f"otelcol_{part}_{items}"
        for part in ("receiver_accepted", "receiver_refused", "receiver_failed", "exporter_sent",
                     "exporter_send_failed", "exporter_enqueue_failed", "processor_memory_limiter_accepted",
                     "processor_memory_limiter_refused")
        for items in ("spans", "metric_points", "log_records")
    ),
    *(f"otelcol_exporter_queue_{part}" for part in (
        "size", "capacity", "batch_send_size", "batch_send_size_bytes", "batch_enqueue_size",
        "batch_enqueue_size_bytes")),
    *(
        f"otelcol_processor_{part}"
        for part in ("incoming_items", "outgoing_items", "batch_batch_send_size", "batch_batch_send_size_bytes",
                     "batch_batch_size_trigger_send", "batch_timeout_trigger_send", "batch_metadata_cardinality",
                     "internal_duration")
    ),
    *(
        f"otelcol_process_{part}"
        for part in ("uptime", "cpu_seconds", "memory_rss", "runtime_heap_alloc_bytes",
                     "runtime_total_alloc_bytes", "runtime_total_sys_memory_bytes")
    ),
    "otelcol_exporter_in_flight_requests",
    *(f"rpc_{side}_{part}" for side in ("server", "client") for part in ("duration", "request_size", "response_size")),
]
HTTP_NAMES = [
    f"http_{side}_{part}"
    for side in ("server", "client")
    for part in ("request_duration", "request_body_size", "response_body_size")
]


def test_the_collectors_names_arrive(gateway, backend, clients):
    """If it failed, dashboards and alerts made for the Collector would stay empty behind a backend of OTLP."""
    sink, own = backend(), backend()
    telemetry = {"metrics": {"level": "detailed", "readers": [
        {"periodic": {"interval": 100, "exporter": FORMS["grpc"](own)}}]}}
    processors = {"memory_limiter": {"check_interval": "1s", "limit_mib": 500},
                  "attributes": {"actions": [{"key": "a", "value": 1, "action": "insert"}]}, "batch": {"timeout": "20ms"}}
    started = gateway(config({"otlp": exporter(sink)}, processors, telemetry=telemetry))
    client = clients.grpc(started)
    for request in (data.spans(2), data.records(2), data.points(2)):
        client.export(request)
    wait_until(lambda: len(sink.received("metrics")) + len(sink.received("traces")) + len(sink.received("logs")) == 3,
               "all three signals")

    def missing():
        requests = own.received("metrics")
        names = {m.name for m in requests[-1].resource_metrics[0].scope_metrics[0].metrics} if requests else set()
        return sorted(set(NAMES) - names)

    wait_until(lambda: not missing(), lambda: missing())


def test_differences_where_a_backend_wants_them(gateway, backend, clients):
    """If it failed, backends that take deltas alone would refuse what the gateway says about itself, or count it twice."""
    sink, own = backend(), backend()
    exporter_of = {"otlp": {**FORMS["grpc"](own)["otlp"], "temporality_preference": "delta"}}
    started = gateway(config({"otlp": exporter(sink)}, signals=["traces"], telemetry={
        "metrics": {"level": "detailed", "readers": [{"periodic": {"interval": 50, "exporter": exporter_of}}]}}))
    client, name = clients.grpc(started), "otelcol_receiver_accepted_spans"

    def sent():
        """All points of the counter in order, by transport."""
        found = []
        for request in own.received("metrics"):
            for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                if metric.name == name:
                    assert metric.sum.aggregation_temporality == 1
                    assert metric.sum.is_monotonic
                    found += [p for p in metric.sum.data_points if attributes(p).get("transport") == "grpc"]
                if metric.name == "rpc_server_duration":
                    assert metric.histogram.aggregation_temporality == 1
        return found

    client.export(data.spans(3))
    wait_until(lambda: sum(p.as_int for p in sent()) == 3, lambda: sent())
    client.export(data.spans(4))
    wait_until(lambda: sum(p.as_int for p in sent()) == 7, lambda: sent())
    # Some that say nothing new: nothing is counted twice, and no time is left out.
    before = len(sent())
    wait_until(lambda: len(sent()) >= before + 3, "more requests")
    points = sent()
    assert sum(p.as_int for p in points) == 7
    for earlier, later in zip(points, points[1:]):
        assert earlier.time_unix_nano == later.start_time_unix_nano
    gauges = {m.name: m for m in own.received("metrics")[-1].resource_metrics[0].scope_metrics[0].metrics}
    assert gauges["otelcol_process_memory_rss"].gauge.data_points[0].as_int > 0


def page_of(started):
    return fetch(f"http://{LOOPBACK}:{started.metrics_port}/metrics")[1]


def samples(page, name, **labels):
    """The values of a family's series that have these labels, from a page in text."""
    found = []
    for line in page.splitlines():
        if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            found.append(float(line.rsplit(" ", 1)[1]))
    return found


def test_calls_over_http_are_measured(gateway, http_backend, clients):
    """If it failed, nobody could tell a slow backend from a slow gateway, nor see who sends what is refused."""
    sink = http_backend()
    started = gateway(config({"otlp_http": {"endpoint": sink.url, "compression": "none"}}, signals=["traces"],
                             telemetry={"metrics": {"level": "detailed"}}))
    client = clients.http(started)
    client.export(data.spans(3))
    wait_until(lambda: len(sink.received("traces")) == 1, "the spans")
    answer = client.post(b"\xff\xff")
    assert answer[0] == 400
    wait_until(lambda: all(f"# TYPE {name} histogram" in page_of(started) for name in HTTP_NAMES), "all names")
    page = page_of(started)
    route = {"http_request_method": "POST", "http_route": "/v1/traces"}
    assert samples(page, "http_server_request_duration_count", http_response_status_code=200, **route) == [1]
    assert samples(page, "http_server_request_duration_count", http_response_status_code=400, **route) == [1]
    assert 0 < samples(page, "http_server_request_duration_sum", http_response_status_code=200)[0] < 60
    size = samples(page, "http_server_request_body_size_sum", http_response_status_code=200)
    assert size == [len(data.spans(3).SerializeToString())]
    assert samples(page, "http_server_request_body_size_sum", http_response_status_code=400) == [2]
    sent = {"http_response_status_code": 200, "server_address": LOOPBACK}
    assert samples(page, "http_client_request_duration_count", **sent) == [1]
    assert samples(page, "http_client_request_body_size_sum", **sent) == size


@pytest.mark.parametrize("level, names", [
    ("basic", []),
    ("normal", ["otelcol_processor_batch_timeout_trigger_send", "otelcol_processor_internal_duration",
                "otelcol_processor_memory_limiter_accepted_spans"]),
])
def test_a_level_shows_its_metrics_and_no_more(gateway, backend, clients, level, names):
    """If it failed, whoever asks for little would pay for much, or the other way round."""
    sink = backend()
    processors = {"memory_limiter": {"check_interval": "1s", "limit_mib": 500},
                  "attributes": {"actions": [{"key": "a", "value": 1, "action": "insert"}]}, "batch": {"timeout": "20ms"}}
    started = gateway(config({"otlp": exporter(sink)}, processors, telemetry={"metrics": {"level": level}}))
    clients.grpc(started).export(data.spans(2))
    wait_until(lambda: len(sink.received("traces")) == 1, "the spans")
    page = page_of(started)
    shown = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    above = [name for name in shown if name.startswith(("otelcol_processor_batch_", "otelcol_processor_memory_limiter_"))
             or name == "otelcol_processor_internal_duration"]
    assert bool(above) == bool(names) and set(names) <= set(above)
    assert {"otelcol_receiver_accepted_spans", "otelcol_processor_incoming_items"} <= set(shown)
    assert not [name for name in shown if name.startswith(("rpc_", "http_")) or name.endswith(("send_size_bytes",
                                                                                             "enqueue_size"))]


def test_it_never_feeds_itself(gateway, backend, clients):
    """If it failed, one request would make spans for ever."""
    sink = backend()
    port = free_port()
    own = {"otlp": {"protocol": "grpc", "endpoint": f"http://{LOOPBACK}:{port}"}}
    telemetry = {
        "logs": {"level": "debug", "processors": [{"simple": {"exporter": own}}]},
        "traces": {"processors": [{"simple": {"exporter": own}}]},
    }
    started = gateway(config(
        {"otlp": exporter(sink), "debug": {"verbosity": "detailed"}}, receivers=otlp(grpc={"endpoint": f"{LOOPBACK}:{port}"}),
        signals=["traces", "logs"], telemetry=telemetry))
    started.grpc_port = port
    clients.grpc(started).export(data.spans(1))
    # The client's span, that about it, that about its export, and then those about exports of such, one at a time.
    wait_until(lambda: len(spans(sink)) >= 3, "spans about the request")
    names = [span.name for span in spans(sink)]
    assert names.count("receiver/otlp/TraceDataReceived") == 1, names
    before = len(records(sink))
    clients.grpc(started).export(data.spans(1))
    wait_until(lambda: [s.name for s in spans(sink)].count("receiver/otlp/TraceDataReceived") == 2, "the second")
    assert len(records(sink)) - before < 20


def test_an_unreachable_backend_stops_nobody(gateway, backend, clients):
    """If it failed, the gateway would go down with its observer, or fill its memory with news about itself."""
    sink = backend()
    own = {"otlp": {"protocol": "grpc", "endpoint": f"http://{LOOPBACK}:{free_port()}"}}
    telemetry = {
        "logs": {"processors": [{"batch": {"schedule_delay": 10, "max_queue_size": 10, "max_export_batch_size": 5,
                                           "exporter": own}}]},
        "traces": {"processors": [{"batch": {"schedule_delay": 10, "max_queue_size": 10, "max_export_batch_size": 5,
                                             "exporter": own}}]},
    }
    started = gateway(config({"otlp": exporter(sink)}, telemetry=telemetry))
    client = clients.grpc(started)
    for _ in range(500):
        client.export(data.spans(1))
    wait_until(lambda: len(spans(sink)) == 500, "all that was sent")
    page = started.metrics()
    lost = page.sum("sluice_telemetry_dropped_items", data_type="traces")
    assert lost + page.sum("sluice_telemetry_overflow_items", data_type="traces") > 0
    assert page.sum("otelcol_exporter_sent_spans") == 500


@pytest.mark.parametrize("flag, count", [("01", 1), ("00", 0)])
def test_traces_of_clients_go_on(gateway, backend, flag, count):
    """If it failed, a slow export of an application could not be followed into the gateway."""
    own = backend()
    telemetry = {"traces": {
        "propagators": ["tracecontext"],
        "sampler": {"parent_based": {"root": {"always_off": {}}}},
        "processors": [{"simple": {"exporter": {"otlp": {"protocol": "grpc", "endpoint": f"http://{own.endpoint}"}}}}],
    }}
    started = gateway(config({"nop": {}}, telemetry=telemetry))
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    client = RawHTTP2(started.grpc_port)
    for text in [f"00-{trace}-{parent}-{flag}", None]:
        stream = client.open(traceparent=text)
        client.send(stream, grpc_message(data.spans(1).SerializeToString()))
        assert client.grpc_status(stream)[0] == 0
    client.close()
    started.stop()
    assert len(spans(own)) == count
    for span in spans(own):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, parent)


def test_one_percent_is_one_percent(gateway, backend, clients):
    """If it failed, tracing would cost more than was asked for."""
    own = backend()
    telemetry = {"traces": {
        "sampler": {"trace_id_ratio_based": {"ratio": 0.25}},
        "processors": [{"batch": {"exporter": {"otlp": {"protocol": "grpc", "endpoint": f"http://{own.endpoint}"}}}}],
    }}
    started = gateway(config({"nop": {}}, telemetry=telemetry))
    client = clients.http(started)
    for _ in range(1000):
        client.export(data.spans(1))
    started.stop()
    assert 150 < len(spans(own)) < 350


def test_names_of_the_page(gateway, clients):
    """If it failed, dashboards made for the Collector's names with suffixes would stay empty."""
    port = free_port()
    prometheus = {
        "host": LOOPBACK, "port": port, "without_type_suffix": False, "without_units": False,
        "with_resource_constant_labels": {"included": ["service*", "env"], "excluded": ["*.id"]},
    }
    started = gateway(config({"nop": {}}, telemetry={
        "metrics": {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]},
        "resource": {"env": "test", "other": "x"},
    }))
    started.metrics_port = port
    clients.grpc(started).export(data.spans(2))
    page = started.metrics()
    labels = {"service_name": "sluice", "env": "test"}
    assert page.sum("otelcol_receiver_accepted_spans_total", transport="grpc", **labels) == 2
    assert page.sum("otelcol_process_memory_rss_bytes", **labels) > 0
    names = {name for name, _, _ in page.samples}
    assert {"otelcol_process_uptime_seconds_total", "otelcol_process_cpu_seconds_total", "target_info",
            "otelcol_exporter_queue_size"} - names == {"otelcol_exporter_queue_size"}
    assert not {"otelcol_process_uptime", "otelcol_receiver_accepted_spans"} & names
    for name, have, _ in page.samples:
        assert "other" not in have or name == "target_info"
        assert "service_instance_id" not in have or name == "target_info"


@pytest.mark.parametrize("telemetry, words", [
    ({"metrics": {"readers": [{"periodic": {}}]}}, 'has no "exporter"'),
    ({"metrics": {"readers": [{"periodic": {"exporter": {"console": {}, "otlp": {"endpoint": "x"}}}}]}}, None),
    ({"traces": {"processors": [{"batch": {"exporter": {"otlp": {"endpoint": "http://<host>:4317"}}}}]}}, "placeholder"),
    ({"traces": {"processors": [{}]}}, '"batch" or "simple"'),
    ({"traces": {"sampler": {"jaeger_remote": {"x": 1}}}}, "not supported"),
    ({"traces": {"sampler": {"trace_id_ratio_based": {"ratio": 2}}}}, "between 0.0 and 1.0"),
    ({"logs": {"processors": [{"batch": {"max_queue_size": 1, "max_export_batch_size": 2,
                                        "exporter": {"otlp": {}}}}]}}, "more than max_queue_size"),
])
def test_mistakes_are_explained(tmp_path, telemetry, words):
    """If it failed, an operator would learn of a mistake by missing data."""


    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config({"nop": {}}, telemetry=telemetry)))
    done = command("validate", "--config", file)
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1 and words in done.stderr and "help: " in done.stderr, done.stderr


def test_pages_for_people(gateway, backend, clients):
    """If it failed, who looks at the pages that the Collector's users know would find none, or wrong numbers."""
    sink, port = backend(), free_port()
    configuration = config({"otlp/a": exporter(sink)}, {"batch": {"timeout": "20ms"}}, signals=["traces"], extensions=["zpages"])
    configuration["extensions"] = {"zpages": {"endpoint": f"{LOOPBACK}:{port}"}}
    started = gateway(configuration)
    clients.grpc(started).export(data.spans(7))
    wait_until(lambda: sink.received("traces"), "the spans")

    def page(path):
        status, text = fetch(f"http://{LOOPBACK}:{port}/debug/{path}")
        assert status == 200
        return text

    assert "Uptime" in page("servicez")
    assert "<td>traces</td><td>traces</td>" in page("pipelinez")
    one = "pipelinez?zpipelinename=traces&zcomponentname=otlp%2Fa&zcomponentkind=exporter"
    wait_until(lambda: "<td>7</td><td>0</td><td>7</td><td>0</td><td>0</td>" in page(one), lambda: page(one))
    assert "zpages" in page("extensionz")
    traces = page("tracez")
    assert "receiver/otlp/TraceDataReceived" in traces and "exporter/otlp/a/traces" in traces
    assert fetch(f"http://{LOOPBACK}:{port}/debug/nothing")[0] == 404
