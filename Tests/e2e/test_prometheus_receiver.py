"""The prometheus receiver against real HTTP targets and a stand-in for the API server of Kubernetes."""

import json
import os
import re
import subprocess
import time

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from conftest import backends, config, exporter, otlp
from gateway import BINARY, LOOPBACK, Balance, command, fetch, free_port, in_pod, wait_until
from scraped import OPEN_METRICS, APIServer, Target, pod, points
from test_tls import certificates  # noqa: F401

PAGE = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200"} 7
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 2
latency_seconds_bucket{le="+Inf"} 6
latency_seconds_sum 4.5
latency_seconds_count 6
# TYPE temperature gauge
temperature 21.5
"""


@pytest.fixture
def target(owned):
    return backends(Target, owned)


def scraping(backend, *jobs, **service):
    """A gateway that scrapes several times a second and hands on at once."""
    jobs = [{"job_name": f"job{n or ''}", "scrape_interval": "100ms", **job} for n, job in enumerate(jobs)]
    receivers = {**otlp(), "prometheus": {"config": {"scrape_configs": jobs}}}
    exporters = {"otlp": exporter(backend)}
    return config(exporters, receivers=receivers, signals=("metrics",), **service)


def static(*targets, **labels):
    return {"static_configs": [{"targets": [t.address for t in targets], "labels": labels}]}


def seen(backend, name, count=1, **labels):
    """Waits for values of a metric; returns them."""

    def values():
        found = [p for p in points(backend, name, **labels) if not p.is_stale]
        return found if len(found) >= count else None

    return wait_until(values, f"{count} values of {name}")


def stale(backend, name, **labels):
    """Waits for the word that a series has ended."""
    return wait_until(
        lambda: [p for p in points(backend, name, **labels) if p.is_stale], f"the end of {name}"
    )


def test_a_page_arrives_as_metrics(gateway, backend, target):
    page, destination = target(PAGE), backend()
    running = gateway(scraping(destination, static(page, env="prod")))
    first, second = seen(destination, "requests_total", 2)[:2]
    assert first.kind == "sum" and first.value == 7 and first.labels == {"code": "200", "env": "prod"}
    assert first.resource["service.name"] == "job"
    assert first.resource["service.instance.id"] == page.address
    assert first.resource["server.port"] == str(page.port) and first.resource["url.scheme"] == "http"
    assert first.point.start_time_unix_nano == first.point.time_unix_nano
    assert second.point.start_time_unix_nano == first.point.start_time_unix_nano
    assert second.point.time_unix_nano > first.point.time_unix_nano
    latency = seen(destination, "latency_seconds")[0].point
    assert (list(latency.bucket_counts), list(latency.explicit_bounds)) == ([2, 4], [0.1])
    assert (latency.count, latency.sum) == (6, 4.5)
    assert seen(destination, "temperature")[0].value == 21.5
    assert seen(destination, "up")[0].value == 1
    assert seen(destination, "scrape_samples_scraped")[0].value == 6
    assert seen(destination, "scrape_series_added")[0].value == 6
    path, headers = page.requests[0]
    assert path == "/metrics" and "openmetrics" in headers["Accept"]
    assert headers["User-Agent"].startswith("sluice/")
    assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "0.1"
    running.stop()


def test_an_outage_shows_and_ends(gateway, backend, target):
    page, destination = target(PAGE), backend()
    running = gateway(scraping(destination, static(page)))
    start = seen(destination, "requests_total")[0].point.start_time_unix_nano
    page.stop()
    stale(destination, "requests_total")
    wait_until(lambda: [p for p in points(destination, "up") if p.value == 0], "up 0")
    assert "the target is down" in running.log
    destination.clear()
    target(PAGE.replace("} 7", "} 9"), port=page.port)
    back = seen(destination, "requests_total")[0]
    assert back.value == 9 and back.point.start_time_unix_nano == start
    wait_until(lambda: "is up again" in running.log, "the end of the outage in the log")


def test_a_large_target(gateway, backend, target):
    """More series than the event loop handles itself arrive whole and end whole, and nobody else waits for them."""
    large = target("".join(f'large{{n="{n}"}} {n}\n' for n in range(12_000)))
    small, destination = target(PAGE), backend()
    job = {"scrape_interval": "2s", "scrape_timeout": "2s"}
    running = gateway(scraping(destination, {**static(large), **job}, static(small)))
    values = {p.value for p in seen(destination, "large", 12_000)}
    assert values == set(range(12_000))
    large.page = "other 1\n"
    seen(destination, "other")
    ended = wait_until(
        lambda: {p.labels["n"] for p in points(destination, "large") if p.is_stale} or None, "the end of them"
    )
    assert len(ended) == 12_000
    seen(destination, "requests_total", 10)
    running.stop()


def test_series_take_their_share_of_memory(gateway, backend, target):
    """A target that invents series is down before it has taken the memory of everybody."""
    large = target("".join(f'large{{n="{n}",x="{"x" * 200}"}} {n}\n' for n in range(60_000)))
    small, destination = target(PAGE), backend()
    job = {"scrape_interval": "2s", "scrape_timeout": "2s"}
    jobs = [
        {"job_name": "large", **static(large), **job},
        {"job_name": "small", "scrape_interval": "100ms", **static(small)},
    ]
    running = gateway(
        config(
            {"otlp": exporter(destination)},
            processors={"memory_limiter": {"check_interval": "1s", "limit_mib": 100}},
            receivers={**otlp(), "prometheus": {"config": {"scrape_configs": jobs}}},
            signals=("metrics",),
        )
    )
    wait_until(
        lambda: "more than a quarter of what memory_limiter has free" in running.log,
        lambda: f"a failed scrape in\n{running.log}",
    )
    assert not points(destination, "large")
    seen(destination, "requests_total")


@pytest.mark.parametrize(
    "page, status, problem",
    [
        (PAGE + "broken{ 1\n", 200, "line 11: the labels do not end with }"),
        (PAGE, 503, "HTTP status 503"),
        ("x" * 20_000, 200, "body_size_limit"),
        ("".join(f"a{n} 1\n" for n in range(50)), 200, "sample_limit 40"),
    ],
)
def test_a_page_that_cannot_be_taken_is_down(gateway, backend, target, page, status, problem):
    bad, good, destination = target(page), target(PAGE), backend()
    bad.status = status
    limits = {"body_size_limit": "10KB", "sample_limit": 40}
    running = gateway(scraping(destination, {**static(bad, good), **limits}))
    wait_until(lambda: problem in running.log, lambda: f"{problem!r} in\n{running.log}")
    down = wait_until(lambda: [p for p in points(destination, "up") if p.value == 0], "up 0")
    assert down[0].resource["service.instance.id"] == bad.address
    assert {p.resource["service.instance.id"] for p in points(destination, "requests_total")} <= {good.address}
    seen(destination, "requests_total")


def test_formats_compression_and_exemplars(gateway, backend, target):
    page, destination = target(content_type=OPEN_METRICS), backend()
    page.compresses = True
    page.page = """\
