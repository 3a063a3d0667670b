"""A shop's traces become metrics that a real Prometheus reads: its figures are those of what was sent."""

import bisect
import collections
import math
import random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import exporter, one_load_at_a_time, otlp
from gateway import LOOPBACK, free_port, wait_until
from prometheus import Prometheus

SERVICES = [f"service-{number:02d}" for number in range(20)]
DATABASES = ["orders", "users", "stock"]
TRACES = 400
SECOND = 1_000_000_000
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
KINDS = {
    INTERNAL: "SPAN_KIND_INTERNAL",
    SERVER: "SPAN_KIND_SERVER",
    CLIENT: "SPAN_KIND_CLIENT",
    PRODUCER: "SPAN_KIND_PRODUCER",
    CONSUMER: "SPAN_KIND_CONSUMER",
}
# Milliseconds: the connector's default; and seconds, the service graph's.
BUCKETS = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000]
GRAPH_BUCKETS = [bound / 1000 for bound in BUCKETS]


class Shop:
    """Makes traces and counts what it makes."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.calls = collections.Counter()
        self.durations = collections.defaultdict(list)
        self.edges = collections.Counter()
        self.failed = collections.Counter()
        self.server_seconds = collections.defaultdict(list)
        self.by_id = {}
        self.next_id = 0

    def trace(self):
        """The spans of one trace, by service."""
        self.spans = collections.defaultdict(list)
        self.trace_id = self.chance.randbytes(16)
        self.visit(0, b"", 1_764_000_000 * SECOND, depth=0)
        return self.spans

    def span(self, service, kind, name, parent, start, duration, is_error, attributes=()):
        self.next_id += 1
        own = self.next_id.to_bytes(8, "big")
        self.spans[service].append((own, parent, kind, name, start, duration, is_error, attributes))
        status = "STATUS_CODE_ERROR" if is_error else "STATUS_CODE_UNSET"
        self.calls[service, name, KINDS[kind], status] += 1
        self.durations[service].append(duration / 1e6)
        self.by_id[self.trace_id.hex(), own.hex()] = (service, name, duration / 1e6)
        return own

    def edge(self, client, server, connection, seconds, is_error):
        self.edges[client, server, connection, is_error] += 1
        self.server_seconds[client, server].append(seconds)

    def visit(self, index, parent, start, depth):
        """A service is called: it works, asks a database, tells a queue, and calls others."""
        chance, service = self.chance, SERVICES[index]
        duration = int(chance.lognormvariate(3, 1.2) * 1e6)  # 20 ms in the middle, some far slower
        is_error = chance.random() < 0.04
        own = self.span(service, SERVER, f"GET /{index}", parent, start, duration, is_error)
        if chance.random() < 0.5:
            self.span(service, INTERNAL, "work", own, start, duration // 2, False)
        if chance.random() < 0.4:
            database = chance.choice(DATABASES)
            took, fails = int(chance.expovariate(1 / 5e6)) + 1, chance.random() < 0.02
            self.span(service, CLIENT, "SELECT", own, start, took, fails, [("db.name", database)])
            self.edge(service, database, "database", took / 1e9, fails)
        if chance.random() < 0.2:
            other = chance.randrange(15, 20)
            sent = self.span(service, PRODUCER, "orders send", own, start, 1_000_000, False)
            took, fails = int(chance.expovariate(1 / 30e6)) + 1, chance.random() < 0.1
            self.span(SERVICES[other], CONSUMER, "orders process", sent, start, took, fails)
            self.edge(service, SERVICES[other], "messaging_system", took / 1e9, fails)
        for _ in range(chance.randrange(3) if depth < 3 else 0):
            other = chance.randrange(1, 15)
            # The client's span comes first: its id is the server's parent.
            client_error = chance.random() < 0.03
            called = self.span(service, CLIENT, f"call /{other}", own, start, duration, client_error)
            took, server_error = self.visit(other, called, start, depth + 1)
            self.edge(service, SERVICES[other], "", took / 1e9, client_error or server_error)
        return duration, is_error


def request_of(trace_id, spans):
    request = ExportTraceServiceRequest()
    for service, members in spans.items():
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = service
        scope = resource.scope_spans.add()
        for own, parent, kind, name, start, duration, is_error, attributes in members:
            span = scope.spans.add(
                trace_id=trace_id,
                span_id=own,
                parent_span_id=parent,
                kind=kind,
                name=name,
                start_time_unix_nano=start,
                end_time_unix_nano=start + duration,
            )
            span.status.code = 2 if is_error else 0
            for key, value in attributes:
                span.attributes.add(key=key).value.string_value = value
    return request


def quantile(share, values, bounds):
    """What PromQL's histogram_quantile makes of values in buckets."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect.bisect_left(bounds, value)] += 1
    rank, below = share * len(values), 0
    for index, count in enumerate(counts):
        if below + count >= rank:
            break
        below += count
    if index == len(bounds):
        return bounds[-1]
    lower = bounds[index - 1] if index else 0
    return lower + (bounds[index] - lower) * (rank - below) / count


def shop_config(behind, page):
    connectors = {
        "span_metrics": {"metrics_flush_interval": "500ms", "exemplars": {"enabled": True}},
        "service_graph": {"metrics_flush_interval": "500ms", "store": {"ttl": "10s", "max_items": 10_000}},
    }
    return {
        "receivers": otlp(),
        "exporters": {
            "otlp_grpc": exporter(behind),
            "prometheus": {"endpoint": f"{LOOPBACK}:{page}", "enable_open_metrics": True},
        },
        "connectors": connectors,
        "service": {
            "pipelines": {
                "traces": {"receivers": ["otlp"], "exporters": ["otlp_grpc", *connectors]},
                "metrics": {"receivers": list(connectors), "exporters": ["prometheus"]},
            }
        },
    }


