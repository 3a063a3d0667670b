"""The debug exporter: what comes in can be seen."""

import json

import pytest

import data
from backend import SIGNALS
from conftest import config
from gateway import wait_until

SEEN = {
    "basic": {
        "traces": ['"resource spans": 1', '"spans": 2'],
        "metrics": ['"resource metrics": 1', '"metrics": 1', '"data points": 3'],
        "logs": ['"resource logs": 1', '"log records": 4'],
    },
    "normal": {
        "traces": ["ResourceTraces #0 service.name=shop", "ScopeTraces #0 tests", f"1 {2:032x} {2:016x}"],
        "metrics": ["ResourceMetrics #0", "load{} 2"],
        "logs": ["ResourceLog #0", "line 3"],
    },
    "detailed": {
        "traces": ["ResourceSpans #0", "     -> service.name: Str(shop)", "Span #1", f"    ID             : {2:016x}"],
        "metrics": ["Descriptor:", "     -> Name: load", "NumberDataPoints #2", "Value: 2"],
        "logs": ["LogRecord #3", "Body: Str(line 3)"],
    },
}


@pytest.mark.parametrize("verbosity", SEEN)
def test_what_is_shown(gateway, clients, verbosity):
    """If it failed, a user could not see whether, and what, an application sends."""
    running = gateway(config({"debug": {"verbosity": verbosity}}))
    client = clients.grpc(running)
    for request in (data.spans(2), data.points(3), data.records(4)):
        client.export(request)
    running.stop()
    log = running.log
    for words in SEEN[verbosity].values():
        for word in words:
            assert word in log
    assert ("#0" in log) == (verbosity != "basic")


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_every_field_of_everything_is_shown(gateway, clients, encoding):
    """If it failed, some input could break the exporter, or its output what reads the log."""
    configuration = config({"debug": {"verbosity": "detailed"}})
    configuration["service"]["telemetry"] = {"logs": {"encoding": encoding}}
    running = gateway(configuration)
    client = clients.http(running)
    for _, kind, _ in SIGNALS.values():
        client.export(data.filled(kind()))
    for noun in ("spans", "metric_points", "log_records"):
        name = f"otelcol_exporter_sent_{noun}"
        accepted = running.metrics().sum(f"otelcol_receiver_accepted_{noun}")
        wait_until(lambda: running.metrics().sum(name, exporter="debug") == accepted > 0, name)
    running.stop()
    assert "\u00e4\u65e5\U0001f600" in running.log
    if encoding == "json":
        assert all(json.loads(line)["msg"] for line in running.log.splitlines())