# TYPE jobs counter
jobs_total 3 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"} 1 1700000000
jobs_created 1600000000
# TYPE size_bytes gauge
# UNIT size_bytes bytes
size_bytes 9
# EOF
"""
    gateway(scraping(destination, static(page)))
    jobs = seen(destination, "jobs_total")[0].point
    assert jobs.start_time_unix_nano == 1_600_000_000 * 10**9
    assert jobs.exemplars[0].trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert jobs.exemplars[0].span_id.hex() == "00f067aa0ba902b7"
    assert seen(destination, "size_bytes")[0].unit == "By"


def test_credentials_headers_and_redirects(gateway, backend, target, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret-1\n")
    basic, bearer, moved, destination = target(PAGE), target(PAGE), target(PAGE), backend()
    basic.authorization = "Basic dXNlcjpwYXNz"
    bearer.authorization = "Bearer secret-1"
    moved.redirect = f"http://{bearer.address}/elsewhere?x=1"
    running = gateway(
        scraping(
            destination,
            {**static(basic), "basic_auth": {"username": "user", "password": "pass"}},
            {
                **static(bearer),
                "authorization": {"credentials_file": str(token)},
                "metrics_path": "/m",
                "params": {"a": ["b c"]},
                "http_headers": {"X-Tenant": {"values": ["t"]}},
            },
            {**static(moved), "authorization": {"credentials": "for-the-first-host"}},
        )
    )
    for job in ("job", "job1"):
        wait_until(
            lambda: [p for p in points(destination, "up") if p.value == 1 and p.resource["service.name"] == job], job
        )
    headers = next(headers for path, headers in bearer.requests if path == "/m?a=b%20c")
    assert headers["X-Tenant"] == "t"
    # The other host is asked, and is not told the secret of the first.
    elsewhere = wait_until(lambda: [r for r in bearer.requests if r[0] == "/elsewhere?x=1"], "the redirect")
    assert "Authorization" not in elsewhere[0][1]
    # A new token is used without a restart.
    token.write_text("secret-2")
    bearer.authorization = "Bearer secret-2"
    count = len([p for p in points(destination, "requests_total") if p.resource["service.name"] == "job1"])
    wait_until(
        lambda: len([p for p in points(destination, "requests_total") if p.resource["service.name"] == "job1"])
        > count + 3,
        "scrapes with the new token",
    )
    assert "secret" not in running.log


def test_relabelling(gateway, backend, target):
    page, destination = target(PAGE), backend()
    job = {
        "static_configs": [{"targets": ["nowhere:1", "dropped:2"]}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "regex": "dropped.*", "action": "drop"},
            {"source_labels": ["__address__"], "regex": "(.*):.*", "target_label": "name", "replacement": "$$1!"},
            {"target_label": "__address__", "replacement": page.address},
        ],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "temp.*", "action": "drop"},
            {"regex": "code", "replacement": "status", "action": "labelmap"},
            {"regex": "code", "action": "labeldrop"},
        ],
    }
    gateway(scraping(destination, job))
    found = seen(destination, "requests_total")[0]
    assert found.labels == {"status": "200", "name": "nowhere!"}
    assert not points(destination, "temperature")
    assert seen(destination, "scrape_samples_post_metric_relabeling")[0].value == 5


def test_targets_from_files(gateway, backend, target, tmp_path):
    one, two, destination = target("one 1\n"), target("two 2\n"), backend()
    file = tmp_path / "targets.json"
    file.write_text(json.dumps([{"targets": [one.address], "labels": {"env": "a"}}]))
    job = {"file_sd_configs": [{"files": [str(tmp_path / "*.json")], "refresh_interval": "100ms"}]}
    running = gateway(scraping(destination, job))
    assert seen(destination, "one")[0].labels == {"env": "a"}
    file.write_text("[{")
    wait_until(lambda: "Target file cannot be used" in running.log, "the broken file in the log")
    destination.clear()
    seen(destination, "one", 3)
    file.write_text(json.dumps([{"targets": [two.address]}]))
    seen(destination, "two")
    stale(destination, "one")
    file.unlink()
    stale(destination, "two")
    assert running.metrics().sum("sluice_receiver_prometheus_targets") == 0


def test_pods_of_kubernetes(gateway, backend, owned, target, tmp_path):
    token = tmp_path / "token"
    token.write_text("k8s")
    pages = [target(f"from_{n} {n}\n") for n in range(5)]

    def one(n, **annotations):
        return pod(f"pod-{n}", LOOPBACK, port=pages[n].port, **{"scrape": "true", **annotations})

    server = backends(APIServer, owned)("k8s", [one(0), one(1), one(2), one(3, scrape="false")])
    destination = backend()
    job = {
        "kubernetes_sd_configs": [
            {
                "role": "pod",
                "api_server": f"http://{server.address}",
                "namespaces": {"names": ["shop"]},
                "authorization": {"credentials_file": str(token)},
                "selectors": [{"role": "pod", "label": "app in (a, b)"}],
            }
        ],
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"], "regex": "true", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }
    running = gateway(scraping(destination, job))
    for n in range(3):
        assert seen(destination, f"from_{n}")[0].labels == {"pod": f"pod-{n}"}
    assert len(server.lists) == 2 and server.lists[1]["continue"] == "2"
    assert server.lists[0]["labelSelector"] == "app in (a, b)"
    wait_until(lambda: len(server.watches) == 1, "a watch")
    assert server.watches[0]["resourceVersion"] == "104"

    server.change("ADDED", one(4))
    seen(destination, "from_4")
    server.change("MODIFIED", one(3))
    seen(destination, "from_3")
    server.change("DELETED", one(0))
    stale(destination, "from_0")

    # A watch that ends goes on from the last version, which a bookmark may have told.
    server.bookmark()
    server.end_watches()
    wait_until(lambda: len(server.watches) == 2, "another watch")
    assert server.watches[1]["resourceVersion"] == "108" and len(server.lists) == 2

    # What happened while nobody watched comes with a new list.
    del server.pods["pod-1"]
    server.expire()
    stale(destination, "from_1")
    wait_until(lambda: len(server.lists) > 2, "a new list")

    # The server goes: the targets stay.
    server.stop()
    destination.clear()
    seen(destination, "from_2", 3)
    assert "403" not in running.log


def test_inside_a_cluster(gateway, backend, owned, target, certificates, tmp_path):
    """If it failed, a gateway in a cluster would find no pods, or none any more once its token was renewed."""
    launcher = in_pod(tmp_path)
    if launcher is None:
        pytest.skip("mount namespaces are not allowed here")
    files = {"token": "first\n", "namespace": "shop", "ca.crt": open(certificates.ca).read()}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    pages = [target(f"from_{n} {n}\n") for n in range(2)]
    pods = [pod(f"pod-{n}", LOOPBACK, port=page.port) for n, page in enumerate(pages)]
    identity = (certificates.server, certificates.server_key)
    server = backends(APIServer, owned)("first", pods[:1], certificate=identity)
    job = {"kubernetes_sd_configs": [{"role": "pod", "namespaces": {"own_namespace": True}}]}
    env = {"KUBERNETES_SERVICE_HOST": LOOPBACK, "KUBERNETES_SERVICE_PORT": str(server.port)}
    destination = backend()
    running = gateway(scraping(destination, job), env=env, launcher=launcher)
    seen(destination, "from_0")

    # Tokens live for an hour: the next request needs the one that is there then.
    wait_until(lambda: server.watches, "a watch")
    server.token = "second"
    server.end_watches()
    wait_until(lambda: server.refusals, "a refusal of the old token")
    (tmp_path / "token").write_text("second\n")
    wait_until(lambda: len(server.watches) == 2, "a watch with the new token")
    server.change("ADDED", pods[1])
    seen(destination, "from_1")
    assert "the token is not accepted" in running.log

    # An authority that did not sign the server's certificate: the token goes to nobody.
    (tmp_path / "ca.crt").write_text(open(certificates.other).read())
    before = server.refusals
    running = gateway(scraping(destination, job), env=env, launcher=launcher)
    wait_until(lambda: "Kubernetes cannot be asked" in running.log, "a complaint")
    assert server.refusals == before and len(server.watches) == 2


def test_the_gateway_scrapes_itself(gateway, backend):
    port, destination = free_port(), backend()
    reader = {"pull": {"exporter": {"prometheus": {"host": LOOPBACK, "port": port}}}}
    configuration = scraping(
        destination,
        {"static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]},
        telemetry={"metrics": {"readers": [reader]}},
    )
    running = gateway(configuration)
    running.metrics_port = port
    with Balance(running, ["otlp"], "metrics"):
        values = seen(destination, "otelcol_receiver_accepted_metric_points", 4, transport="http")
    assert values[-1].value > values[0].value and values[0].kind == "sum"
    running.stop()


def test_what_the_pipelines_refuse_is_counted(gateway, backend, target):
    page, destination = target("".join(f'many{{n="{n}"}} {n}\n' for n in range(500))), backend()
    destination.stop()
    configuration = scraping(destination, static(page))
    configuration["exporters"]["otlp"]["sending_queue"] = {"queue_size": 2}
    running = gateway(configuration)
    wait_until(
        lambda: running.metrics().sum("otelcol_receiver_refused_metric_points") > 0, "refused points"
    )
    assert running.metrics().sum("otelcol_receiver_accepted_metric_points") > 0
    running.kill()


def test_bad_configuration_is_shown_with_its_place(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text(
        """\
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: a
          scrape_interval: 10
          consul_sd_configs: [{server: x}]
          static_configs: [{targets: ['http://a']}]
