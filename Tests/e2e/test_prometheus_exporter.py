"""What applications measure can be read from the page for Prometheus, by any scraper, at any time."""

import collections
import concurrent.futures
import contextlib
import gzip
import http.client
import os
import socket
import threading
import time

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

import data
from client import raw_http
from conftest import MIB, config, one_load_at_a_time, otlp
from gateway import LOOPBACK, Balance, command, fetch, free_port, wait_until
from metrics import DELTA, PageGateway, counter, gauge, histogram, repeatedly, request
from prometheus import Page, Prometheus, lint

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TEXT = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
# What a scraper may be made to read: how the exporter and Prometheus are configured for it.
FORMATS = {
    "text": ({}, ()),
    "openmetrics": ({"enable_open_metrics": True}, ()),
    "protobuf": ({"enable_open_metrics": True}, ("native-histograms",)),
}
SHORT = 4
LONG = 600


@pytest.fixture
def served(gateway, clients):
    """Starts a gateway with a page."""
    return lambda **keys: PageGateway(gateway, clients, **keys)


@pytest.fixture
def prometheus(tmp_path, owned):
    def start(url, **options):
        started = Prometheus(tmp_path, url, **options)
        owned.callback(started.stop)
        return started

    return start


# What arrives


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_every_instrument_of_the_sdk(served, prometheus, owned, temporality):
    """If it failed, a user's numbers would be other numbers in Prometheus."""
    target = served(enable_open_metrics=True)
    is_delta = temporality == "delta"
    preference = {
        kind: AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
        for kind in (Counter, Histogram, ObservableCounter)
    }
    exporter = OTLPMetricExporter(
        endpoint=f"{LOOPBACK}:{target.running.grpc_port}", insecure=True, preferred_temporality=preference
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource({"service.name": "shop", "service.instance.id": "a-1", "host.name": "h"}),
        views=[View(instrument_name="work", aggregation=ExponentialBucketHistogramAggregation())],
    )
    owned.callback(provider.shutdown)
    meter = provider.get_meter("library", "1.2.3")
    orders = meter.create_counter("orders", unit="{order}", description="Orders.")
    sold = meter.create_counter("sold", unit="By", description="Sold.")
    queue = meter.create_up_down_counter("queue.length", description="Waiting.")
    latency = meter.create_histogram(
        "latency", unit="s", description="Time.", explicit_bucket_boundaries_advisory=[0.1, 1, 10]
    )
    work = meter.create_histogram("work", unit="s", description="Work.")
    level = meter.create_gauge("level", unit="1", description="Level.")
    observed = [3]
    meter.create_observable_counter(
        "seen", [lambda _: [Observation(observed[0], {"by": "eye"})]], description="Seen."
    )
    meter.create_observable_gauge("heat", [lambda _: [Observation(36.6)]], unit="Cel", description="Heat.")

    for attempt in range(3):
        orders.add(2, {"kind": "book"})
        orders.add(1, {"kind": "pen"})
        sold.add(0.5)
        queue.add(3)
        queue.add(-1)
        for value in (0.05, 0.5, 0.5, 50):
            latency.record(value, {"route": "/"})
            work.record(value)
        level.set(0.25 * attempt)
        observed[0] += 2
        assert provider.force_flush()

    page = target.page()
    assert page.value("orders_total", kind="book") == 6
    assert page.value("orders_total", kind="pen", job="shop", instance="a-1") == 3
    assert page.value("sold_bytes_total") == 1.5
    assert page.value("queue_length") == 6
    assert page.value("level_ratio") == 0.5
    assert page.value("heat_celsius") == 36.6
    assert page.value("seen_total", by="eye") == 9
    for bound, count in {"0.1": 3, "1": 9, "10": 9, "+Inf": 12}.items():
        assert page.value("latency_seconds_bucket", le=bound, route="/") == count, bound
    assert page.value("latency_seconds_count") == 12
    assert page.value("latency_seconds_sum") == pytest.approx(3 * 51.05)
    assert page.value("target_info", host_name="h", job="shop", instance="a-1") == 1
    assert page.types["orders_total"] == "counter" and page.types["latency_seconds"] == "histogram"
    assert page.types["queue_length"] == "gauge" and page.types["level_ratio"] == "gauge"
    scopes = page.find("queue_length", otel_scope_name="library", otel_scope_version="1.2.3")
    assert len(scopes) == 1
    assert lint(page.text) == ""

    scraper = prometheus(target.url, features=["native-histograms"])
    assert scraper.wait_for("histogram_count(work_seconds)") == 12
    assert scraper.value("histogram_sum(work_seconds)") == pytest.approx(3 * 51.05)
    # Half of the values are 0.5, and a bucket at the SDK's finest scale is narrow.
    assert scraper.value("histogram_quantile(0.5, work_seconds)") == pytest.approx(0.5, rel=0.05)
    assert scraper.value('orders_total{kind="book"}') == 6


