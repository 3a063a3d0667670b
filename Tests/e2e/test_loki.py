"""The loki exporter against a strict Loki: every record arrives once, as Loki's users expect it, or is counted."""

import itertools
import json
import logging
import random
import threading
import time

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from conftest import backends, config, otlp
from gateway import LOOPBACK, Balance, command, free_port, wait_until
from loki_backend import LokiBackend

NAME = "loki"
SMALL_BATCH = {"batch": {"timeout": "20ms", "send_batch_size": 1000}}
NOW = 1_700_000_000_000_000_000


@pytest.fixture
def loki_backend(owned):
    return backends(LokiBackend, owned)


def loki_exporter(backend, **keys):
    """A loki exporter that is quick to try again; keys of its parts are merged."""
    base = {
        "endpoint": backend if isinstance(backend, str) else backend.url,
        "timeout": "5s",
        "retry_on_failure": {"initial_interval": "20ms", "max_interval": "100ms", "max_elapsed_time": "60s"},
    }
    for key, value in keys.items():
        base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) and key != "limits" else value
    return base


def only_logs(backend, processors=None, **keys):
    return config({NAME: loki_exporter(backend, **keys)}, processors, signals=("logs",))


def counts(gateway, name=NAME):
    """Records of one exporter: sent, failed, dropped, pending."""
    page = gateway.metrics()
    Balance(gateway, [name], "logs").check(page)
    values = [
        page.sum(f"otelcol_exporter_{part}_log_records", exporter=name)
        for part in ("sent", "send_failed", "enqueue_failed")
    ]
    return (*values, page.sum("sluice_exporter_pending_items", exporter=name, data_type="logs"))


def settled(gateway, sent, failed=0, dropped=0, name=NAME):
    """Waits until the counters of an exporter are these, and nothing is pending."""
    expected = (sent, failed, dropped, 0)
    wait_until(lambda: counts(gateway, name) == expected, lambda: f"{expected}, but {counts(gateway, name)}")


def limited(gateway, reason):
    return gateway.metrics().sum("sluice_exporter_loki_limited", exporter=NAME, reason=reason)


def value(of, target):
    """Sets an AnyValue from a Python value."""
    if of is None:
        target.SetInParent()
    elif isinstance(of, bool):
        target.bool_value = of
    elif isinstance(of, int):
        target.int_value = of
    elif isinstance(of, float):
        target.double_value = of
    elif isinstance(of, bytes):
        target.bytes_value = of
    elif isinstance(of, list):
        target.array_value.SetInParent()
        for each in of:
            value(each, target.array_value.values.add())
    elif isinstance(of, dict):
        target.kvlist_value.SetInParent()
        for key, each in of.items():
            value(each, target.kvlist_value.values.add(key=key).value)
    else:
        target.string_value = of


