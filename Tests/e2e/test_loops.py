"""However large a request is, its event loop serves others meanwhile."""

import gzip
import http.client
import json
import socket
import time

import pytest

import data
from conftest import MIB, config, exporter, one_load_at_a_time, otlp
from gateway import LOOPBACK, free_port, wait_until

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


def one_record(attributes=0, body=""):
    request = data.records(1)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.body.string_value = body
    for number in range(attributes):
        record.attributes.add(key=f"k{number}").value.string_value = "v"
    return request.SerializeToString()


def json_records(count):
    record = {"timeUnixNano": "1", "body": {"stringValue": "line"}}
    attributes = [{"key": "a", "value": {"intValue": "5"}}]
    records = [{**record, "attributes": attributes}] * count
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def wide_envelope(count):
    """A request that is not cut: its resource is as large as ten parts of it."""
    request = data.records(count)
    request.resource_logs[0].resource.attributes.add(key="wide").value.string_value = "x" * MIB
    return request.SerializeToString()


def post(running, path, body, compressed=True, port=None):
    connection = http.client.HTTPConnection(LOOPBACK, port or running.http_port, timeout=60)
    headers = {"Content-Type": "application/json" if body[:1] in b"{[" else "application/x-protobuf"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def accepted(running, signal="log_records"):
    return running.metrics().sum(f"otelcol_receiver_accepted_{signal}")


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "path, body, items",
    [
        ("/v1/logs", empty_records(2_000_000), 2_000_000),
        ("/v1/traces", data.spans(150_000).SerializeToString(), 150_000),
        ("/v1/logs", one_record(body="x" * 18_000_000), 1),
        ("/v1/logs", one_record(attributes=200_000), 1),
        ("/v1/logs", json_records(130_000), 130_000),
        ("/v1/logs", wide_envelope(50_000), 50_000),
    ],
    ids=["empty records", "spans", "a body of 18 MB", "200 000 attributes", "JSON", "a wide envelope"],
)
def test_a_large_request(gateway, path, body, items, compressed):
    """If it failed, one request would keep everybody else of its loop waiting for up to seconds. Processor time, so that a
    busy machine changes nothing; a fifth or less of what any of them takes."""
    telemetry = {"metrics": {"level": "detailed"}}
    running = gateway(
        config({"nop": {}}, {"transform": TRANSFORM}, signals=["traces", "logs"], telemetry=telemetry)
    )
    assert post(running, path, body, compressed) == 200
    signal = "log_records" if path == "/v1/logs" else "spans"
    assert accepted(running, signal) == items
    assert running.long_looks(0.02) == 0


PARSED = {
    "XML": ("ParseXML(log.body)", "<a>" + "<b>c</b>" * 60_000 + "</a>"),
    "JSON": ("ParseJSON(log.body)", json.dumps({"a": [{"b": 1}] * 60_000})),
}


@pytest.mark.parametrize("kind", PARSED)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_text_that_is_parsed(gateway, kind, compressed):
    """If it failed, a request of half a megabyte whose text is parsed would keep everybody else of its loop waiting for 150 ms."""
    call, text = PARSED[kind]
    transform = {"log_statements": [f'set(log.attributes["x"], {call})']}
    telemetry = {"metrics": {"level": "detailed"}}
    running = gateway(config({"nop": {}}, {"transform": transform}, signals=["logs"], telemetry=telemetry))
    assert post(running, "/v1/logs", one_record(body=text), compressed) == 200
    assert accepted(running) == 1
    assert running.long_looks(0.02) == 0


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_span_of_many_tags(gateway, compressed):
    """If it failed, one span of a Zipkin client would keep everybody else of its loop waiting: it is translated in one go, and
    takes long before it is as large as what is worked on beside the loop otherwise."""
    port = free_port()
    receivers = {**otlp(), "zipkin": {"endpoint": f"{LOOPBACK}:{port}"}}
    telemetry = {"metrics": {"level": "detailed"}}
    running = gateway(
        config({"nop": {}}, receivers=receivers, signals=["traces"], telemetry=telemetry)
    )
    tags = {f"k{number}": "v" for number in range(60_000)}
    span = {"traceId": "1" * 32, "id": "1" * 16, "name": "n", "timestamp": 1, "tags": tags}
    assert post(running, "/api/v2/spans", json.dumps([span]).encode(), compressed, port) == 202
    assert accepted(running, "spans") == 1
    assert running.long_looks(0.01) == 0


def head(body):
    return (
        b"POST /v1/logs HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-protobuf\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )


def test_answers_come_in_order(gateway):
    """If it failed, a client that sends ahead would take the answer to a small request for that to the large one before it,
    and give up data that was refused."""
    running = gateway(config({"nop": {}}, {"transform": TRANSFORM}, signals=["logs"]))
    large, broken = one_record(attributes=100_000), b"\xff" * 100
    with socket.create_connection((LOOPBACK, running.http_port), 60) as client:
        client.sendall(b"".join(head(body) + body for body in [large, broken, large, broken]))
        client.shutdown(socket.SHUT_WR)
        answers = b""
        while part := client.recv(65536):
            answers += part
    statuses = [answer[:3] for answer in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"400", b"200", b"400"]
    assert accepted(running) == 2


def test_clients_that_go(gateway):
    """If it failed, a client that does not wait for its answer would crash the gateway, or leave memory charged until nobody
    is let in."""
    running = gateway(config({"nop": {}}, signals=["logs"]))
    body = one_record(attributes=100_000)
    for number in range(30):
        client = socket.create_connection((LOOPBACK, running.http_port), 60)
        client.sendall(head(body) + body)
        time.sleep(number / 1000)
        client.close()
    assert post(running, "/v1/logs", one_record()) == 200
    held = lambda: running.metrics().sum("sluice_memory_ledger_bytes")
    wait_until(lambda: held() == 0, lambda: f"nothing is held: {held()}")


def test_a_stop_waits(gateway, backend):
    """If it failed, what a client sent just before an update of the gateway would be lost, or be answered for and lost."""
    destination = backend()
    processors = {"transform": TRANSFORM, "batch": {}}
    running = gateway(config({"otlp": exporter(destination)}, processors, signals=["logs"]))
    body = data.records(300_000).SerializeToString()
    with socket.create_connection((LOOPBACK, running.http_port), 60) as client:
        client.sendall(head(body) + body)
        running.terminate()
        answer = client.recv(65536)
    assert running.wait() == 0
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(data.flat(destination.received("logs"))) == 300_000
