"""The platform of config/: the gateway's configuration carries all three signals with their links, alerts fire when what
they are about happens and end when it is over, and every panel of the dashboard shows something."""

import contextlib
import json
import re
import threading
import time

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

import data
from backend import Backend
from client import GRPCClient, HTTPClient
from conftest import one_load_at_a_time
from gateway import LOOPBACK, ROOT, Gateway, free_port, wait_until
from loki_backend import LokiBackend
from prometheus import Prometheus

CONFIG = ROOT / "config"
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")


class PlatformGateway:
    """A gateway with config/autoecoops.yaml, but for its ports; `change` may replace more of the text."""

    def __init__(self, folder, tempo, loki, change=lambda text: text):
        self.page, self.telemetry = free_port(), free_port()

        def text(grpc_port, http_port):
            ports = {4317: grpc_port, 4318: http_port, 8889: self.page}
            written = (CONFIG / "autoecoops.yaml").read_text()
            for port, free in ports.items():
                assert f"0.0.0.0:{port}" in written
                written = written.replace(f"0.0.0.0:{port}", f"{LOOPBACK}:{free}")
            written = written.replace("host: 0.0.0.0", f"host: {LOOPBACK}").replace(
                "port: 8888", f"port: {self.telemetry}"
            )
            return change(written)

        environment = {
            "TEMPO_ENDPOINT": tempo,
            "LOKI_ENDPOINT": loki,
            "SLUICE_STORAGE": str(folder / f"data-{self.page}"),
        }
        self.gateway = Gateway(folder, text, env=environment)
        self.grpc = GRPCClient(self.gateway.grpc_port)
        self.http = HTTPClient(self.gateway.http_port)

    def stop(self):
        self.grpc.close()
        self.http.close()
        self.gateway.kill()


def traces():
    request = data.spans(1)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.span_id = TRACE, SPAN
    return request


def logs(text="sold"):
    request = logs_service_pb2.ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    record = resource.scope_logs.add().log_records.add(
        trace_id=TRACE, span_id=SPAN, time_unix_nano=time.time_ns()
    )
    record.body.string_value = text
    return request


def metrics():
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    metric = resource.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = 2
    now = time.time_ns()
    point = metric.histogram.data_points.add(
        start_time_unix_nano=now - 10**9,
        time_unix_nano=now,
        count=1,
        sum=0.2,
        explicit_bounds=[0.1, 0.5],
        bucket_counts=[0, 1, 0],
    )
    point.exemplars.add(time_unix_nano=now, as_double=0.2, trace_id=TRACE, span_id=SPAN)
    return request


def gauge():
    """A gauge under the histogram's name."""
    request = metrics()
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=1)
    return request


@pytest.fixture
def stack():
    with contextlib.ExitStack() as owned:
        yield owned


def test_signals_arrive_with_their_links(tmp_path, stack):
    """Without it Grafana's way from a metric's exemplar to the trace and from there to its logs ends in nothing."""
    tempo, loki = Backend(), LokiBackend()
    stack.callback(tempo.stop)
    stack.callback(loki.stop)
    gateway = PlatformGateway(tmp_path, tempo.endpoint, loki.url)
    stack.callback(gateway.stop)
    for request in (traces(), logs(), metrics()):
        gateway.grpc.export(request)
    prometheus = Prometheus(
        tmp_path, f"http://{LOOPBACK}:{gateway.page}/metrics", features=["exemplar-storage"]
    )
    stack.callback(prometheus.stop)

    wait_until(lambda: tempo.requests, "the trace is at Tempo")
    span = tempo.requests[0].resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id, span.span_id) == (TRACE, SPAN)
    wait_until(lambda: loki.entries, "the record is at Loki")
    assert dict(loki.entries[0].metadata)["trace_id"] == TRACE.hex()
    assert loki.entries[0].labels["service_name"] == "shop"
    prometheus.wait_for('http_server_request_duration_seconds_count{job="shop"}', lambda value: value == 1)
    found = prometheus.api(
        "query_exemplars",
        query="http_server_request_duration_seconds_bucket",
        start=time.time() - 60,
        end=time.time() + 60,
    )
    assert [each["labels"]["trace_id"] for series in found for each in series["exemplars"]] == [TRACE.hex()]
    assert found[0]["seriesLabels"]["job"] == "shop"


