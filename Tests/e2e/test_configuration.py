"""What is wrong with a configuration is said, all of it, with its place; what is right is used."""

import http.server
import json
import threading

import pytest

import data
from conftest import MIB, config, exporter
from gateway import LOOPBACK, ROOT, command, fetch, free_port, wait_until

GOOD = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: 512
  batch:
    timeout: 1s
exporters:
  otlp:
    endpoint: tempo:4317
    tls:
      insecure: true
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlp]
"""

# What is replaced in the good file, by what, where the message points (in the file's own lines), and its
# words.
BROKEN = {
    "misspelt key": ("limit_mib", "limit_mb", 9, "limit_mib"),
    "misspelt section": ("processors:\n  memory", "procesors:\n  memory", 6, "processors"),
    "misspelt component": ("  batch:\n", "  batcher:\n", 10, "batch"),
    "misspelt signal": ("    traces:\n", "    trace:\n", 19, "traces"),
    "unknown component": ("  batch:\n", "  shuffler:\n", 10, "shuffler"),
    "number without a unit": ("timeout: 1s", "timeout: 1", 11, "1s"),
    "unknown unit": ("timeout: 1s", "timeout: 1 fortnight", 11, "timeout"),
    "text for a number": ("limit_mib: 512", "limit_mib: lots", 9, "lots"),
    "negative number": ("limit_mib: 512", "limit_mib: -5", 9, "-5"),
    "zero where more is needed": ("check_interval: 1s", "check_interval: 0s", 8, "greater than zero"),
    "text for true": ("insecure: true", "insecure: yep", 16, "yep"),
    "no endpoint": ("    endpoint: tempo:4317\n", "", 13, "endpoint"),
    "no port": ("endpoint: tempo:4317", "endpoint: tempo", 14, "tempo"),
    "port too large": ("tempo:4317", "tempo:70000", 14, "70000"),
    "unknown compression": ("    tls:\n", "    compression: rar\n    tls:\n", 15, "rar"),
    "a list for a section": ("  batch:\n    timeout: 1s\n", "  batch: [1]\n", 10, "batch"),
    "reference to nothing": ("exporters: [otlp]", "exporters: [otlp, tempo]", 22, "tempo"),
    "the same processor twice": ("[memory_limiter, batch]", "[batch, batch]", 21, "batch"),
    "no receiver": ("      receivers: [otlp]\n", "      receivers: []\n", 19, "receiver"),
    "no pipelines": (
        "  pipelines:\n    traces:\n      receivers: [otlp]\n      processors: [memory_limiter, batch]\n"
        "      exporters: [otlp]\n",
        "  pipelines: {}\n",
        17,
        "pipeline",
    ),
    "a key twice": ("    limit_mib: 512\n", "    limit_mib: 512\n    limit_mib: 256\n", 10, "limit_mib"),
    "a tab": ("    limit_mib", "\tlimit_mib", 9, ""),
    "an open bracket": ("[memory_limiter, batch]", "[memory_limiter, batch", 22, ""),
    "an open quote": ("timeout: 1s", 'timeout: "1s', 22, ""),
    "variable without a name": ("tempo:4317", "${env:}", 14, "env"),
    "maximum below the size": (
        "    timeout: 1s\n",
        "    send_batch_size: 9\n    send_batch_max_size: 8\n",
        12,
        "send_batch_max_size",
    ),
}


def validate(tmp_path, text, *arguments, env=None):
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    return command("validate", "--config", file, *arguments, env=env)


def test_the_good_file_is_good(tmp_path):
    """If it failed, a user could not start at all."""
    result = validate(tmp_path, GOOD)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda file: file.name)
def test_the_files_that_come_with_it_are_good(file):
    """If it failed, the first thing that a user tries would not work."""
    result = command("validate", "--config", file)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained(tmp_path, name):
    """If it failed, a user would search a long file for a fault that nobody points at."""
    old, new, line, words = BROKEN[name]
    assert GOOD.count(old) == 1
    result = validate(tmp_path, GOOD.replace(old, new))
    assert result.returncode == 1
    errors = [text for text in result.stderr.splitlines() if ": error: " in text]
    places = [text.split(": error: ")[0].rsplit(":", 2)[1:] for text in errors]
    assert [line] in [[int(place[0])] for place in places], result.stderr
    assert all(int(column) > 0 for _, column in places)
    assert words in result.stderr
    # The line itself, with a marker below it.
    assert f"   {line} | " in result.stderr
    assert "^" in result.stderr


def test_a_missing_certificate_stops_a_start_only(tmp_path):
    """If it failed, a configuration could only be checked where its secrets are, or a gateway would start without them."""
    text = GOOD.replace("      insecure: true\n", "      ca_file: /nowhere\n")
    checked = validate(tmp_path, text)
    assert checked.returncode == 0
    assert 'warning: exporters::otlp::tls::ca_file: cannot read "/nowhere"' in checked.stderr
    started = command("run", "--config", tmp_path / "gateway.yaml")
    assert started.returncode == 1
    assert 'error: exporters::otlp::tls::ca_file: cannot read "/nowhere"' in started.stderr


def test_all_faults_are_shown(tmp_path):
    """If it failed, a user would mend one fault, only to be told of the next."""
    text = GOOD
    for name in ("misspelt key", "number without a unit", "no port", "reference to nothing"):
        text = text.replace(*BROKEN[name][:2])
    result = validate(tmp_path, text)
    assert result.returncode == 1
    lines = [int(text.split(":")[1]) for text in result.stderr.splitlines() if ": error: " in text]
    assert set(lines) >= {9, 11, 14, 22}
    assert lines == sorted(lines)


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
        - job_name: gateway
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


def test_what_is_not_built_yet_is_named(tmp_path):
    """If it failed, a user who brings a Collector's file would not learn what is missing, or would think it
    all is."""
    result = validate(tmp_path, PLATFORM.replace("  prometheus:\n    config", "  tcplog:\n    config"))
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if ": error: " in line]
    assert len(errors) == 2, result.stderr
    assert ':8:3: error: receivers: receiver "tcplog" is not built' in errors[0]
    assert 'references receiver "prometheus" which is not configured' in errors[1]


def test_the_platforms_file_runs_as_it_is(gateway, backend, clients):
    """If it failed, a Collector could not be swapped for the gateway by changing the binary."""
    tempo = backend()
    page, own = free_port(), free_port()

    def platform(grpc_port, http_port):
        # Nothing but addresses is changed: tests run beside each other.
        return (
            PLATFORM.replace("0.0.0.0:4317", f"{LOOPBACK}:{grpc_port}")
            .replace("0.0.0.0:4318", f"{LOOPBACK}:{http_port}")
            .replace("0.0.0.0:8889", f"{LOOPBACK}:{page}")
            .replace("localhost:8888", f"{LOOPBACK}:{own}")
            .replace("tempo:4317", tempo.endpoint)
            .replace("scrape_interval: 10s", "scrape_interval: 1s")
            .replace("timeout: 10s", "timeout: 1s")
        )

    reader = {"pull": {"exporter": {"prometheus": {"host": LOOPBACK, "port": own}}}}
    running = gateway(platform, "--set", f"service.telemetry.metrics.readers={json.dumps([reader])}")
    assert '"logging" is deprecated' in running.log
    client = clients.grpc(running)
    for number in range(11):
        client.export(data.spans(100, first=100 * number))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 1100, "the spans")
    wait_until(
        lambda: 'job="gateway"' in (text := fetch(f"http://{LOOPBACK}:{page}/metrics")[1])
        and "otelcol_receiver_accepted_spans" in text,
        "its own metrics, scraped, on its page",
    )


def test_environment_variables(gateway, backend, clients, tmp_path):
    """If it failed, one file could not serve several environments."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter("${env:HOST}:${env:PORT:-1}", headers={"x-literal": "$${env:HOST}"})},
            {"batch": {"timeout": "${env:BATCH_TIMEOUT:-20ms}", "send_batch_size": "${env:SIZE}"}},
        ),
        env={"HOST": LOOPBACK, "PORT": str(tempo.port), "SIZE": "7"},
    )
    clients.grpc(running).export(data.spans(7))
    wait_until(lambda: tempo.received(), "the spans")
    result = validate(tmp_path, GOOD.replace("tempo:4317", "${env:NOWHERE_TO_BE_FOUND}"))
    assert result.returncode == 1
    assert "NOWHERE_TO_BE_FOUND" in result.stderr