def records(bodies, resource=None, attributes=None, times=None):
    """A request of one resource with a record for each body."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, each in (resource if resource is not None else {"service.name": "shop"}).items():
        value(each, entry.resource.attributes.add(key=key).value)
    scope = entry.scope_logs.add()
    for index, body in enumerate(bodies):
        record = scope.log_records.add(time_unix_nano=times[index] if times else NOW + index)
        value(body, record.body)
        for key, each in (attributes or {}).items():
            value(each, record.attributes.add(key=key).value)
    return request


# What Loki's users see


BODIES = [
    ("plain", "plain"),
    ("two\nlines \u00e4\u65e5\U0001f600", "two\nlines \u00e4\u65e5\U0001f600"),
    ("", ""),
    (True, "true"),
    (-7, "-7"),
    (0.5, "0.5"),
    (1e300, "1e+300"),
    (b"\x00\xff", "AP8="),
    (["a", 1, None, {"k": [False]}], '["a",1,null,{"k":[false]}]'),
    ({"order": 7, "user": {"name": "\u00e4\""}}, '{"order":7,"user":{"name":"\u00e4\\""}}'),
    (None, ""),
]


def test_the_sdks_logging_handler(gateway, loki_backend):
    """If it failed, applications that log through the SDK would look for their logs in vain."""
    loki = loki_backend()
    running = gateway(only_logs(loki))
    provider = LoggerProvider(
        resource=Resource.create(
            {
                "service.name": "shop",
                "service.namespace": "eu",
                "service.instance.id": "7",
                "k8s.pod.name": "shop-1",
                "host.name": "h1",
            }
        )
    )
    exporter = OTLPLogExporter(endpoint=f"{LOOPBACK}:{running.grpc_port}", insecure=True)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = logging.getLogger("orders")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    before = time.time_ns()
    try:
        logger.warning("order %d placed", 7, extra={"http.route": "/orders", "items": 3})
    finally:
        logger.removeHandler(handler)
        provider.shutdown()
    wait_until(lambda: loki.entries, "the entry")
    entry = loki.entries[0]
    assert entry.labels == {
        "service_name": "shop",
        "service_namespace": "eu",
        "service_instance_id": "7",
        "k8s_pod_name": "shop-1",
    }
    assert entry.line == "order 7 placed"
    assert before <= entry.time <= time.time_ns()
    metadata = dict(entry.metadata)
    assert metadata["http_route"] == "/orders" and metadata["items"] == "3"
    assert metadata["severity_text"] in ("WARN", "WARNING")
    assert metadata["severity_number"] == str(SeverityNumber.WARN.value)
    assert metadata["host_name"] == "h1" and metadata["telemetry_sdk_language"] == "python"
    assert metadata["scope_name"] == "orders"
    assert int(metadata["observed_timestamp"]) >= before
    assert loki.faults == []


def test_bodies_of_every_kind(gateway, loki_backend, clients):
    """If it failed, structured logs would be empty lines."""
    loki = loki_backend()
    running = gateway(only_logs(loki))
    clients.grpc(running).export(records([body for body, _ in BODIES]))
    settled(running, len(BODIES))
    assert loki.lines() == [line for _, line in BODIES]
    assert loki.faults == []


SDK_BODIES = [body for body in BODIES if body[0] is not None] + [({"a": {"b": [1.5, b"\x00"]}}, '{"a":{"b":[1.5,"AA=="]}}')]


def test_bodies_of_every_kind_by_the_sdk(gateway, loki_backend):
    """If it failed, what applications log as data, not as text, would be unreadable."""
    loki = loki_backend()
    running = gateway(only_logs(loki))
    provider = LoggerProvider(resource=Resource.create({"service.name": "shop"}))
    exporter = OTLPLogExporter(endpoint=f"{LOOPBACK}:{running.grpc_port}", insecure=True)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("data")
    try:
        for index, (body, _) in enumerate(SDK_BODIES):
            logger.emit(LogRecord(timestamp=NOW + index, body=body, severity_number=SeverityNumber.INFO))
        logger.emit(LogRecord(timestamp=NOW + len(SDK_BODIES), body=None))
    finally:
        provider.shutdown()
    settled(running, len(SDK_BODIES) + 1)
    entries = sorted(loki.entries, key=lambda entry: entry.time)
    assert [entry.line for entry in entries] == [line for _, line in SDK_BODIES] + [""]
    assert loki.faults == []


def test_names_that_become_one(gateway, loki_backend, clients):
    """If it failed, one of two attributes would be gone without a word."""
    loki = loki_backend()
    rules = [{"action": "index_label", "regex": "team[._].*"}, {"action": "drop", "regex": "secret.*"}]
    running = gateway(only_logs(loki, otlp_config={"resource_attributes": {"attributes_config": rules}}))
    resource = {"service.name": "shop", "team.name": "red", "team_name": "blue", "myteam.name": "x", "secret.a": "x"}
    clients.grpc(running).export(records(["a", "b"], resource))
    settled(running, 2)
    for entry in loki.entries:
        assert entry.labels == {"service_name": "shop", "team_name": "blue"}
        assert dict(entry.metadata) == {"team_name": "red", "myteam_name": "x"}
    assert limited(running, "label_collision") == 2 and loki.faults == []


def test_two_pipelines_of_one_exporter(gateway, loki_backend, clients):
    """If it failed, a configuration that the Collector takes would crash the gateway."""
    loki = loki_backend(answer=lambda tenant, entries: time.sleep(0.05))
    configuration = only_logs(loki)
    pipelines = configuration["service"]["pipelines"]
    pipelines["logs/2"] = dict(pipelines["logs"])
    running = gateway(configuration)
    client = clients.grpc(running)
    for number in range(20):
        client.export(records([str(number)]))
    wait_until(lambda: sorted(loki.lines()) == sorted([str(number) for number in range(20)] * 2), loki.lines)
    running.stop()


def test_passwords_are_not_shown(tmp_path):
    """If it failed, a password in an address would be in logs and support tickets."""
    for address in (
        "http://user:secret@host:x",
        "http://user:secret@host?query",
        "http://user:sec/ret@host:1",
        "http://user:secret@host:4317",
        "user:secret@host:1",
    ):
        for exporter in ("loki", "otlp_http", "otlp_grpc"):
            file = tmp_path / "gateway.yaml"
            file.write_text(json.dumps(config({exporter: {"endpoint": address}}, signals=("logs",)), indent=1))
            shown = command("validate", "--config", file)
            assert "secret" not in shown.stderr and "sec/ret" not in shown.stderr, shown.stderr
            printed = command("print-config", "--config", file)
            assert "secret" not in printed.stdout and "sec/ret" not in printed.stdout, printed.stdout
            assert "secret" not in printed.stderr and "sec/ret" not in printed.stderr, printed.stderr


def test_configured_labels(gateway, loki_backend, clients):
    """If it failed, operators could not choose what their streams are."""
    loki = loki_backend()
    otlp_config = {
        "resource_attributes": {
            "attributes_config": [
                {"action": "structured_metadata", "attributes": ["service.instance.id"]},
                {"action": "index_label", "attributes": ["region"]},
                {"action": "drop", "attributes": ["token"]},
            ]
        },
        "log_attributes": [{"action": "drop", "attributes": ["password"]}],
        "severity_text_as_label": True,
    }
    running = gateway(only_logs(loki, otlp_config=otlp_config))
    resource = {"service.name": "shop", "service.instance.id": "i", "region": "eu", "token": "x"}
    request = records(["a"], resource, {"password": "x", "user": {"id": 7}})
    request.resource_logs[0].scope_logs[0].log_records[0].severity_text = "WARN"
    clients.grpc(running).export(request)
    settled(running, 1)
    assert loki.entries[0].labels == {"service_name": "shop", "region": "eu", "severity_text": "WARN"}
    assert dict(loki.entries[0].metadata) == {"service_instance_id": "i", "user_id": "7", "severity_text": "WARN"}


def test_a_configuration_of_the_former_exporter(gateway, loki_backend, clients):
    """If it failed, who comes from the Collector's loki exporter would lose dashboards that ask for its labels."""
    loki = loki_backend()
    running = gateway(only_logs(loki, mapping="legacy", default_labels_enabled={"exporter": False}))
    resource = {"service.name": "shop", "service.namespace": "eu", "service.instance.id": "i", "host.name": "h"}
    attributes = {"loki.attribute.labels": "route", "loki.resource.labels": "host.name", "route": "/a", "user": "u"}
    request = records(["it broke"], resource, attributes)
    request.resource_logs[0].scope_logs[0].log_records[0].severity_number = 17
    clients.grpc(running).export(request)
    settled(running, 1)
    entry = loki.entries[0]
    assert entry.labels == {"job": "eu/shop", "instance": "i", "level": "ERROR", "route": "/a", "host_name": "h"}
    assert json.loads(entry.line) == {
        "body": "it broke",
        "attributes": {"user": "u"},
        "resources": {key: each for key, each in resource.items() if key != "host.name"},
    }
    assert entry.metadata == [] and loki.faults == []