exporters: {nop: }
service: {pipelines: {metrics: {receivers: [prometheus], exporters: [nop]}}}
"""
    )
    result = command("validate", "--config", file)
    assert result.returncode == 1
    for line, text in [(6, "is not a valid duration"), (7, "file_sd_configs"), (8, "is not a valid address")]:
        assert re.search(rf"gateway.yaml:{line}:\d+: error: .*{text}", result.stderr + result.stdout)


def test_tls(gateway, backend, target, certificates):
    page, destination = target(PAGE, certificate=(certificates.server, certificates.server_key)), backend()
    jobs = [
        {**static(page), "scheme": "https", "tls_config": {"ca_file": certificates.ca}},
        {**static(page), "scheme": "https", "tls_config": {"ca_file": certificates.other}},
    ]
    running = gateway(scraping(destination, *jobs))
    assert seen(destination, "requests_total")[0].resource["url.scheme"] == "https"
    down = wait_until(lambda: [p for p in points(destination, "up") if p.value == 0], "a target that is not trusted")
    assert {p.resource["service.name"] for p in down} == {"job1"}
    assert {p.resource["service.name"] for p in points(destination, "requests_total")} == {"job"}
    assert "TLS" in running.log


@pytest.mark.parametrize("protocol", ["PrometheusProto", "OpenMetricsText1.0.0", "PrometheusText0.0.4"])
def test_what_the_prometheus_exporter_shows_comes_back(gateway, backend, clients, protocol):
    """From OTLP to a page and from the page to OTLP, in every format: the same values, and the same starts."""
    port, destination = free_port(), backend()
    job = {
        "scrape_protocols": [protocol],
        "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}],
        "honor_labels": True,
    }
    configuration = scraping(destination, job)
    page = {"endpoint": f"{LOOPBACK}:{port}", "enable_open_metrics": True, "enable_created_samples": True}
    configuration["exporters"]["prometheus"] = page
    configuration["service"]["pipelines"] = {
        "metrics/in": {"receivers": ["otlp"], "exporters": ["prometheus"]},
        "metrics/out": {"receivers": ["prometheus"], "exporters": ["otlp"]},
    }
    running = gateway(configuration)
    now = time.time_ns()
    start = now // 10**9 * 10**9 - 60 * 10**9
    times = {"start_time_unix_nano": start, "time_unix_nano": now}
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", "i-1"), ("zone", "z")):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_metrics.add()
    scope.scope.name = "lib"
    total = scope.metrics.add(name="orders", unit="1").sum
    total.aggregation_temporality, total.is_monotonic = 2, True
    total.data_points.add(as_int=7, **times).attributes.add(key="kind").value.string_value = "new"
    duration = scope.metrics.add(name="duration", unit="s").histogram
    duration.aggregation_temporality = 2
    duration.data_points.add(count=6, sum=4.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.1, 1], **times)
    sizes = scope.metrics.add(name="sizes", unit="By").exponential_histogram
    sizes.aggregation_temporality = 2
    point = sizes.data_points.add(count=9, sum=33.0, scale=2, zero_count=1, **times)
    point.positive.offset = -3
    point.positive.bucket_counts.extend([1, 0, 0, 5, 2])
    clients.grpc(running).export(request)

    orders = seen(destination, "orders_total", kind="new")[0]
    assert orders.value == 7 and orders.kind == "sum" and orders.scope == "lib"
    assert orders.resource["service.name"] == "shop" and orders.resource["service.instance.id"] == "i-1"
    back = seen(destination, "duration_seconds")[0].point
    assert (back.count, back.sum) == (6, 4.5)
    assert (list(back.bucket_counts), list(back.explicit_bounds)) == ([1, 2, 3], [0.1, 1.0])
    if protocol != "PrometheusText0.0.4":
        assert orders.point.start_time_unix_nano == start and back.start_time_unix_nano == start
    if protocol == "PrometheusProto":
        native = seen(destination, "sizes_bytes")[0]
        assert native.kind == "exponential_histogram"
        assert (native.point.count, native.point.sum, native.point.scale) == (9, 33.0, 2)
        assert native.point.zero_count == 1 and native.point.positive.offset == -3
        assert list(native.point.positive.bucket_counts) == [1, 0, 0, 5, 2]


PLATFORM = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
      http:
        endpoint: 0.0.0.0:4318
  prometheus:
    config:
      scrape_configs:
      - job_name: 'otel-collector'
        scrape_interval: 10s
        static_configs:
        - targets: ['localhost:8888']

processors:
  batch:
    send_batch_size: 1024
    timeout: 10s
  memory_limiter:
    check_interval: 1s
    limit_mib: 512

exporters:
  prometheus:
    endpoint: "0.0.0.0:8889"
  otlp:
    endpoint: tempo:4317
    tls:
      insecure: true
  logging:
    loglevel: debug

service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlp, logging]
    metrics:
      receivers: [otlp, prometheus]
      processors: [memory_limiter, batch]
      exporters: [prometheus]
"""