def test_values_of_the_command_line_and_several_files(tmp_path):
    """If it failed, a user would have to copy a file to change one value of it."""
    assert validate(tmp_path, GOOD, "--set", "processors.batch.timeout=5s").returncode == 0
    wrong = validate(tmp_path, GOOD, "--set", "processors.batch.timeout=five")
    assert wrong.returncode == 1
    assert "five" in wrong.stderr
    mended = validate(
        tmp_path,
        GOOD.replace("limit_mib: 512", "limit_mib: lots"),
        "--set",
        "processors.memory_limiter.limit_mib=100",
    )
    assert (mended.returncode, mended.stderr) == (0, "")
    other = tmp_path / "other.yaml"
    other.write_text("exporters:\n  otlp:\n    endpoint: tempo\n")
    merged = validate(tmp_path, GOOD, "--config", other)
    assert merged.returncode == 1
    assert f"{other.name}:3:" in merged.stderr
    assert (
        command(
            "validate",
            "--config",
            "yaml:exporters::otlp::endpoint: a:1",
            "--config",
            tmp_path / "gateway.yaml",
        ).returncode
        == 0
    )
    assert command("validate", "--config", "env:WHOLE", env={"WHOLE": GOOD}).returncode == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["validate"], "--config"),
        (["run"], "--config"),
        (["validate", "--config", "/does/not/exist.yaml"], "exist.yaml"),
        (["validate", "--config", "/"], "/"),
        (["run", "--config", "a", "--shutdown-timeout", "0"], "--shutdown-timeout"),
        (["run", "--config", "a", "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_command_lines(arguments, words):
    """If it failed, a typing error would start something else, or end without a word."""
    result = command(*arguments)
    assert result.returncode != 0
    assert words in result.stderr


def test_components():
    """If it failed, a user could not ask a gateway what it can do."""
    result = command("components")
    assert result.returncode == 0
    for name in ("otlp", "memory_limiter", "batch", "otlp_grpc", "prometheus", "debug", "nop", "health_check"):
        assert f"  - name: {name}\n" in result.stdout
    assert "kafka" not in result.stdout


def test_print_config(tmp_path):
    """If it failed, a user could not see what several files and variables come to, or would show passwords
    with it."""
    (tmp_path / "gateway.yaml").write_text(
        GOOD.replace("    tls:\n", "    headers:\n      authorization: ${env:SECRET}\n    tls:\n")
    )
    result = command(
        "print-config",
        "--config",
        tmp_path / "gateway.yaml",
        "--set",
        "processors.batch.timeout=9s",
        env={"SECRET": "hush"},
    )
    assert result.returncode == 0
    assert "9s" in result.stdout and "authorization" in result.stdout
    assert "hush" not in result.stdout + result.stderr


def test_version():
    """If it failed, nobody could say which version runs."""
    assert command("version").stdout == command("--version").stdout
    assert command("version").stdout.startswith("sluice version ")


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_log_lines(gateway, backend, encoding):
    """If it failed, what reads the Collector's log lines could not read these."""
    configuration = config({"otlp": exporter(backend())})
    configuration["service"]["telemetry"] = {"logs": {"encoding": encoding, "initial_fields": {"zone": "a"}}}
    running = gateway(configuration)
    running.stop()
    for line in running.log.splitlines():
        if encoding == "json":
            entry = json.loads(line)
            assert (
                entry["level"] in ("info", "warn", "error")
                and entry["msg"]
                and entry["ts"]
                and entry["zone"] == "a"
            )
        else:
            time, level, _, _, fields = line.split("\t")
            assert (
                time.endswith("Z")
                and level in ("info", "warn", "error")
                and json.loads(fields)["zone"] == "a"
            )


def test_health_check(gateway, backend):
    """If it failed, what watches the gateway would take a healthy one for a dead one."""
    port = free_port()
    configuration = config({"otlp": exporter(backend())})
    configuration["extensions"] = {"health_check": {"endpoint": f"{LOOPBACK}:{port}"}}
    configuration["service"]["extensions"] = ["health_check"]
    running = gateway(configuration)
    status, text = fetch(f"http://{LOOPBACK}:{port}/")
    assert status == 200
    assert json.loads(text)["status"] == "Server available"
    assert running.health("live") == (200, "live\n")
    assert running.health("ready") == (200, "ready\n")
    assert running.health("nothing")[0] == 404


def test_the_page_of_metrics(gateway, backend, clients):
    """If it failed, dashboards made for the Collector would stay empty."""
    running = gateway(
        config(
            {"otlp": exporter(backend())},
            {"memory_limiter": {"check_interval": "1s", "limit_mib": 512}, "batch": {"timeout": "10ms"}},
        )
    )
    clients.grpc(running).export(data.spans(3))
    clients.http(running).export(data.points(4))
    clients.http(running).export(data.records(5))
    for noun, transport, count in (
        ("spans", "grpc", 3),
        ("metric_points", "http", 4),
        ("log_records", "http", 5),
    ):
        wait_until(
            lambda: running.metrics().sum(f"otelcol_exporter_sent_{noun}", exporter="otlp") == count, noun
        )
        page = running.metrics()
        assert page.sum(f"otelcol_receiver_accepted_{noun}", receiver="otlp", transport=transport) == count
        assert (
            page.sum(f"otelcol_processor_memory_limiter_accepted_{noun}", processor="memory_limiter") == count
        )
        assert page.sum(f"otelcol_exporter_send_failed_{noun}") == 0
    names = {name for name, _, _ in page.samples}
    assert names >= {
        "otelcol_process_uptime",
        "otelcol_process_cpu_seconds",
        "otelcol_process_memory_rss",
        "otelcol_exporter_queue_size",
        "otelcol_exporter_queue_capacity",
        "otelcol_receiver_refused_spans",
        "otelcol_processor_batch_timeout_trigger_send",
        "otelcol_processor_batch_batch_size_trigger_send",
        "otelcol_processor_batch_batch_send_size_bucket",
    }
    assert abs(page.sum("otelcol_process_memory_rss") - running.resident_bytes()) < 4 * MIB


def test_it_is_small(gateway, backend):
    """If it failed, the gateway would not fit beside what it serves."""
    running = gateway(config({"otlp": exporter(backend())}, {"batch": {}}))
    assert running.resident_bytes() < 24 * MIB


class Files(http.server.BaseHTTPRequestHandler):
    """Serves a configuration, a value of it, and what is none."""

    def do_GET(self):
        answers = {
            "/gateway.yaml": (200, GOOD.replace("endpoint: tempo:4317", "endpoint: ${http://%s/host}:4317" % self.headers["Host"])),
            "/host": (200, "tempo\n"),
            "/moved": (302, ""),
        }
        status, text = answers.get(self.path, (404, "no"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/gateway.yaml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def files():
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["gateway.yaml", "moved"])
def test_a_configuration_on_a_server(files, path):
    """If it failed, a fleet that keeps its configuration on a server could not start."""
    result = command("print-config", "--config", f"{files}/{path}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "endpoint: tempo:4317" in result.stdout


def test_a_configuration_that_is_not_there(files):
    """If it failed, an operator would not learn what the server said, or read its password in a log."""
    url = f"{files}/none".replace("http://", "http://user:hush@")
    result = command("validate", "--config", url)
    assert result.returncode == 1 and "the server answered 404" in result.stderr
    assert "help: " in result.stderr and "hush" not in result.stderr
    result = command("validate", "--config", f"http://{LOOPBACK}:1/x")
    assert result.returncode == 1 and "cannot be read" in result.stderr


def test_feature_gates_are_named(tmp_path):
    """If it failed, a Collector's command line would not start, or a gate would be thought to do something."""
    result = validate(tmp_path, GOOD, "--feature-gates=+a.b,-c", "--feature-gates", "d")
    assert result.returncode == 0
    for gate in ["a.b", "c", "d"]:
        assert f'warning: feature gate "{gate}" is unknown' in result.stderr


RECEIVERS = "receivers: {otlp: {protocols: {grpc: {GRPC}, http: {HTTP}}}}"
ACCEPTED = {
    "dialer": ("http", "dialer: {timeout: 0s}"),
    "header list": ("http", "response_headers: [{name: a, value: b}]"),
    "empty tls and cors": ("http", "tls: , cors: "),
    "all children commented out": ("http", "cors: {allowed_origins: , max_age: }"),
    "keepalive without children": ("grpc", "keepalive: {server_parameters: , enforcement_policy: }"),
    "tls that is off": ("grpc", "tls: {enabled: false}"),
    "lz4 and x-gzip": ("http", "compression_algorithms: [gzip, lz4, '']"),
    "max_connection_age": ("http", "max_connection_age: 1h, max_connection_age_grace: 5s"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_keys_that_the_collector_accepts(tmp_path, name):
    """If it failed, a configuration that runs everywhere else would not run here."""
    protocol, keys = ACCEPTED[name]
    receivers = RECEIVERS.replace("{GRPC}", "{%s}" % (keys if protocol == "grpc" else "")).replace(
        "{HTTP}", "{%s}" % (keys if protocol == "http" else "")
    )
    text = receivers + "\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n"
    result = validate(tmp_path, text)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "exporter",
    [
        '{otlp: {endpoint: "<host>:4317"}}',
        '{otlphttp: {endpoint: "https://<your-backend>:4318"}}',
        '{loadbalancing: {protocol: {otlp: }, resolver: {static: {hostnames: ["<host>:4317"]}}}}',
    ],
)
def test_placeholders_are_named_as_such(tmp_path, exporter):
    """If it failed, who has copied an example would look for a fault in his names."""
    name = exporter[1:].split(":")[0]
    text = (
        "receivers: {otlp: {protocols: {grpc: }}}\nexporters: %s\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [%s]}}}\n" % (exporter, name)
    )
    result = validate(tmp_path, text)
    assert result.returncode == 1 and result.stderr.count("error: ") == 1
    assert "still has the placeholder <" in result.stderr and "help: " in result.stderr


# Sections as public configurations write them, by the kind of component and the signal that it is used with.
FIELD = {
    "backends of a cluster": ("exporters", "loadbalancing", "traces", """
    routing_key: service
    protocol: {otlp: {tls: {insecure: true}}}
    resolver: {k8s: {service: samplers.observability, ports: [4317, 14317]}}"""),
    "one metric, one backend": ("exporters", "loadbalancing", "metrics", """
    routing_key: metric
    protocol: {otlp: {timeout: 1s}}
    resolver: {dns: {hostname: gateways.observability, quarantine: {enabled: true}}}"""),
    "one stream, one backend": ("exporters", "load_balancing", "metrics", """
    routing_key: streamID
    protocol: {otlp: }
    resolver: {static: {hostnames: [a, b]}}"""),
    "kubelets and endpoints": ("receivers", "prometheus", "metrics", """
    config:
      scrape_configs:
        - job_name: cadvisor
          scheme: https
          bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token
          kubernetes_sd_configs: [{role: node}]
          relabel_configs:
            - {target_label: __metrics_path__, replacement: /metrics/cadvisor}
            - {action: labelmap, regex: __meta_kubernetes_node_label_(.+)}
        - job_name: endpoints
          kubernetes_sd_configs: [{role: endpoints, namespaces: {names: [a]}, selectors: [{role: pod, label: app=x}]}]
        - job_name: slices
          kubernetes_sd_configs: [{role: endpointslice}]
        - job_name: services
          kubernetes_sd_configs: [{role: service}]"""),
    "every cloud": ("processors", "resourcedetection", "traces", """
    detectors: [env, system, gcp, ecs, ec2, azure, aks, eks, lambda, elastic_beanstalk, heroku]
    eks: {node_from_env_var: K8S_NODE_NAME}
    timeout: 2s"""),
    "owners of pods": ("processors", "k8sattributes", "logs", """
    extract: {labels: [{tag_name: a, key: b, from: replicaset}]}"""),
    "ballast": ("extensions", "memory_ballast", "traces", """
    size_in_percentage: 30"""),
    "created metrics": ("exporters", "prometheusremotewrite", "metrics", """
    endpoint: http://prometheus:9090/api/v1/write
    export_created_metric: {enabled: true}"""),
    "the exporter of a connector": ("connectors", "servicegraph", "traces", """
    metrics_exporter: prometheus
    latency_histogram_buckets: [100ms, 1s]"""),
    "cache of deltas": ("connectors", "spanmetrics", "traces", """
    aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
    delta_temporality: {metric_timestamp_cache_size: 100}"""),
}


def around_section(kind, name, signal, body):
    """A configuration that uses a component."""
    parts = {"receivers": "", "processors": "", "exporters": "", "connectors": "", "extensions": ""}
    parts[kind] = f"\n  {name}:{body}"
    parts["receivers"] += "\n  otlp: {protocols: {grpc: }}"
    parts["exporters"] += "\n  nop:"
    used = {other: f"[{name}]" if kind == other else "[]" for other in parts}
    receivers = f"[otlp, {name}]" if kind == "receivers" else "[otlp]"
    exporters = f"[nop, {name}]" if kind in ("exporters", "connectors") else "[nop]"
    more = f"\n    metrics: {{receivers: [{name}], exporters: [nop]}}" if kind == "connectors" else ""
    return "".join(f"{key}:{text}\n" for key, text in parts.items()) + (
        f"service:\n  extensions: {used['extensions']}\n  pipelines:\n"
        f"    {signal}: {{receivers: {receivers}, processors: {used['processors']}, exporters: {exporters}}}{more}\n"
    )


@pytest.mark.parametrize("name", FIELD)
def test_sections_of_public_configurations(tmp_path, name):
    """If it failed, a configuration that runs everywhere else would not run here."""
    result = validate(tmp_path, around_section(*FIELD[name]))
    assert result.returncode == 0, result.stderr


MISTAKES = {
    "a key of a filter in capitals": ("processors", "filter", "metrics", """
    metrics: {exclude: {match_type: strict, resource_attributes: [{Key: service.name}]}}""", 'did you mean "key"?'),
    "a key of an action in capitals": ("processors", "attributes", "traces", """
    actions: [{Key: a, value: b, action: insert}]""", 'did you mean "key"?'),
    "a required key in capitals": ("exporters", "otlp", "traces", """
    Endpoint: tempo:4317""", 'did you mean "endpoint"?'),
    "a default in another language": ("exporters", "file", "traces", """
    path: ${OUTPUT:/tmp/spans.json}""", "write ${env:OUTPUT:-…}"),
    "braces in a flow": ("exporters", "otlp_http", "traces", """
    endpoint: https://tempo
    tls: {ca_file: ${env:FILE}}""", "put ${…} in quotes"),
    "a path for an address": ("receivers", "zipkin", "traces", """
    endpoint: /run/zipkin.sock
    transport: unix""", "and remove transport"),
    "one section for two": ("exporters", "otlp_http", "traces", """
    &shared
    endpoint: https://tempo
    timeout: 5
  otlp_http/2: *shared
  otlp_http/3: {<<: *shared, compression: none}""", "5s for seconds"),
    "a port of old": ("extensions", "health_check", "traces", """
    port: 13133""", "write endpoint: 0.0.0.0:13133"),
    "a template": ("exporters", "otlp_grpc", "traces", """
    endpoint: {{ .Values.backend }}""", "render the file first"),
    "an action misspelt": ("processors", "attributes", "traces", """
    actions: [{key: a, value: b, action: insret}]""", 'did you mean "insert"?'),
    "no actions": ("processors", "resource", "traces", "", "write attributes: [{key: "),
    "a policy misspelt": ("processors", "tail_sampling", "traces", """
    policies: [{name: a, type: latenc}]""", 'did you mean "latency"?'),
    "a queue on disk of old": ("exporters", "otlp_grpc", "traces", """
    endpoint: tempo:4317
    sending_queue: {persistent_storage_enabled: true}""", "write storage: file_storage"),
    "a tenant of old": ("exporters", "loki", "logs", """
    endpoint: http://loki:3100/loki/api/v1/push
    tenant: {source: static, value: shop}""", "write headers: {X-Scope-OrgID: …}"),
    "targets by an allocator": ("receivers", "prometheus", "metrics", """
    config: {scrape_configs: []}
    target_allocator: {endpoint: http://allocator}""", 'remove "target_allocator"'),
    "a batcher of an exporter": ("exporters", "otlphttp", "traces", """
    endpoint: http://tempo:4318
    batcher: {enabled: true}""", "write sending_queue: {batch: {…}}"),
    "a detector of old": ("processors", "resourcedetection", "traces", """
    detectors: [env, gke]""", "write gcp"),
    "a processor of old": ("processors", "queued_retry", "traces", """
    num_workers: 4""", "write sending_queue and retry_on_failure there"),
    "labels of old": ("exporters", "loki", "logs", """
    endpoint: http://loki:3100/loki/api/v1/push
    labels: {attributes: {severity: ""}}""", "action: index_label"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_mistake_is_one_error(tmp_path, name):
    """If it failed, who brings an older configuration would search for faults that are none."""
    *section, help_text = MISTAKES[name]
    result = validate(tmp_path, around_section(*section))
    assert result.returncode == 1 and result.stderr.count(" error: ") == 1, result.stderr
    assert help_text in result.stderr, result.stderr