def test_tenants(gateway, loki_backend, clients):
    """If it failed, one team would read another's logs."""
    loki = loki_backend(needs_tenant=True)
    running = gateway(
        only_logs(loki, SMALL_BATCH, headers={"X-Scope-OrgID": "common"}, tenant={"from_hints": True})
    )
    client = clients.grpc(running)
    for team in ("red", "blue", "red"):
        resource = {"service.name": "shop", "loki.tenant": "team", "team": team}
        client.export(records([team] * 10, resource))
    client.export(records(["common"] * 10))
    client.export(records(["common"], {"loki.tenant": "team", "team": "x\r\nX-Evil: 1"}))
    settled(running, 41)
    assert all(entry.tenant == entry.line for entry in loki.entries)
    assert limited(running, "tenant") == 1
    assert loki.faults == []


def test_a_configured_tenant_is_not_the_clients_to_change(gateway, loki_backend, clients):
    """If it failed, any application could write into the logs of another team."""
    loki = loki_backend(needs_tenant=True)
    running = gateway(only_logs(loki, headers={"X-Scope-OrgID": "common"}))
    client = clients.grpc(running)
    client.export(records(["a"], {"service.name": "shop", "loki.tenant": "team", "team": "victim"}))
    client.export(records(["b"], {"service.name": "shop"}, {"loki.tenant": "team", "team": "victim"}))
    settled(running, 2)
    assert {entry.tenant for entry in loki.entries} == {"common"} and loki.faults == []


