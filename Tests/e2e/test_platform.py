"""The platform of config/: the gateway's configuration carries all three signals with their links, alerts fire when what
they are about happens and end when it is over, and every panel of the dashboards shows something."""

import contextlib
import itertools
import json
import re
import sqlite3
import threading
import time
import uuid

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

import data
from backend import Backend
from client import GRPCClient, HTTPClient
from conftest import exporter, one_load_at_a_time, otlp
from gateway import LOOPBACK, ROOT, Gateway, free_port, wait_until
from loki_backend import LokiBackend
from prometheus import Prometheus
from scraped import Target
from test_audit_exporter import ORIGIN
from test_audit_exporter import Log as AuditLog
from test_audit_exporter import request as events
from test_audit_retention import TimestampService

CONFIG = ROOT / "config"
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")
STARTED = time.time_ns()


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
        self.launch = lambda: Gateway(folder, text, env=environment)
        self.start()

    def start(self):
        """Also again, with the same pages and on the same data."""
        self.gateway = self.launch()
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


def metrics(requests=1, failed=0):
    """An application's request durations: so many answered in 0.8 s until now, and so many with 503."""
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    metric = resource.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = 2
    now = time.time_ns()
    for status, count in ((200, requests), (503, failed)):
        point = metric.histogram.data_points.add(
            start_time_unix_nano=STARTED,
            time_unix_nano=now,
            count=count,
            sum=0.8 * count,
            explicit_bounds=[0.1, 0.5, 1],
            bucket_counts=[0, 0, count, 0],
        )
        point.attributes.add(key="http.response.status_code").value.int_value = status
        point.exemplars.add(time_unix_nano=now, as_double=0.8, trace_id=TRACE, span_id=SPAN)
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


def links():
    """What Grafana follows, from config/deploy's data sources: names of labels and metadata."""
    path = CONFIG / "deploy/base/platform-03/grafana/datasources.yaml"
    sources = {each["uid"]: each["jsonData"] for each in yaml.safe_load(path.read_text())["datasources"]}
    (exemplar,) = sources["prometheus"]["exemplarTraceIdDestinations"]
    (field,) = sources["loki"]["derivedFields"]
    to_logs, to_metrics = sources["tempo"]["tracesToLogsV2"], sources["tempo"]["tracesToMetrics"]
    assert (exemplar["datasourceUid"], field["datasourceUid"]) == ("tempo", "tempo")
    assert (to_logs["datasourceUid"], to_metrics["datasourceUid"]) == ("loki", "prometheus")
    return exemplar["name"], field["matcherRegex"], to_logs, to_metrics


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
    exemplar_label, log_label, to_logs, to_metrics = links()

    wait_until(lambda: tempo.requests, "the trace is at Tempo")
    resource = tempo.requests[0].resource_spans[0]
    span = resource.scope_spans[0].spans[0]
    assert (span.trace_id, span.span_id) == (TRACE, SPAN)
    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}

    # From the trace to its logs, and from a line back to the trace.
    wait_until(lambda: loki.entries, "the record is at Loki")
    entry = loki.entries[0]
    assert dict(entry.metadata)[log_label] == span.trace_id.hex()
    assert f'| {log_label}="$${{__trace.traceId}}"' in to_logs["query"]
    for tag in to_logs["tags"]:
        assert entry.labels[tag["value"]] == attributes[tag["key"]]
    assert not loki.faults

    # From the trace to the metrics of its service, and from an exemplar to the trace.
    prometheus.wait_for(
        'http_server_request_duration_seconds_count{job="shop", http_response_status_code="200"}',
        lambda value: value == 1,
    )
    tags = ", ".join(f'{tag["value"]}="{attributes[tag["key"]]}"' for tag in to_metrics["tags"])
    for each in to_metrics["queries"]:
        prometheus.query(each["query"].replace("$$__tags", tags))
        name = re.search(r"(\w+)\{", each["query"])[1]
        assert prometheus.query(f"{name}{{{tags}}}"), each["query"]
    found = prometheus.api(
        "query_exemplars",
        query="http_server_request_duration_seconds_bucket",
        start=time.time() - 60,
        end=time.time() + 60,
    )
    exemplars = [each["labels"] for series in found for each in series["exemplars"]]
    assert exemplars and all(each[exemplar_label] == span.trace_id.hex() for each in exemplars)
    assert found[0]["seriesLabels"]["job"] == "shop"