def test_a_collector_s_configuration_runs_unchanged(tmp_path, owned):
    """Own metrics, scraped by the gateway itself, are on the page that Prometheus scrapes; only ports are others here."""
    file = tmp_path / "collector.yaml"
    file.write_text(PLATFORM)
    result = command("validate", "--config", file)
    assert result.returncode == 0, result.stderr + result.stdout
    own, page = free_port(), free_port()
    text = PLATFORM.replace("8888", str(own)).replace("0.0.0.0:8889", f"{LOOPBACK}:{page}")
    for port in ("4317", "4318"):
        text = text.replace(f"0.0.0.0:{port}", f"{LOOPBACK}:{free_port()}")
    text = text.replace("scrape_interval: 10s", "scrape_interval: 1s").replace("timeout: 10s", "timeout: 1s")
    reader = json.dumps({"pull": {"exporter": {"prometheus": {"host": LOOPBACK, "port": own}}}})
    file.write_text(text + f"  telemetry: {{metrics: {{readers: [{reader}]}}}}\n")
    process = subprocess.Popen(
        [BINARY, "run", "--config", str(file), "--health-endpoint", ""],
        stderr=subprocess.PIPE,
        env=dict(os.environ, SWIFT_BACKTRACE="enable=no"),
    )
    owned.callback(process.kill)

    def shown():
        try:
            return "otelcol_process_uptime" in fetch(f"http://{LOOPBACK}:{page}/metrics")[1]
        except OSError:
            return False

    wait_until(shown, "own metrics on the page")
    status, text = fetch(f"http://{LOOPBACK}:{page}/metrics")
    assert status == 200 and re.search(r'^up\{.*job="otel-collector".*\} 1$', text, re.MULTILINE)
    process.terminate()
    assert process.wait(30) == 0, process.stderr.read()