def test_one_bad_record_costs_only_itself(gateway, loki_backend, clients):
    """If it failed, one application whose record Loki chokes on would keep everybody's logs from arriving."""
    loki = loki_backend(
        answer=lambda tenant, entries: (500, {}, "internal error") if any(e.line == "bad" for e in entries) else None
    )
    running = gateway(only_logs(loki, SMALL_BATCH))
    client = clients.grpc(running)
    for number in range(10):
        lines = [f"{number}-{index}" for index in range(100)]
        client.export(records(lines + ["bad"] if number == 5 else lines))
    settled(running, 1000, 1)
    assert len(loki.lines()) == len(set(loki.lines())) == 1000
    assert "keys" in next(line for line in running.log.splitlines() if "Loki rejects" in line)
    assert loki.faults == []


def test_replaying_the_dead_letter_doubles_nothing(gateway, loki_backend, clients, tmp_path):
    """If it failed, who replays a dead letter would have records twice, or those that were refused as a whole never."""
    broken = {"bad", "alone"}
    loki = loki_backend(
        answer=lambda tenant, entries: (500, {}, "internal error") if broken & {e.line for e in entries} else None
    )
    letters = tmp_path / "letters.json"
    exporters = {NAME: loki_exporter(loki, on_permanent_failure="file/letters"), "file/letters": {"path": str(letters)}}
    settings = config(exporters, SMALL_BATCH, signals=("logs",))
    settings["service"]["pipelines"]["logs"]["exporters"] = [NAME]
    running = gateway(settings)
    client = clients.grpc(running)
    # Of a batch that Loki has but for one record nothing is handed on: which one it is, no answer says.
    sent = [f"{number}-{index}" for number in range(10) for index in range(100)]
    for number in range(10):
        lines = sent[number * 100:number * 100 + 100]
        client.export(records(lines[:50] + ["bad"] + lines[50:] if number == 5 else lines))
    settled(running, 1000, 1)
    # A batch of which it has nothing is handed on whole, once others are stored while it is not.
    calls = loki.calls
    client.export(records(["alone"]))
    wait_until(lambda: loki.calls > calls, "the push")

    def handed_on():
        sent.append(f"more-{len(sent)}")
        client.export(records(sent[-1:]))
        return running.metrics().sum("sluice_exporter_dead_letter_log_records", exporter="file/letters") == 1

    wait_until(handed_on, "the dead letter")
    settled(running, len(sent), 2)
    wait_until(lambda: letters.read_text().endswith("\n"), "the file")

    # Loki is mended; the file's lines are sent again as they are.
    broken.clear()
    for line in letters.read_text().splitlines():
        status, _, _ = clients.http(running).post(line.encode(), "/v1/logs", {"Content-Type": "application/json"})
        assert status == 200
    settled(running, len(sent) + 1, 2)
    assert sorted(loki.lines()) == sorted(sent + ["alone"]) and loki.faults == []