# Alerts and panels


def quick(text):
    """The rules with seconds where they have minutes; what they compare stays."""
    text = re.sub(r"\bfor: \w+", "for: 1s", text)
    text = re.sub(r"interval: \d+s", "interval: 1s", text)
    # The forecast is shortened as the window that it is made from.
    text = text.replace("[30m], 3600)", "[30m], 20)")
    return re.sub(r"\[(\d+)m\]", lambda found: f"[{6 if int(found[1]) < 30 else 10}s]", text)


def panel_queries():
    """Every query of the gateways' dashboard that reads nothing of the cluster's, with its variables filled in."""
    listed = yaml.safe_load((CONFIG / "checks/metrics.yaml").read_text())
    foreign = [name for group in ("kube_state_metrics", "cadvisor", "applications") for name in listed[group]]
    queries = set()
    for panel in json.loads((CONFIG / "dashboards/gateway.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "6s").replace("[15m]", "[6s]")
            if not any(name in query for name in foreign):
                queries.add(re.sub(r"\$\w+", ".*", query))
    return queries


class Watch:
    """Asks each query until it has given data once."""

    def __init__(self, prometheus):
        self.prometheus, self.left = prometheus, panel_queries()
        self.all = len(self.left)

    def look(self):
        self.left = {query for query in self.left if not self.prometheus.query(query)}


class Traffic:
    """Small requests to some gateways, until it is stopped; refusals are expected."""

    def __init__(self, gateways, make, pause=0.01):
        self.ending = threading.Event()
        self.clients = [GRPCClient(each.gateway.grpc_port) for each in gateways]
        self.make, self.pause = make, pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending.wait(self.pause):
            for client in self.clients:
                with contextlib.suppress(grpc.RpcError):
                    client.export(self.make(), timeout=5)

    def stop(self):
        self.ending.set()
        self.thread.join()
        for client in self.clients:
            client.close()


class Stage:
    """Three gateways, their backends, and Prometheus with our rules."""

    def __init__(self, folder, stack):
        self.tempo, self.loki = Backend(), LokiBackend()
        stack.callback(self.tempo.stop)
        stack.callback(self.loki.stop)
        # The third has little memory and its queue in it.
        small = lambda text: re.sub(r"limit_percentage: 80\n.*\n", "limit_mib: 40\n", text).replace(
            "sending_queue:\n      storage: file_storage\n", "sending_queue:\n      queue_size: 100000\n", 1
        )
        # The first two have a queue that fills soon.
        short = lambda text: text.replace(
            "storage: file_storage\n", "storage: file_storage\n      queue_size: 200\n", 1
        )
        self.gateways = [
            PlatformGateway(folder, self.tempo.endpoint, self.loki.url, each)
            for each in (short, short, small)
        ]
        for each in self.gateways:
            stack.callback(each.stop)
        rules = folder / "gateway.rules.yaml"
        rules.write_text(quick((CONFIG / "alerts/gateway.rules.yaml").read_text()))
        targets = [
            {
                "targets": [f"{LOOPBACK}:{each.telemetry}"],
                "labels": {"namespace": "platform-01", "pod": f"sluice-{number}"},
            }
            for number, each in enumerate(self.gateways)
        ]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "sluice", "static_configs": targets}],
        }
        self.prometheus = Prometheus(folder, configuration=configuration)
        stack.callback(self.prometheus.stop)
        self.watch = Watch(self.prometheus)

    def firing(self):
        self.watch.look()
        return {labels["alertname"] for labels, _ in self.prometheus.query('ALERTS{alertstate="firing"}')}

    def expect(self, *names):
        wait_until(lambda: set(names) <= self.firing(), lambda: f"{names} fire; {self.firing()} do", 120, 0.5)

    def expect_over(self, *names):
        wait_until(
            lambda: not set(names) & self.firing(), lambda: f"{names} end; {self.firing()} fire", 120, 0.5
        )


