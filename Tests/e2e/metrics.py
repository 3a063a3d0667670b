"""Metrics to send to the gateway, and a gateway with a page for Prometheus."""

import contextlib
import threading
import time

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from conftest import config
from gateway import LOOPBACK, fetch, free_port
from prometheus import Page

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
BEGIN = time.time_ns()


def request(*metrics, service="shop", instance="a-1", scope="tests", **attributes):
    """A request of these metrics, all of one resource and scope."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key, value in {"service.name": service, "service.instance.id": instance, **attributes}.items():
        if value:
            resource.resource.attributes.add(key=key).value.string_value = value
    inner = resource.scope_metrics.add()
    inner.scope.name = scope
    inner.metrics.extend(metrics)
    return message


def _point(points, value, time_ns, start_ns, labels):
    point = points.add(time_unix_nano=time_ns or time.time_ns(), start_time_unix_nano=start_ns or BEGIN)
    for key, text in labels.items():
        point.attributes.add(key=key).value.string_value = text
    if value is not None:
        kind = "as_int" if isinstance(value, int) else "as_double"
        setattr(point, kind, value)
    return point


def gauge(name, value, unit="", description="A gauge.", time_ns=None, **labels):
    metric = Metric(name=name, unit=unit, description=description)
    _point(metric.gauge.data_points, value, time_ns, None, labels)
    return metric


def counter(
    name,
    value,
    unit="",
    description="A counter.",
    temporality=CUMULATIVE,
    monotonic=True,
    time_ns=None,
    start_ns=None,
    trace_id=None,
    **labels,
):
    metric = Metric(name=name, unit=unit, description=description)
    metric.sum.is_monotonic = monotonic
    metric.sum.aggregation_temporality = temporality
    point = _point(metric.sum.data_points, value, time_ns, start_ns, labels)
    if trace_id:
        _exemplar(point, 1.0, trace_id)
    return metric


def histogram(
    name,
    bounds,
    counts,
    total,
    unit="s",
    description="A histogram.",
    temporality=CUMULATIVE,
    time_ns=None,
    start_ns=None,
    exemplars=(),
    **labels,
):
    """`exemplars`: pairs of value and trace id."""
    metric = Metric(name=name, unit=unit, description=description)
    metric.histogram.aggregation_temporality = temporality
    point = _point(metric.histogram.data_points, None, time_ns, start_ns, labels)
    point.explicit_bounds.extend(bounds)
    point.bucket_counts.extend(counts)
    point.count, point.sum = sum(counts), total
    for value, trace_id in exemplars:
        _exemplar(point, value, trace_id)
    return metric


def _exemplar(point, value, trace_id):
    exemplar = point.exemplars.add(as_double=value, time_unix_nano=time.time_ns())
    exemplar.trace_id = bytes.fromhex(trace_id)
    exemplar.span_id = bytes.fromhex("00f067aa0ba902b7")


class PageGateway:
    """A gateway with a `prometheus` exporter and a client of it."""

    def __init__(self, gateway, clients, processors=None, **keys):
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}/metrics"
        exporter = {"endpoint": f"{LOOPBACK}:{self.port}", **keys}
        self.running = gateway(config({"prometheus": exporter}, processors, signals=["metrics"]))
        self.client = clients.grpc(self.running)

    def send(self, *metrics, **resource):
        self.client.export(request(*metrics, **resource))

    def page(self):
        status, text = fetch(self.url)
        assert status == 200, text
        return Page(text)


@contextlib.contextmanager
def repeatedly(action, interval):
    """Does something now and then on another thread; what it raises fails the test."""
    stop, faults = threading.Event(), []

    def run():
        try:
            while not stop.is_set():
                action()
                stop.wait(interval)
        except Exception as error:
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert faults == []