def test_keys_without_a_letter(gateway, loki_backend, clients):
    """If it failed, Loki would refuse everybody's logs for one such key."""
    loki = loki_backend()
    running = gateway(only_logs(loki, SMALL_BATCH))
    keys = ["\u540d\u524d", "\u00fc", "_", ".", "", "__..__", "a.b"]
    clients.grpc(running).export(records(["x"], {"service.name": "s"}, {key: "v" for key in keys}))
    settled(running, 1)
    names = [name for name, _ in loki.entries[0].metadata]
    assert len(set(names)) == len(keys) == len(names) and "key_540d_524d" in names and loki.faults == []


@pytest.mark.parametrize(
    "text, refused",
    [
        ("entry for stream '{{service_name=\"shop\"}}' has timestamp too old: {old}, oldest acceptable is: {old}", 1),
        ("3 errors like: max entry size '262144' bytes exceeded for stream '{{service_name=\"shop\"}}'", 3),
        ("user 'fake', total ignored: 2 out of 100 for stream: {{service_name=\"shop\"}}", 2),
    ],
)
def test_only_what_was_refused_is_counted(gateway, loki_backend, clients, text, refused):
    """If it failed, stored records would count as lost and go to a dead letter, whose replay doubles them."""
    loki = loki_backend(answer=lambda tenant, entries: (400, {}, text.format(old="2026-01-01T00:00:00Z")))
    keeper = loki_backend()
    exporters = {NAME: loki_exporter(loki, on_permanent_failure="loki/keeper"), "loki/keeper": loki_exporter(keeper)}
    settings = config(exporters, SMALL_BATCH, signals=("logs",))
    settings["service"]["pipelines"]["logs"]["exporters"] = [NAME]
    running = gateway(settings)
    clients.grpc(running).export(records([str(number) for number in range(100)]))
    settled(running, 100 - refused, refused)
    assert keeper.entries == [] and loki.calls == 1


def test_tenants_of_clients(gateway, loki_backend, clients):
    """If it failed, who serves many teams with one gateway would mix their logs."""
    loki = loki_backend(needs_tenant=True)
    configuration = config(
        {NAME: loki_exporter(loki, tenant_metadata_key="X-Scope-OrgID")},
        SMALL_BATCH,
        otlp(grpc={"include_metadata": True}, http={"include_metadata": True}),
        signals=("logs",),
    )
    running = gateway(configuration)
    client = clients.grpc(running)
    for team in ("red", "blue", "red"):
        client.export(records([team] * 10), metadata=(("x-scope-orgid", team),))
    settled(running, 30)
    assert sorted(entry.tenant for entry in loki.entries) == ["blue"] * 10 + ["red"] * 20
    assert all(entry.tenant == entry.line for entry in loki.entries)
    assert loki.faults == []


def test_credentials(gateway, loki_backend, clients):
    """If it failed, a Loki behind a gateway could not be used."""
    loki = loki_backend()
    url = f"http://user:pa%3Ass@{LOOPBACK}:{loki.port}"
    other = loki_exporter(loki, headers={"Authorization": "Bearer token"})
    exporters = {"loki/basic": loki_exporter(url), "loki/bearer": other}
    running = gateway(config(exporters, signals=("logs",)))
    clients.grpc(running).export(records(["a"]))
    settled(running, 1, name="loki/basic")
    settled(running, 1, name="loki/bearer")
    assert {head["Authorization"] for head in loki.heads} == {"Basic dXNlcjpwYTpzcw==", "Bearer token"}
    assert "pa:ss" not in running.log and "pa%3Ass" not in running.log