@one_load_at_a_time
def test_alerts_fire_and_end_and_panels_show_data(tmp_path, stack):
    """Without it an alert that never fires, or a panel that stays empty, is found during the outage it was made for."""
    stage = Stage(tmp_path, stack)
    steady = Traffic(stage.gateways, logs)
    stack.callback(steady.stop)
    spans = Traffic(stage.gateways, traces)
    stack.callback(spans.stop)
    points = Traffic(stage.gateways[:1], metrics, 0.2)
    stack.callback(points.stop)
    time.sleep(10)
    # The rules' minutes are seconds here: a slow start may look like a queue that grows.
    wait_until(lambda: not stage.firing(), lambda: f"all is well; {stage.firing()} fire", 120, 0.5)

    # The backend is gone: queues fill, then requests are refused; nothing is sent.
    stage.tempo.stop()
    filling = ("SluiceQueueFilling", "SluiceQueueFullSoon", "SluicePendingNotFalling", "SluiceItemsRefused")
    stage.expect(*filling, "SluiceNothingSent")
    # Large requests to the gateway whose queue is in memory: its limiter refuses.
    large = Traffic(stage.gateways[2:], lambda: data.spans(200, padding=5000), 0.01)
    stage.expect("SluiceLimiterActive", "SluiceRequestsRefused")
    large.stop()
    stage.tempo.start()
    stage.expect_over(*filling, "SluiceNothingSent", "SluiceLimiterActive", "SluiceRequestsRefused")

    # The destination rejects for good.
    stage.tempo.answer = lambda request, context: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
    stage.expect("SluiceSendFailed", "SluiceSendFailing", "SluiceDeadLetters")
    stage.tempo.answer = None
    stage.expect_over("SluiceSendFailed", "SluiceSendFailing", "SluiceDeadLetters")

    # A client sends what is not OTLP, another one what is too large.
    broken = threading.Event()
    client = stage.gateways[0].http

    def nonsense():
        while not broken.wait(0.05):
            client.post(b"\xff\xff\xff")
            with contextlib.suppress(grpc.RpcError):
                stage.gateways[0].grpc.export(data.spans(1, padding=17 << 20))

    thread = threading.Thread(target=nonsense)
    thread.start()
    try:
        stage.expect("SluiceUndecodable", "SluiceTooLarge")
    finally:
        broken.set()
        thread.join()
    stage.expect_over("SluiceUndecodable", "SluiceTooLarge")

    # A record is longer than Loki takes; two applications give one name to two kinds of metrics.
    long, twice = Traffic(stage.gateways[:1], lambda: logs("x" * 300_000), 0.2), Traffic(
        stage.gateways[:1], gauge, 0.2
    )
    stage.expect("SluiceLogsShortened", "SluiceSeriesDropped")
    long.stop()
    twice.stop()
    stage.expect_over("SluiceLogsShortened", "SluiceSeriesDropped")

    # One client sends everything to one gateway; then two gateways are gone.
    heavy = Traffic(stage.gateways[:1], lambda: data.spans(100), 0.005)
    stage.expect("SluiceLopsidedLoad")
    heavy.stop()
    stage.expect_over("SluiceLopsidedLoad")
    for each in stage.gateways[1:]:
        each.gateway.kill()
    stage.expect("SluiceDown", "SluiceTooFewReplicas")

    assert stage.watch.all > 40
    assert not stage.watch.left, "panels that never showed anything: " + "\n".join(sorted(stage.watch.left))