# Alerts and panels: each alert of the gateways is in one of these two, and is staged in the test of its name.

OF_THREE = {
    "SluiceDown",
    "SluiceAbsent",
    "SluiceTooFewReplicas",
    "SluiceRestarts",
    "SluiceItemsRefused",
    "SluiceRequestsRefused",
    "SluiceLimiterActive",
    "SluiceUndecodable",
    "SluiceTooLarge",
    "SluiceLopsidedLoad",
    "SluiceSendFailed",
    "SluiceSendFailing",
    "SluiceQueueFilling",
    "SluiceQueueFullSoon",
    "SluiceNothingSent",
    "SluicePendingNotFalling",
    "SluiceDeadLetters",
    "SluiceSeriesDropped",
    "SluiceLogsShortened",
    "SluiceMemoryNearLimit",
    "SluiceHighCPU",
}
OF_OTHERS = {
    "SluiceEnqueueFailed",
    "SluiceScrapeLosses",
    "SluiceAuditChanged",
    "SluiceAuditCheckpointOld",
    "SluiceAuditFailing",
    "SluiceAuditRejected",
    "SluiceAuditTimestampsFailing",
}
# What only a gateway with an audit log or a batch processor shows.
OTHERS = re.compile("sluice_audit_|otelcol_processor_batch_")


def quick(text):
    """The rules with seconds where they have minutes; what they compare stays."""
    text = re.sub(r"\bfor: \w+", "for: 1s", text)
    text = re.sub(r"interval: \d+s", "interval: 1s", text)
    # The forecast is shortened as the window that it is made from; an age of minutes is one of seconds.
    text = text.replace("[30m], 3600)", "[30m], 20)").replace(") > 300", ") > 3")
    return re.sub(r"\[(\d+)m\]", lambda found: f"[{6 if int(found[1]) < 30 else 10}s]", text)


