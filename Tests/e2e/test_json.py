"""OTLP JSON, in and out, judged by the protobuf library's JSON."""

import gzip
import json

import pytest

import data
from backend import SIGNALS
from client import HTTP_PATHS, RawHTTP2
from conftest import backends, config, exporter
from gateway import wait_until
from http_backend import HTTPBackend
from otlp_json import RandomRequest, decode, encode
from test_otlp_http import http_exporter

JSON = {"Content-Type": "application/json"}
BATCH = {"batch": {"timeout": "50ms"}}


def same(requests):
    """Requests in an order and a form in which equal ones are equal."""
    return sorted(request.SerializeToString(deterministic=True) for request in requests)


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_written_equals_what_came(gateway, clients, tmp_path, signal):
    """If it failed, a reader of OTLP JSON would find other data than the application sent, or none."""
    path = tmp_path / "out.jsonl"
    running = gateway(config({"file": {"path": str(path)}}, signals=[signal]))
    client = clients.grpc(running)
    sent = [RandomRequest(seed).make(signal) for seed in range(150)]
    # What the gateway does not know it leaves out.
    sent.append(strip(data.filled(SIGNALS[signal][1]())))
    for request in sent:
        client.export(request)
    running.stop()
    lines = path.read_text().removesuffix("\n").split("\n")
    assert len(lines) == len(sent)
    read = [decode(line) for line in lines]
    assert {found for found, _ in read} == {signal}
    assert same(request for _, request in read) == same(sent)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_sent_equals_what_came(gateway, owned, clients, signal, compression):
    """If it failed, a backend that reads OTLP JSON would store other data than the application sent."""
    store = backends(HTTPBackend, owned)()
    exporter = http_exporter(store, encoding="json", compression=compression)
    running = gateway(config({"otlp_http": exporter}, signals=[signal]))
    client = clients.grpc(running)
    sent = [RandomRequest(5000 + seed).make(signal) for seed in range(150)]
    for request in sent:
        client.export(request)
    wait_until(lambda: len(store.received(signal)) >= len(sent), "the requests at the backend")
    assert same(store.received(signal)) == same(sent) and store.faults == []
    assert {head["Content-Type"] for head in store.heads} == {"application/json"}


def strip(message):
    """Without the fields of profiles, which the gateway does not know."""
    for field, value in message.ListFields():
        if field.name in ("string_value_strindex", "key_strindex"):
            message.ClearField(field.name)
        elif field.message_type:
            for inner in value if field.is_repeated else [value]:
                strip(inner)
    return message


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_read_equals_what_came(gateway, backend, clients, signal):
    """If it failed, data of clients that export JSON would arrive altered."""
    collector = backend()
    running = gateway(config({"otlp": exporter(collector)}, signals=[signal]))
    client = clients.http(running)
    sent = []
    for seed in range(60):
        request = RandomRequest(1000 + seed).make(signal)
        sent.append(request)
        body = encode(
            request,
            preserving_proto_field_name=seed % 2 == 1,
            use_integers_for_enums=seed % 4 < 2,
        ).encode()
        headers = dict(JSON)
        if seed % 3 == 0:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        if seed % 5 == 0:
            headers["Content-Type"] = "Application/JSON; charset=utf-8"
        status, answer, body = client.post(body, HTTP_PATHS[signal], headers)
        assert (status, answer["Content-Type"], body) == (200, "application/json", b"{}")
    wait_until(lambda: len(collector.received(signal)) >= len(sent), "the requests at the backend")
    assert same(collector.received(signal)) == same(sent)


def test_a_request_by_hand(gateway, backend, clients):
    """If it failed, nobody could try the gateway with curl: leniently written JSON, with what we do not know."""
    collector = backend()
    running = gateway(config({"otlp": exporter(collector)}, BATCH))
    body = """
      {"resource_spans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{"scope": null, "spans": [{
          "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "",
          "name": "I'm a \\ud83d\\ude00", "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": 1544712660000000000,
          "end_time_unix_nano": "1544712661000000000", "future": [{"field": 1.5e3}, "x"],
          "attributes": [{"key": "n", "value": {"intValue": 7}}, {"key": "d", "value": {"doubleValue": "NaN"}}]
        }]}]}]}"""
    status, _, answer = clients.http(running).post(body.encode(), headers=JSON)
    assert (status, answer) == (200, b"{}")
    wait_until(lambda: collector.received(), "the span")
    (request,) = collector.received()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert request.resource_spans[0].resource.attributes[0].value.string_value == "shop"
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.name, span.kind) == ("I'm a \U0001f600", span.SPAN_KIND_CLIENT)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_000_000_000
    assert span.attributes[0].value.int_value == 7


