"""However many items a request has, its event loop serves others between parts of it.
"""

import gzip
import http.client

import pytest

import data
from conftest import config, one_load_at_a_time
from gateway import LOOPBACK, wait_until

pytestmark = one_load_at_a_time

TRANSFORM = {
    "log_statements": ['set(log.attributes["x"], "y") where log.severity_number > 20'],
    "trace_statements": ['set(span.attributes["x"], "y") where IsMatch(span.name, "^nobody")'],
}


def field(number, content):
    """A field of bytes, as protobuf writes it."""
    length, count = bytearray(), len(content)
    while count >= 128:
        length.append(count & 127 | 128)
        count >>= 7
    return bytes([number << 3 | 2, *length, count]) + content


def empty_records(count):
    """A request of so many log records without a field: two bytes each."""
    return field(1, field(2, b"\x12\x00" * count))


def busy(running, most):
    """How often a loop was busy for longer, in processor time."""
    samples = [s for s in running.metrics().samples if s[0] == "sluice_event_loop_busy_seconds_bucket"]
    below = {float(labels["le"]): value for _, labels, value in samples}
    return int(below[float("inf")] - below[most])


def post(running, path, body):
    connection = http.client.HTTPConnection(LOOPBACK, running.http_port, timeout=60)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    connection.request("POST", path, gzip.compress(body), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.parametrize(
    "path, body, items, seconds",
    [
        ("/v1/logs", empty_records(2_000_000), 2_000_000, 0.2),
        ("/v1/traces", data.spans(150_000).SerializeToString(), 150_000, 0.05),
    ],
    ids=["two million empty records in a few kilobytes", "150 000 spans"],
)
def test_a_request_of_very_many_items(gateway, path, body, items, seconds):
    """If it failed, one request would keep everybody else of its loop waiting for seconds. Processor time, so that a busy
    machine changes nothing; several times what it takes, and less than half of what it took in one go."""
    telemetry = {"metrics": {"level": "detailed"}}
    running = gateway(
        config({"nop": {}}, {"transform": TRANSFORM}, signals=["traces", "logs"], telemetry=telemetry)
    )
    assert post(running, path, body) == 200
    signal = "log_records" if path == "/v1/logs" else "spans"
    taken = lambda: running.metrics().sum(f"otelcol_receiver_accepted_{signal}")
    wait_until(lambda: taken() == items, lambda: f"{items} taken: {taken()}")
    assert busy(running, seconds) == 0