def panel_queries():
    """Every query of every panel and variable of the dashboards, filled in, but for those that read what only the
    kubelet measures (config/checks/metrics.yaml says what and why): these are the second set."""
    listed = yaml.safe_load((CONFIG / "checks/metrics.yaml").read_text())["cadvisor"]
    assert listed["why"]
    asked, cluster = set(), set()
    for path in sorted((CONFIG / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.match(r"label_values\((.*), (\w+)\)$", variable["definition"]).groups()
                found.append(f"count by ({label}) ({series})")
        for query in found:
            query = re.sub(r"\[(15m|1h)\]", "[6s]", query.replace("$__rate_interval", "6s"))
            foreign = any(name in query for name in listed["metrics"])
            (cluster if foreign else asked).add(re.sub(r"\$\w+", ".*", query))
    return asked, cluster


def alert_names():
    groups = yaml.safe_load((CONFIG / "alerts/gateway.rules.yaml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


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


class Watch:
    """Prometheus with our rules, quickened. It remembers which alerts fired and ended, and which of some queries never
    gave anything."""

    def __init__(self, folder, stack, scrapes, queries):
        self.left, self.all = set(queries), len(queries)
        self.fired, self.ended = set(), set()
        self.targets = folder / "gateways.json"
        files = []
        for path in sorted((CONFIG / "alerts").glob("*.rules.yaml")):
            files.append(folder / path.name)
            files[-1].write_text(quick(path.read_text()))
        gateways = {
            "job_name": "sluice",
            "file_sd_configs": [{"files": [str(self.targets)], "refresh_interval": "1s"}],
        }
        self.know(())
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in files],
            "scrape_configs": [gateways, *scrapes],
        }
        self.prometheus = Prometheus(folder, configuration=configuration)
        stack.callback(self.prometheus.stop)

    def know(self, ports):
        """The gateways' pages that discovery finds from now on."""
        groups = [
            {
                "targets": [f"{LOOPBACK}:{port}"],
                "labels": {"namespace": "platform-01", "pod": f"sluice-{number}"},
            }
            for number, port in enumerate(ports)
        ]
        new = self.targets.with_suffix(".new")
        new.write_text(json.dumps(groups))
        new.rename(self.targets)

    def firing(self):
        self.left = {query for query in self.left if not self.prometheus.query(query)}
        now = {labels["alertname"] for labels, _ in self.prometheus.query('ALERTS{alertstate="firing"}')}
        self.ended = (self.ended | (self.fired - now)) - now
        self.fired |= now
        return now

    def expect(self, *names):
        wait_until(lambda: set(names) <= self.firing(), lambda: f"{names} fire; {self.firing()} do", 120, 0.5)

    def expect_over(self, *names):
        wait_until(
            lambda: not set(names) & self.firing(), lambda: f"{names} end; {self.firing()} fire", 120, 0.5
        )

    def expect_calm(self):
        """The rules' minutes are seconds here: a slow start may look like a queue that grows."""
        wait_until(lambda: not self.firing(), lambda: f"all is well; {self.firing()} fire", 120, 0.5)

    def check(self, names):
        """Each alert fired and ended; each query gave something."""
        assert names <= self.fired, f"never fired: {names - self.fired}"
        # One may have fired again while others were staged.
        self.expect_over(*names)
        assert names <= self.ended, f"never ended: {names - self.ended}"
        assert not self.left, "panels that never showed anything: " + "\n".join(sorted(self.left))


class Cluster(Target):
    """A page as kube-state-metrics shows it: what containers may use, and how often they restarted."""

    def __init__(self, count):
        self.count = count
        super().__init__()
        self.show()

    def show(self, memory=8 << 30, cpu=4.0, restarts=0):
        lines = []
        for number in range(self.count):
            labels = f'namespace="platform-01",pod="sluice-{number}",container="sluice"'
            lines += [
                f'kube_pod_container_resource_limits{{{labels},resource="memory"}} {memory}',
                f'kube_pod_container_resource_limits{{{labels},resource="cpu"}} {cpu}',
                f"kube_pod_container_status_restarts_total{{{labels}}} {restarts}",
            ]
        self.page = "\n".join(lines) + "\n"

    def scrape(self):
        return {
            "job_name": "kube-state-metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [self.address]}],
        }


class Stage:
    """Three gateways, their backends, and what watches them."""

    def __init__(self, folder, stack):
        self.tempo, self.loki, self.cluster = Backend(), LokiBackend(), Cluster(3)
        for each in (self.tempo, self.loki, self.cluster):
            stack.callback(each.stop)
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
        pages = [f"{LOOPBACK}:{each.page}" for each in self.gateways]
        applications = {
            "job_name": "applications",
            "honor_labels": True,
            "static_configs": [{"targets": pages}],
        }
        backends = {
            "job_name": "platform",
            "static_configs": [
                {"targets": [self.cluster.address], "labels": {"app": "loki", "pod": "loki-0"}}
            ],
        }
        queries, _ = panel_queries()
        own = {query for query in queries if not OTHERS.search(query) or "queue_size" in query}
        self.watch = Watch(folder, stack, [applications, backends, self.cluster.scrape()], own)
        self.pages = [each.telemetry for each in self.gateways]
        self.watch.know(self.pages)


def test_every_alert_is_staged():
    """Without it a new alert is never seen to fire, or a query of a dashboard is in neither test."""
    assert OF_THREE | OF_OTHERS == alert_names() and not OF_THREE & OF_OTHERS
    asked, cluster = panel_queries()
    assert len(asked) > 80
    # The kubelet's: CPU and memory of the pods, the share of time that they were throttled.
    assert len(cluster) == 3, cluster


@one_load_at_a_time
def test_alerts_of_three_gateways_fire_and_end_and_panels_show_data(tmp_path, stack):
    """Without it an alert that never fires, or a panel that stays empty, is found during the outage it was made for."""
    stage = Stage(tmp_path, stack)
    watch = stage.watch
    steady = Traffic(stage.gateways, logs)
    stack.callback(steady.stop)
    spans = Traffic(stage.gateways, traces)
    stack.callback(spans.stop)
    count = itertools.count(1)
    points = Traffic(stage.gateways[:1], lambda: metrics(20 * next(count)), 0.2)
    stack.callback(lambda: points.stop())
    time.sleep(10)
    # The application is slow all the time, as the guide has it.
    wait_until(
        lambda: watch.firing() == {"HighLatency"}, lambda: f"all is well; {watch.firing()} fire", 120, 0.5
    )

    # An application answers with errors.
    points.stop()
    points = Traffic(stage.gateways[:1], lambda: metrics(20 * next(count), 5 * next(count)), 0.2)
    watch.expect("HighErrorRate", "HighLatency")

    # The backend is gone: queues fill, then requests are refused; nothing is sent.
    stage.tempo.stop()
    filling = ("SluiceQueueFilling", "SluiceQueueFullSoon", "SluicePendingNotFalling", "SluiceItemsRefused")
    watch.expect(*filling, "SluiceNothingSent")
    # Large requests to the gateway whose queue is in memory: its limiter refuses.
    large = Traffic(stage.gateways[2:], lambda: data.spans(200, padding=5000), 0.01)
    watch.expect("SluiceLimiterActive", "SluiceRequestsRefused")
    large.stop()
    stage.tempo.start()
    watch.expect_over(*filling, "SluiceNothingSent", "SluiceLimiterActive", "SluiceRequestsRefused")

    # The destination rejects for good.
    stage.tempo.answer = lambda request, context: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
    watch.expect("SluiceSendFailed", "SluiceSendFailing", "SluiceDeadLetters")
    stage.tempo.answer = None
    watch.expect_over("SluiceSendFailed", "SluiceSendFailing", "SluiceDeadLetters")

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
        watch.expect("SluiceUndecodable", "SluiceTooLarge")
    finally:
        broken.set()
        thread.join()
    watch.expect_over("SluiceUndecodable", "SluiceTooLarge")

    # A record is longer than Loki takes; two applications give one name to two kinds of metrics.
    long, twice = Traffic(stage.gateways[:1], lambda: logs("x" * 300_000), 0.2), Traffic(
        stage.gateways[:1], gauge, 0.2
    )
    watch.expect("SluiceLogsShortened", "SluiceSeriesDropped")
    long.stop()
    twice.stop()
    watch.expect_over("SluiceLogsShortened", "SluiceSeriesDropped")

    # What the cluster grants is nearly used up; a container restarts again and again.
    rss = max(each.gateway.resident_bytes() for each in stage.gateways)
    stage.cluster.show(memory=rss, cpu=0.001, restarts=5)
    watch.expect("SluiceMemoryNearLimit", "SluiceHighCPU", "SluiceRestarts")
    stage.cluster.show(restarts=5)
    watch.expect_over("SluiceMemoryNearLimit", "SluiceHighCPU", "SluiceRestarts")

    # One client sends everything to one gateway.
    heavy = Traffic(stage.gateways[:1], lambda: data.spans(100), 0.005)
    watch.expect("SluiceLopsidedLoad")
    heavy.stop()
    watch.expect_over("SluiceLopsidedLoad")

    # Two gateways are gone, and come back; then discovery finds none.
    for each in stage.gateways[1:]:
        each.stop()
    watch.expect("SluiceDown", "SluiceTooFewReplicas")
    for each in stage.gateways[1:]:
        each.start()
    watch.expect_over("SluiceDown", "SluiceTooFewReplicas")
    watch.know(())
    watch.expect("SluiceAbsent")
    watch.know(stage.pages)
    watch.expect_over("SluiceAbsent")
    watch.check(OF_THREE)


class AuditGateway:
    """A gateway with an audit log, a batch processor, two destinations for traces, and a target that it scrapes."""

    def __init__(self, folder, first, second, target, stamps):
        self.folder, self.log = folder, AuditLog(folder)
        self.telemetry = free_port()
        reader = {"pull": {"exporter": {"prometheus": {"host": LOOPBACK, "port": self.telemetry}}}}
        scrape = {"job_name": "odd", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        audit = {
            "origin": ORIGIN,
            "key_file": str(self.log.key),
            "sqlite": {"path": str(self.log.store)},
            "checkpoint_interval": "2s",
            "timestamp": {"endpoint": stamps, "folder": str(folder), "interval": "1s"},
        }
        traces_out = {
            "otlp_grpc/first": exporter(first, sending_queue={"enabled": True}),
            "otlp_grpc/second": exporter(second, sending_queue={"enabled": True, "queue_size": 2}),
        }
        self.configuration = {
            "receivers": {**otlp(), "prometheus": {"config": {"scrape_configs": [scrape]}}},
            "processors": {"memory_limiter": {"check_interval": "1s", "limit_mib": 512}, "batch": {}},
            "exporters": {"audit": audit, **traces_out},
            "service": {
                "telemetry": {"metrics": {"level": "detailed", "readers": [reader]}},
                "pipelines": {
                    "logs": {"receivers": ["otlp"], "exporters": ["audit"]},
                    "traces": {
                        "receivers": ["otlp"],
                        "processors": ["memory_limiter", "batch"],
                        "exporters": list(traces_out),
                    },
                    "metrics": {"receivers": ["prometheus"], "exporters": ["otlp_grpc/first"]},
                },
            },
        }
        self.start()

    def start(self):
        self.gateway = Gateway(self.folder, self.configuration)

    def stop(self):
        self.gateway.kill()

    @staticmethod
    def renamed(old, new):
        """What gives the checkpoints of a log to another one, which nobody may."""
        yield "DROP TRIGGER IF EXISTS audit_checkpoints_no_update"
        yield f"UPDATE audit_checkpoints SET note = replace(note, '{old}', '{new}')"


@one_load_at_a_time
def test_alerts_of_other_gateways_fire_and_end_and_panels_show_data(tmp_path, stack):
    """Without it nobody hears that the audit log was changed or stands still, or that a fan-out or a scrape loses data."""
    (tmp_path / "tsa").mkdir()
    first, second, target, stamps = Backend(), Backend(), Target(), TimestampService(tmp_path / "tsa")
    for each in (first, second, target, stamps):
        stack.callback(each.stop)
    gateway = AuditGateway(tmp_path, first, second, target.address, stamps.endpoint)
    stack.callback(gateway.stop)
    queries, _ = panel_queries()
    watch = Watch(tmp_path, stack, [], {query for query in queries if OTHERS.search(query)})
    watch.know([gateway.telemetry])
    # Three replicas would be more than this is about.
    alone = {"SluiceTooFewReplicas"}
    target.page = "work_total 1\n"
    spans = Traffic([gateway], lambda: data.spans(20), 0.02)
    stack.callback(spans.stop)
    audited = Traffic([gateway], lambda: events([uuid.uuid4()]), 0.05)
    stack.callback(lambda: audited.stop())
    time.sleep(10)
    wait_until(lambda: watch.firing() <= alone, lambda: f"all is well; {watch.firing()} fire", 120, 0.5)

    # Of two destinations one is gone, and its queue is full.
    second.stop()
    watch.expect("SluiceEnqueueFailed")
    second.start()
    watch.expect_over("SluiceEnqueueFailed")

    # A target shows one series twice.
    target.page = 'work_total{a="b"} 1\nwork_total{a="b"} 2\n'
    watch.expect("SluiceScrapeLosses")
    target.page = "work_total 3\n"
    watch.expect_over("SluiceScrapeLosses")

    # Somebody sends what is no audit event; the timestamping service refuses.
    wrong = Traffic([gateway], logs, 0.1)
    stamps.refuses = True
    watch.expect("SluiceAuditRejected", "SluiceAuditTimestampsFailing")
    wrong.stop()
    stamps.refuses = False
    watch.expect_over("SluiceAuditRejected", "SluiceAuditTimestampsFailing")

    # Somebody holds the log's file: no commit, no checkpoint.
    with contextlib.closing(sqlite3.connect(gateway.log.store, timeout=30)) as database:
        database.execute("BEGIN IMMEDIATE")
        watch.expect("SluiceAuditFailing", "SluiceAuditCheckpointOld")
        database.rollback()
    watch.expect_over("SluiceAuditFailing", "SluiceAuditCheckpointOld")

    # Somebody changes the log; the gateway finds it when it opens the store again.
    with contextlib.closing(sqlite3.connect(gateway.log.store, timeout=30)) as database:
        database.execute("BEGIN IMMEDIATE")
        watch.expect("SluiceAuditFailing")
        for each in AuditGateway.renamed("gateway-0", "gateway-9"):
            database.execute(each)
        database.commit()
    watch.expect("SluiceAuditChanged")
    # Put back, as from a replica. What was counted stays until the gateway starts anew.
    with contextlib.closing(sqlite3.connect(gateway.log.store, timeout=30)) as database:
        for each in AuditGateway.renamed("gateway-9", "gateway-0"):
            database.execute(each)
        database.commit()
    watch.expect_over("SluiceAuditFailing")
    assert "SluiceAuditChanged" in watch.firing()
    audited.stop()
    gateway.stop()
    gateway.start()
    audited = Traffic([gateway], lambda: events([uuid.uuid4()]), 0.05)
    watch.expect_over("SluiceAuditChanged")
    watch.check(OF_OTHERS)