STRATEGIES = {
    "UnderscoreEscapingWithSuffixes": ("http_requests_total", "size_bytes", "load_ratio", "http_method"),
    "UnderscoreEscapingWithoutSuffixes": ("http_requests", "size", "load", "http_method"),
    "NoUTF8EscapingWithSuffixes": ("http_requests_total", "size_bytes", "load_ratio", "http_method"),
    "NoTranslation": ("http_requests", "size", "load", "http_method"),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_names(served, strategy):
    """If it failed, dashboards made for a Collector would stay empty. A scraper that says nothing gets names
    that every Prometheus reads."""
    target = served(translation_strategy=strategy, namespace="ns", const_labels={"zone": "z"})
    target.send(
        counter("http.requests", 3, unit="{request}", **{"http.method": "GET"}),
        gauge("size", 4, unit="By"),
        gauge("load", 0.5, unit="1"),
    )
    page = target.page()
    requests, size, load, method = STRATEGIES[strategy]
    assert page.value("ns_" + requests, zone="z", job="shop", **{method: "GET"}) == 3
    assert page.value("ns_" + size) == 4
    assert page.value("ns_" + load) == 0.5


def test_names_in_utf8(served):
    """If it failed, names would not be what the configuration says, for those who can read them."""
    target = served(translation_strategy="NoTranslation")
    target.send(counter("http.requests", 3, **{"http.method": "GET"}))
    accept = TEXT.removesuffix("underscores")
    for escaping, name, label in [
        ("allow-utf-8", '{"http.requests"', '"http.method"="GET"'),
        ("underscores", "http_requests{", 'http_method="GET"'),
        ("dots", "http_dot_requests{", 'http_dot_method="GET"'),
        ("values", "U__http_2e_requests{", 'U__http_2e_method="GET"'),
    ]:
        status, headers, body = ask(target.port, accept=accept + escaping)
        lines = [line for line in body.decode().splitlines() if line.startswith(name)]
        assert status == 200 and len(lines) == 1 and label in lines[0], (escaping, body)
        assert headers["Content-Type"] == accept + escaping


def test_resource_attributes(served):
    """If it failed, a user could not tell series of several places from each other."""
    keys = {"resource_constant_labels": {"included": ["k8s.*"], "excluded": ["*.uid"]}}
    target = served(**keys)
    target.send(gauge("load", 1), **{"k8s.pod.name": "p", "k8s.pod.uid": "u", "host.name": "h"})
    labels = dict(next(iter(target.page().find("load"))))
    assert labels["k8s_pod_name"] == "p" and "k8s_pod_uid" not in labels and "host_name" not in labels


def test_data_of_all_kinds_does_not_break_the_page(served):
    """If it failed, one application with odd metrics would take the page from all others."""
    keys = {"enable_open_metrics": True, "send_timestamps": True}
    target = served(resource_to_telemetry_conversion={"enabled": True}, **keys)
    target.client.export(data.filled(request(), seed=1))
    target.send(gauge("good", 1), gauge("a.b", 1), gauge("a_b", 2), counter("good", 5), gauge("___", 1))
    target.send(gauge("x", 1, **{"a.b": "1", "a_b": "2", "le": "3", "job": "4", "__name__": "5", "": "6"}))
    for accept in (TEXT, OPEN_METRICS, PROTOBUF):
        assert ask(target.port, accept=accept)[0] == 200
    page = target.page()
    assert page.value("good") == 1
    labels = dict(next(iter(page.find("x"))))
    assert labels["a_b"] == "1;2"
    Balance(target.running, ["prometheus"], "metrics").check(target.running.metrics())


# Scrapers


def ask(port, target="/metrics", method="GET", timeout=20, **headers):
    """Status, header fields and body of an answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request(method, target, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_page_over_http(served):
    """If it failed, some scraper, probe or person with curl would not get the page."""
    target = served(enable_open_metrics=True)
    target.send(counter("orders", 1), gauge("load", 2), gauge("other", 3))
    status, headers, body = ask(target.port)
    assert (status, headers["Content-Type"]) == (200, TEXT)
    assert int(headers["Content-Length"]) == len(body)
    assert b"orders_total" in body and b"load" in body

    status, headers, _ = ask(target.port, method="HEAD")
    assert (status, headers["Content-Type"], int(headers["Content-Length"])) == (200, TEXT, len(body))
    status, headers, compressed = ask(target.port, accept_encoding="gzip")
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(compressed) == body

    status, headers, page = ask(target.port, accept=OPEN_METRICS)
    assert headers["Content-Type"] == OPEN_METRICS and page.endswith(b"# EOF\n")
    status, headers, page = ask(target.port, accept=PROTOBUF)
    assert headers["Content-Type"] == PROTOBUF and b"orders_total" in page

    only = Page(ask(target.port, "/metrics?name[]=load&name%5B%5D=other&name[]=nothing")[2].decode())
    assert only.names() == {"load", "other"}
    # A client may end its side of the connection and still gets its page.
    assert raw_http(target.port, b"GET /metrics HTTP/1.0\r\n\r\n").endswith(body)
    assert ask(target.port, "/metrics", "POST")[0] == 405
    assert ask(target.port, "/")[0] == 404

    closed = served()
    closed.send(gauge("load", 2))
    assert ask(closed.port, accept=OPEN_METRICS)[1]["Content-Type"] == TEXT


@one_load_at_a_time
@pytest.mark.parametrize("kind", FORMATS)
def test_prometheus_scrapes_under_load(served, prometheus, kind):
    """If it failed, metrics would have holes, and rates and quantiles would be wrong. With SLUICE_LONG=1 for
    ten minutes."""
    keys, features = FORMATS[kind]
    target = served(**keys)
    state = collections.Counter()
    lock = threading.Lock()

    def work():
        """In a tenth of a second: ten orders, and ten times of which half are up to 1 s, three up to 2 and two
        up to 4."""
        with lock:
            state["ticks"] += 1
            ticks = state["ticks"]
        target.send(
            counter("orders", 10 * ticks, unit="{order}", route="/"),
            histogram("latency", [1, 2, 4], [5 * ticks, 3 * ticks, 2 * ticks, 0], 13.0 * ticks, route="/"),
            gauge("load", 0.5, unit="1"),
        )

    def noise():
        target.send(*(counter(f"noise.{n}", time.time_ns() // 10**9, kind=str(n % 7)) for n in range(200)))

    with repeatedly(work, 0.1), repeatedly(noise, 0.05):
        scraper = prometheus(target.url, features=features)
        scraper.wait_for_scrapes(LONG if os.environ.get("SLUICE_LONG") else SHORT, LONG * 2)
        begin = state["ticks"], time.monotonic()
        scraper.wait_for_scrapes(5)
        pace = (state["ticks"] - begin[0]) / (time.monotonic() - begin[1])
        window = "[5s]"
        assert scraper.value(f"sum(rate(orders_total{window}))") == pytest.approx(10 * pace, rel=0.25)
        rates = f"sum by (le) (rate(latency_seconds_bucket{window}))"
        assert scraper.value(f"histogram_quantile(0.5, {rates})") == pytest.approx(1.0)
        assert scraper.value(f"histogram_quantile(0.8, {rates})") == pytest.approx(2.0)
        assert scraper.value(f"histogram_quantile(0.9, {rates})") == pytest.approx(3.0)
        mean = f"sum(rate(latency_seconds_sum{window})) / sum(rate(latency_seconds_count{window}))"
        assert scraper.value(mean) == pytest.approx(1.3)
        assert lint(target.page().text) == ""
    total, failed = scraper.scrapes()
    assert failed == 0 and total >= SHORT, scraper.log
    assert scraper.target()["lastError"] == ""
    assert "err" not in scraper.log


def test_exemplars_reach_prometheus(served, prometheus):
    """If it failed, nobody could jump from a slow request in a histogram to its trace."""
    target = served(enable_open_metrics=True)
    scraper = prometheus(target.url, features=["exemplar-storage"])

    def work():
        target.send(
            histogram("latency", [1, 2], [1, 1, 1], 4.5, exemplars=[(0.5, TRACE), (2.5, TRACE[::-1])]),
            counter("orders", 1, trace_id=TRACE),
        )

    def found(query):
        data = scraper.api("query_exemplars", query=query, start=time.time() - 60, end=time.time() + 60)
        return {
            (row["seriesLabels"].get("le"), one["labels"]["trace_id"], float(one["value"]))
            for row in data
            for one in row["exemplars"]
        }

    with repeatedly(work, 0.2):
        buckets = {("1.0", TRACE, 0.5), ("+Inf", TRACE[::-1], 2.5)}
        for query, right in {"latency_seconds_bucket": buckets, "orders_total": {(None, TRACE, 1.0)}}.items():
            wait_until(lambda: found(query) == right, lambda: found(query), 20)


@one_load_at_a_time
def test_ten_scrapers_at_once(served):
    """If it failed, a page would come out broken, or not at all, when several ask for it while it changes."""
    target = served(enable_open_metrics=True)
    for block in range(20):
        target.send(*(counter(f"family.{n}", block, series=str(block)) for n in range(100)))
    accepts = [(TEXT, ""), (OPEN_METRICS, ""), (PROTOBUF, ""), (TEXT, "gzip")]

    def scrape(number):
        accept, encoding = accepts[number % len(accepts)]
        status, headers, body = ask(target.port, accept=accept, accept_encoding=encoding)
        if encoding:
            body = gzip.decompress(body)
        if accept == TEXT:
            assert len(Page(body.decode()).find("family_7_total")) == 20
        return status, headers["Content-Type"] == accept

    with repeatedly(lambda: target.send(counter("tick", time.time_ns() // 10**6)), 0.001):
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            assert set(pool.map(scrape, range(200))) == {(200, True)}


@one_load_at_a_time
def test_a_slow_scraper_costs_nobody_else(served):
    """If it failed, one scraper that does not read would stop metrics for all, or take the memory."""
    target = served(write_timeout="4s")
    for block in range(60):
        target.send(*(counter(f"family.{n}", 1, series=f"{block}-{'x' * 200}") for n in range(500)))
    target.send(gauge("load", 1), service="")
    whole = len(ask(target.port)[2])
    assert whole > 8 * MIB
    target.running.forget_peak()
    before = target.running.resident_bytes()

    def connections():
        folder = f"/proc/{target.running.process.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            # Files come and go while they are counted.
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(f"{folder}/{name}").startswith("socket:")
        return count

    count = connections()
    slow = []
    for _ in range(40):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        sock.connect((LOOPBACK, target.port))
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
        slow.append(sock)
    for _ in range(5):
        status, _, body = ask(target.port)
        assert status == 200 and len(body) == whole
        target.send(gauge("load", 1), service="")
    # Those that ask while a page is written share it, and 16 are held at most.
    assert target.running.peak_bytes() - before < 18 * whole
    wait_until(lambda: connections() <= count, "the slow ones are cut off", 30)
    for sock in slow:
        sock.close()
    assert ask(target.port)[0] == 200


# Bounds


@one_load_at_a_time
def test_a_client_that_invents_label_values(served):
    """If it failed, one client with a careless label would fill the memory and take the page from all others.
    With SLUICE_LONG=1 for ten minutes."""
    target = served(max_series=5000, max_series_per_metric=2000)
    target.send(counter("orders", 1))

    def invent(number):
        metrics = counter("logins", 1)
        point = metrics.sum.data_points[0]
        for index in range(500):
            copy = metrics.sum.data_points.add()
            copy.CopyFrom(point)
            copy.attributes.add(key="user").value.string_value = f"user-{number}-{index}-{'x' * 50}"
        target.send(metrics)

    for number in range(20):
        invent(number)
    target.running.forget_peak()
    before = target.running.resident_bytes()
    number = 20
    deadline = time.monotonic() + (LONG if os.environ.get("SLUICE_LONG") else SHORT)
    with Balance(target.running, ["prometheus"], "metrics") as balance:
        while time.monotonic() < deadline:
            number += 1
            invent(number)
            target.send(counter("orders", number))
    assert target.running.peak_bytes() - before < 16 * MIB
    page = target.page()
    assert page.value("orders_total") == number
    assert len(page.find("logins_total")) == 2000
    own = target.running.metrics()
    # Each of the requests brought a point without a user, too, which is one series. Those of a user expire after five
    # minutes (metric_expiration) and make room for as many.
    dropped = own.sum("sluice_exporter_prometheus_over_limit_points", metric="logins_total")
    generations, rest = divmod(number * 500 - dropped, 1999)
    assert rest == 0 and 1 <= generations <= 3
    assert dropped == own.sum("sluice_exporter_prometheus_dropped_points", reason="max_series_per_metric")
    assert dropped == own.sum("otelcol_exporter_send_failed_metric_points", exporter="prometheus")
    assert "logins_total" in target.running.log
    assert balance.check(own) > 0


def test_series_that_are_not_updated_vanish_unscraped(served):
    """If it failed, a page that nobody scrapes would grow for ever, and old series would look alive."""
    target = served(metric_expiration="1s")
    target.send(*(counter(f"family.{n}", 1) for n in range(100)))
    name = "sluice_exporter_prometheus_series"
    assert target.running.metrics().sum(name) >= 100
    wait_until(lambda: target.running.metrics().sum(name) == 0, "no series", 20)
    assert target.page().samples == {}


def test_one_page_for_several_pipelines(gateway, clients):
    """If it failed, two pipelines to one exporter would fight for its port, or each show half."""
    port = free_port()
    exporters = {"prometheus": {"endpoint": f"{LOOPBACK}:{port}"}}
    configuration = config(exporters, {"batch": {"timeout": "10ms"}}, signals=["metrics"])
    pipelines = configuration["service"]["pipelines"]
    pipelines["metrics/second"] = {**pipelines["metrics"], "processors": []}
    running = gateway(configuration)
    clients.grpc(running).export(request(counter("orders", 4)))
    clients.http(running).export(request(counter("pens", 5)))
    both = {"orders_total", "pens_total"}
    wait_until(lambda: both <= Page(fetch(f"http://{LOOPBACK}:{port}/metrics")[1]).names(), "both metrics")
    # Each point goes both ways.
    sent = "otelcol_exporter_sent_metric_points"
    wait_until(lambda: running.metrics().sum(sent, exporter="prometheus") == 4, "sent")


def test_a_port_that_is_taken(gateway):
    """If it failed, a gateway could run without the page that it was started for."""
    with socket.create_server((LOOPBACK, free_port())) as other:
        endpoint = f"{LOOPBACK}:{other.getsockname()[1]}"
        running = gateway(config({"prometheus": {"endpoint": endpoint}}, signals=["metrics"]), is_ready=False)
        assert running.wait() == 1
    assert "exporters::prometheus::endpoint" in running.log and endpoint in running.log


def test_delta_counters_and_histograms_add_up(served):
    """If it failed, applications that report differences would show them as totals."""
    target = served()
    begin = time.time_ns() - 10**10
    times = [begin + n * 10**9 for n in range(5)]
    for start, end in zip(times, times[1:]):
        target.send(
            counter("orders", 3, temporality=DELTA, start_ns=start, time_ns=end),
            histogram("latency", [1], [1, 2], 5.0, temporality=DELTA, start_ns=start, time_ns=end),
        )
    page = target.page()
    assert page.value("orders_total") == 12
    assert page.value("latency_seconds_bucket", le="1") == 4 and page.value("latency_seconds_count") == 12
    failed = target.running.metrics().sum("otelcol_exporter_send_failed_metric_points")
    # The same interval again counts nothing.
    target.send(counter("orders", 3, temporality=DELTA, start_ns=times[2], time_ns=times[3]))
    assert target.page().value("orders_total") == 12
    assert target.running.metrics().sum("otelcol_exporter_send_failed_metric_points") == failed + 1


def test_pipelines_of_other_signals_are_refused(tmp_path):
    """If it failed, traces would end on a page for metrics, unseen."""
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {prometheus: {endpoint: \"localhost:0\"}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [prometheus]}}}\n"
    )
    done = command("validate", "--config", file)
    assert done.returncode == 1 and "prometheus" in done.stderr


def test_who_finds_the_page_finds_receivers_too(gateway):
    """If it failed, whoever waits for the page and then sends would be turned away now and then."""
    for _ in range(5):
        page, receiver = free_port(), free_port()
        running = gateway(
            config({"prometheus": {"endpoint": f"{LOOPBACK}:{page}"}}, signals=["metrics"],
                   receivers=otlp(http={"endpoint": f"{LOOPBACK}:{receiver}"})), is_ready=False)

        def opened(port):
            with socket.socket() as probe:
                return probe.connect_ex((LOOPBACK, port)) == 0

        wait_until(lambda: opened(page), lambda: running.log, interval=0.0005)
        assert opened(receiver), running.log
        running.stop()