@pytest.fixture
def shop(gateway, backend, clients, tmp_path, owned):
    """A shop whose traces were sent, the backend that has them, and Prometheus, which has the metrics."""
    behind, page = backend(), free_port()
    running = gateway(shop_config(behind, page))
    prometheus = Prometheus(tmp_path, f"http://{LOOPBACK}:{page}/metrics", features=["exemplar-storage"])
    owned.callback(prometheus.stop)
    client, shop = clients.grpc(running), Shop(7)
    for _ in range(TRACES):
        spans = shop.trace()
        # Each service sends its own spans, in whatever order.
        parts = list(spans.items())
        shop.chance.shuffle(parts)
        for service, members in parts:
            client.export(request_of(shop.trace_id, {service: members}))
    total = sum(shop.calls.values())
    prometheus.wait_for("sum(traces_span_metrics_calls_total)", lambda value: value == total)
    edges = sum(shop.edges.values())
    prometheus.wait_for("sum(traces_service_graph_request_total)", lambda value: value == edges)
    prometheus.wait_for_scrapes(2)
    return shop, behind, prometheus


@one_load_at_a_time
def test_figures_of_a_shop_in_prometheus(shop):
    """If it failed, dashboards would show other call counts, error rates and latencies than the shop has."""
    shop, behind, prometheus = shop
    wanted = ("service_name", "span_name", "span_kind", "status_code")
    found = {
        tuple(labels[key] for key in wanted): value
        for labels, value in prometheus.query(f"sum by ({','.join(wanted)}) (traces_span_metrics_calls_total)")
    }
    assert found == dict(shop.calls)
    errors = 'sum by (service_name) (traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"})'
    rates = prometheus.query(f"{errors} / on (service_name) sum by (service_name) (traces_span_metrics_calls_total)")
    by_service = collections.Counter()
    failed = collections.Counter()
    for (service, _, _, status), count in shop.calls.items():
        by_service[service] += count
        failed[service] += count if status == "STATUS_CODE_ERROR" else 0
    assert len(by_service) == len(SERVICES)
    assert {labels["service_name"]: value for labels, value in rates} == {
        service: pytest.approx(count / by_service[service]) for service, count in failed.items() if count
    }
    buckets = "sum by (le, service_name) (traces_span_metrics_duration_milliseconds_bucket)"
    p95 = {
        labels["service_name"]: value
        for labels, value in prometheus.query(f"histogram_quantile(0.95, {buckets})")
    }
    for service, durations in shop.durations.items():
        assert p95[service] == pytest.approx(quantile(0.95, durations, BUCKETS)), service
        # The true one lies in the same bucket.
        exact = sorted(durations)[math.ceil(0.95 * len(durations)) - 1]
        place = bisect.bisect_left(BUCKETS, exact)
        assert (BUCKETS[place - 1] if place else 0) <= p95[service] <= BUCKETS[min(place, len(BUCKETS) - 1)]
    exemplars_are_spans_of_the_backend(shop, behind, prometheus)


def exemplars_are_spans_of_the_backend(shop, behind, prometheus):
    arrived = {
        (span.trace_id.hex(), span.span_id.hex())
        for request in behind.received()
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert arrived == set(shop.by_id)
    groups = prometheus.api(
        "query_exemplars", query="traces_span_metrics_duration_milliseconds_bucket", start=0, end=4e9
    )
    count = 0
    for group in groups:
        for exemplar in group["exemplars"]:
            key = exemplar["labels"]["trace_id"], exemplar["labels"]["span_id"]
            service, name, milliseconds = shop.by_id[key]
            assert key in arrived
            assert (group["seriesLabels"]["service_name"], group["seriesLabels"]["span_name"]) == (service, name)
            assert float(exemplar["value"]) == pytest.approx(milliseconds)
            count += 1
    assert count > len(SERVICES)


@one_load_at_a_time
def test_service_graph_of_a_shop_in_prometheus(shop):
    """If it failed, the service map would show calls that nobody made, or none where there are errors."""
    shop, _, prometheus = shop
    keys = ("client", "server", "connection_type", "failed")
    found = {
        tuple(labels.get(key, "") for key in keys): value
        for labels, value in prometheus.query(f"sum by ({','.join(keys)}) (traces_service_graph_request_total)")
    }
    assert found == {
        (client, server, connection, "true" if failed else "false"): count
        for (client, server, connection, failed), count in shop.edges.items()
    }
    failed = prometheus.value("sum(traces_service_graph_request_failed_total)")
    assert failed == sum(count for (*_, is_failed), count in shop.edges.items() if is_failed)
    buckets = "sum by (le, client, server) (traces_service_graph_request_server_seconds_bucket)"
    p95 = prometheus.query(f"histogram_quantile(0.95, {buckets})")
    assert {(labels["client"], labels["server"]) for labels, _ in p95} == set(shop.server_seconds)
    for labels, value in p95:
        seconds = shop.server_seconds[labels["client"], labels["server"]]
        assert value == pytest.approx(quantile(0.95, seconds, GRAPH_BUCKETS)), labels