@pytest.mark.parametrize(
    "body, status, words",
    [
        (b"", 400, "the JSON text ends early at byte 0"),
        (b"{", 400, "the JSON text ends early at byte 1"),
        (b"[]", 400, "expected an object at byte 0"),
        (b"{} {}", 400, "expected the end of the text at byte 3"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"CLIENT"}]}]}]}',
            400,
            "resourceSpans[0].scopeSpans[0].spans[0].kind",
        ),
        (b'{"x":\xff}', 400, "expected a value at byte 5"),
        (b"[" * 100_000, 400, "expected an object at byte 0"),
        (b'{"x":' * 10_000, 400, "nested deeper than 320"),
        (data.spans(1).SerializeToString(), 400, "expected an object at byte"),
        (b" " * (2 << 20), 413, "request body too large"),
        (b'{"resourceSpans":[{"schemaUrl":"' + b"x" * (2 << 20) + b'"}]}', 413, "request body too large"),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("compressed", [False, True])
def test_bad_requests_are_answered_in_json(target, others, clients, body, status, words, compressed):
    """If it failed, a client that speaks JSON could not read why its request was refused."""
    headers = dict(JSON)
    if compressed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    found, answer, text = clients.http(target.gateway).post(body, headers=headers)
    assert (found, answer["Content-Type"]) == (status, "application/json")
    parsed = json.loads(text)
    assert parsed["code"] == 3 and words in parsed["message"]


def test_an_unknown_encoding_is_answered_in_json(target, others, clients):
    """If it failed, the answer to a JSON request would be protobuf."""
    status, answer, text = clients.http(target.gateway).post(b"{}", headers={**JSON, "Content-Encoding": "br"})
    assert (status, answer["Content-Type"]) == (400, "application/json")
    assert json.loads(text) == {"code": 3, "message": "unsupported Content-Encoding: br"}
    # The next request on the same connection speaks for itself.
    client = clients.http(target.gateway)
    client.post(b"{}", headers=JSON)
    status, answer, _ = client.post(b"\xff\xff")
    assert (status, answer["Content-Type"]) == (400, "application/x-protobuf")
    status, answer, text = client.post(b"{}", headers=JSON)
    assert (status, answer["Content-Type"], text) == (200, "application/json", b"{}")


def test_refusals_for_load_are_answered_in_json(gateway, raw_backend, clients):
    """If it failed, a client that speaks JSON would not know that it may try again."""
    silent = raw_backend(lambda *_: None)
    queue = {"queue_size": 1, "num_consumers": 1}
    running = gateway(
        config({"otlp": exporter(silent, sending_queue=queue, timeout="60s")}, signals=["traces"]),
        "--shutdown-timeout",
        "1",
    )
    client = clients.http(running)
    body = encode(data.spans(1)).encode()
    answers = [client.post(body, headers=JSON) for _ in range(4)]
    status, answer, text = answers[-1]
    assert (status, answer["Content-Type"], answer["Retry-After"]) == (503, "application/json", "1")
    parsed = json.loads(text)
    assert parsed["code"] == 14 and "queue_size 1" in parsed["message"]
    assert parsed["details"][0]["retryDelay"] == "1s"
    running.terminate()
    assert running.wait() == 3


def test_json_over_http2(target, others):
    """If it failed, clients that speak HTTP/2 could not send JSON."""
    client = RawHTTP2(target.gateway.http_port)
    try:
        for body, status, answered in [
            (encode(data.spans(2)).encode(), "200", b"{}"),
            (b"", "400", b'{"code":3,"message":"the JSON text ends early at byte 0"}'),
        ]:
            stream = client.open("/v1/traces", content_type="application/json", te=None)
            client.send(stream, body)
            answer = client.answer(stream)
            assert (answer["head"][":status"], answer["body"]) == (status, answered)
            assert answer["head"]["content-type"] == "application/json"
    finally:
        client.close()