# What breaks Loki's rules


def test_ten_thousand_label_sets(gateway, loki_backend, clients):
    """If it failed, a large cluster's pods would not fit."""
    loki = loki_backend()
    running = gateway(only_logs(loki, {"batch": {"timeout": "50ms"}}))
    client = clients.grpc(running)
    for first in range(0, 10_000, 1000):
        request = ExportLogsServiceRequest()
        for number in range(first, first + 1000):
            request.MergeFrom(records([str(number)], {"service.name": f"s{number}"}))
        client.export(request)
    settled(running, 10_000)
    assert all(entry.labels == {"service_name": f"s{entry.line}"} for entry in loki.entries)
    assert sorted(loki.lines()) == sorted(map(str, range(10_000)))
    assert loki.faults == []


def test_what_loki_would_refuse(gateway, loki_backend, clients):
    """If it failed, one bad record would cost its whole push."""
    loki = loki_backend()
    running = gateway(only_logs(loki, SMALL_BATCH))
    client = clients.grpc(running)
    shuffled = [NOW + number // 2 for number in range(200)]
    random.Random(1).shuffle(shuffled)
    client.export(records([str(number) for number in range(200)], times=shuffled))
    client.export(records(["", "\u00e4" * (1 << 20), "x"]))
    client.export(records(["many"], attributes={f"a{number}": "v" for number in range(200)}))
    client.export(records(["large"], attributes={"stack": "x" * 70_000, "k": "v"}))
    names = {"1st.name": "a", "\u65e5\u672c": "b", "": "c", "a-b c": "d", "ok": "e"}
    client.export(records(["names"], attributes=names))
    labels = {f"l{number}": "v" for number in range(20)}
    config_names = {"action": "index_label", "attributes": [*labels, "long"]}
    settled(running, 206)
    by_line = {entry.line: dict(entry.metadata) for entry in loki.entries}
    pairs = next(entry.metadata for entry in loki.entries if entry.line == "names")
    assert "\u00e4" * (128 << 10) in by_line
    assert len(by_line["many"]) == 128 and by_line["large"] == {"k": "v"}
    assert pairs == [("key_1st_name", "a"), ("key_65e5_672c", "b"), ("key_", "c"), ("a_b_c", "d"), ("ok", "e")]
    assert (limited(running, "line_size"), limited(running, "structured_metadata_count")) == (1, 72)
    assert limited(running, "structured_metadata_size") == 1
    running.stop()

    rules = {"resource_attributes": {"attributes_config": [config_names]}}
    running = gateway(only_logs(loki, SMALL_BATCH, otlp_config=rules))
    loki.entries.clear()
    clients.grpc(running).export(records(["a"], {"service.name": "shop", **labels, "long": "x" * 3000}))
    settled(running, 1)
    entry = loki.entries[0]
    assert len(entry.labels) == 16 and entry.labels["service_name"] == "shop"
    assert len(entry.metadata) == 6 and ("long", "x" * 3000) in entry.metadata
    assert (limited(running, "label_count"), limited(running, "label_value_length")) == (5, 1)
    assert loki.faults == []


def test_pushes_are_bounded(gateway, loki_backend, clients):
    """If it failed, Loki would refuse what is larger than its own limit."""
    loki = loki_backend()
    running = gateway(only_logs(loki, {"batch": {"timeout": "50ms"}}, max_push_bytes=20_000))
    client = clients.grpc(running)
    for number in range(20):
        client.export(records([f"{number}-{index} " + "x" * 200 for index in range(100)]))
    settled(running, 2000)
    assert len(set(loki.lines())) == 2000
    assert max(loki.push_bytes) <= 20_000 and len(loki.push_bytes) < 60
    assert loki.faults == []


# What Loki answers


class Script:
    """Answers one after another, then takes everything."""

    def __init__(self, *steps):
        self.steps = iter(steps)
        self.lock = threading.Lock()

    def __call__(self, tenant, entries):
        with self.lock:
            step = next(self.steps, None)
        if isinstance(step, Exception):
            raise step
        return step


@pytest.fixture(scope="module")
def scripted(module_owned, module_gateway, module_clients):
    """A gateway whose Loki answers as each test says."""
    loki = backends(LokiBackend, module_owned)()
    running = module_gateway(only_logs(loki, divide_refused_batches=False))
    return loki, running, module_clients.grpc(running)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 502, 503, 504])
def test_every_status(scripted, status):
    """If it failed, records that a second try would save were lost, or hopeless ones would be sent for ever."""
    loki, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    calls = loki.calls
    loki.answer = Script((status, {}, "as told"), (status, {}, "as told"))
    client.export(records(["a"] * 7))
    if status == 429 or status >= 500:
        settled(running, sent + 7, failed, dropped)
        assert loki.calls == calls + 3
    else:
        settled(running, sent, failed + 7, dropped)
        assert loki.calls == calls + 1
        assert f"Loki answered {status}: as told" in running.log
    assert loki.faults == []


def test_the_log_says_what_to_change(scripted):
    """If it failed, an operator would have to guess."""
    loki, running, client = scripted
    for status, word in ((401, "X-Scope-OrgID"), (404, "/loki/api/v1/push")):
        sent, failed, dropped, _ = counts(running)
        loki.answer = Script(*[(status, {}, "for advice")] * 3)
        for _ in range(3):
            failed += 1
            client.export(records(["a"]))
            settled(running, sent, failed, dropped)
        said = [line for line in running.log.splitlines() if "Loki rejects" in line]
        advice = [line for line in said if f"Loki answered {status}" in line]
        assert len(advice) == 1 and word in advice[0]


def test_redirects_are_refused(scripted, loki_backend):
    """If it failed, logs and credentials would go where a login page sends them, or for ever nowhere."""
    loki, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    elsewhere = loki_backend()
    loki.answer = Script((302, {"Location": f"{elsewhere.url}/login"}, ""))
    client.export(records(["a"] * 3))
    settled(running, sent, failed + 3, dropped)
    assert elsewhere.calls == 0 and f"{elsewhere.url}/login" in running.log


def test_when_to_come_again(scripted):
    """If it failed, an overloaded Loki would be pressed on."""
    loki, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    loki.answer = Script((429, {"Retry-After": "1"}, "rate limit"))
    begun = time.monotonic()
    client.export(records(["a"]))
    settled(running, sent + 1, failed, dropped)
    assert time.monotonic() - begun >= 1


def test_entries_that_are_too_old(gateway, loki_backend, clients):
    """If it failed, entries that Loki has stored would be sent again, or counted as lost."""
    loki = loki_backend(checks_time=True)
    running = gateway(only_logs(loki))
    now = time.time_ns()
    client = clients.grpc(running)
    client.export(records(["old", "new", "older"], times=[now - 8 * 86400 * 10**9, now, 5]))
    settled(running, 1, 2)
    assert loki.lines() == ["new"] and loki.calls == 1
    client.export(records(["old"], times=[5]))
    settled(running, 1, 3)
    # Loki lists every one of them before it says how many they are.
    client.export(records(["old"] * 100 + ["new"] * 20, times=[5] * 100 + [now] * 20))
    settled(running, 21, 103)
    assert loki.lines() == ["new"] * 21
    assert "timestamp too old" in running.log


def test_too_large_is_halved(gateway, loki_backend, clients):
    """If it failed, a proxy with a lower limit would lose everything."""

    def limit(tenant, entries):
        return (413, {}, "request body too large") if sum(len(e.line) for e in entries) > 5000 else None

    loki = loki_backend(answer=limit)
    running = gateway(only_logs(loki))
    lines = [f"{number} " + "x" * 200 for number in range(100)] + ["y" * 6000]
    clients.grpc(running).export(records(lines))
    settled(running, 100, 1)
    assert sorted(loki.lines()) == sorted(lines[:100])
    assert "max_push_bytes" in running.log and loki.faults == []


def test_a_loki_that_hangs_resets_and_comes_back(gateway, loki_backend, clients):
    """If it failed, a restart of Loki would lose logs or stop the gateway's other work."""
    port = free_port()
    running = gateway(only_logs(f"http://{LOOPBACK}:{port}", SMALL_BATCH, timeout="200ms"))
    client = clients.grpc(running)
    client.export(records(["before"] * 10))
    assert counts(running) == (0, 0, 0, 10)
    gate = threading.Event()
    steps = itertools.chain([ConnectionError(), "hang", ConnectionError(), "hang"], itertools.repeat(None))
    lock = threading.Lock()

    def answer(tenant, entries):
        with lock:
            step = next(steps)
        if step == "hang":
            gate.wait(5)
            raise ConnectionError
        if step:
            raise step

    loki = loki_backend(answer=answer, port=port)
    with Balance(running, [NAME], "logs"):
        for number in range(20):
            client.export(records([f"{number}-{index}" for index in range(10)]))
        settled(running, 210)
    gate.set()
    assert sorted(set(loki.lines())) == sorted({"before"} | {f"{n}-{i}" for n in range(20) for i in range(10)})
    assert loki.faults == []


def test_accounts_hold_whatever_happens(gateway, loki_backend, clients):
    """If it failed, nobody could tell how much is lost."""
    dice = random.Random(7)
    lock = threading.Lock()

    def answer(tenant, entries):
        with lock:
            roll = dice.random()
        if roll < 0.1:
            raise ConnectionError
        if roll < 0.2:
            return 500, {}, "broken"
        if roll < 0.3:
            return 429, {}, "rate limit"
        if roll < 0.35:
            return 413, {}, "too large"
        if roll < 0.4:
            return 400, {}, "total ignored: 1 out of 5 for stream: {}"
        return None

    loki = loki_backend(answer=answer)
    running = gateway(
        only_logs(
            loki,
            SMALL_BATCH,
            max_push_bytes=4096,
            retry_on_failure={"max_elapsed_time": "300ms"},
        )
    )
    client = clients.grpc(running)
    with Balance(running, [NAME], "logs"):
        for number in range(150):
            client.export(records([f"{number}-{index}" for index in range(40)], {"service.name": f"s{number % 9}"}))
        wait_until(lambda: counts(running)[3] == 0, lambda: f"nothing pending, but {counts(running)}")
    sent, failed, dropped, _ = counts(running)
    assert sent + failed + dropped == 6000 and failed > 0
    assert len(set(loki.lines())) == len(loki.lines()) <= sent + failed
    assert loki.faults == []


def test_a_stop_sends_what_is_held(gateway, loki_backend, clients):
    """If it failed, a restart of the gateway would lose logs."""
    loki = loki_backend()
    running = gateway(only_logs(loki, {"batch": {"timeout": "30s", "send_batch_size": 100_000}}))
    clients.grpc(running).export(records([str(number) for number in range(500)]))
    running.stop()
    assert sorted(loki.lines()) == sorted(map(str, range(500)))


# Configuration


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"endpoint": "loki:3100"}, "has no scheme"),
        ({"endpoint": "http://loki:3100/otlp"}, "otlp_http"),
        ({"endpoint": "http://loki:3100", "maping": "legacy"}, 'did you mean "mapping"'),
        ({"endpoint": "http://loki:3100", "auth": {"authenticator": "x"}}, "headers"),
    ],
)
def test_mistakes_are_named(tmp_path, keys, message):
    """If it failed, a mistake would show as missing logs."""
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config({NAME: keys}, signals=("logs",))))
    result = command("validate", "--config", file)
    assert result.returncode == 1 and message in result.stdout + result.stderr


def test_only_logs(tmp_path):
    """If it failed, spans would be sent where nobody takes them."""
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config({NAME: {"endpoint": "http://loki:3100"}})))
    result = command("validate", "--config", file)
    assert result.returncode == 1 and "loki" in result.stdout + result.stderr
