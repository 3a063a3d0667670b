"""The otlp_http exporter against a strict server: all arrives once, and answers mean what OTLP says."""

import email.utils
import gzip
import itertools
import json
import random
import threading
import time

import pytest
from google.rpc import status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

import data
from conftest import backends, config, exporter
from gateway import LOOPBACK, Balance, command, free_port, wait_until
from http_backend import PROTOBUF, HTTPBackend
from load import Load
from test_backend import SMALL_BATCH, counts, settled

NAME = "otlp_http"
RETRYABLE = {429, 502, 503, 504}


@pytest.fixture
def http_backend(owned):
    return backends(HTTPBackend, owned)


def http_exporter(backend, **keys):
    """An otlp_http exporter that is quick to try again; keys of its parts are merged."""
    base = {
        "endpoint": backend if isinstance(backend, str) else backend.url,
        "compression": "none",
        "timeout": "5s",
        "retry_on_failure": {"initial_interval": "20ms", "max_interval": "100ms", "max_elapsed_time": "60s"},
    }
    for key, value in keys.items():
        base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) else value
    return base


class Script:
    """Answers one after another, then 200."""

    def __init__(self, *steps):
        self.steps = iter(steps)
        self.lock = threading.Lock()

    def __call__(self, request, handler):
        with self.lock:
            step = next(self.steps, None)
        if isinstance(step, Exception):
            raise step
        return step


def refusal(status, **fields):
    message = status_pb2.Status(code=3, message="as told")
    return status, {"Content-Type": PROTOBUF, **{k.replace("_", "-"): v for k, v in fields.items()}}, message


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "snappy", "x-snappy-framed"])
@pytest.mark.parametrize(
    "signal, requests", [("traces", data.spans), ("metrics", data.points), ("logs", data.records)]
)
def test_every_signal_arrives_as_it_was(
    gateway, http_backend, clients, signal, requests, compression, encoding
):
    """If it failed, what a backend stores would not be what the application sent."""
    store = http_backend()
    keys = {"compression": compression, "encoding": encoding}
    running = gateway(config({NAME: http_exporter(store, **keys)}, SMALL_BATCH))
    sent = requests(25)
    clients.grpc(running).export(sent)
    wait_until(lambda: store.received(signal), "the request")
    assert data.item_count(store.received(signal)[0]) == 25
    assert store.received(signal)[0] == sent
    assert store.heads[0]["Content-Encoding"] == (None if compression == "none" else compression)
    assert store.heads[0]["Content-Type"] == {"proto": PROTOBUF, "json": "application/json"}[encoding]
    assert store.heads[0]["User-Agent"].startswith("sluice/")
    assert store.faults == []


@pytest.mark.parametrize("recompress", ["auto", "always", "never"])
def test_gzip_is_passed_on(gateway, http_backend, clients, recompress):
    """If it failed, what clients have compressed would be compressed again, at most of an export's cost."""
    store = http_backend()
    running = gateway(config({NAME: http_exporter(store, compression="gzip", recompress=recompress)}))
    came = gzip.compress(data.spans(50).SerializeToString(), 9)
    client = clients.http(running)
    assert client.post(came, headers={"Content-Encoding": "gzip"})[0] == 200
    wait_until(lambda: len(store.bodies) == 1, "the compressed request")
    assert (store.bodies[0] == came) == (recompress != "always")
    assert client.post(data.spans(50, first=50).SerializeToString())[0] == 200
    wait_until(lambda: len(store.bodies) == 2, "the plain request")
    assert store.heads[1]["Content-Encoding"] == (None if recompress == "never" else "gzip")
    assert sorted(map(int, data.span_names(store.received()))) == list(range(100))
    assert store.faults == []


@pytest.mark.parametrize("compression", ["zstd", "snappy", "x-snappy-framed"])
def test_gzip_becomes_what_the_backend_wants(gateway, http_backend, clients, compression):
    """If it failed, members of gzip would be sent under another name, which no backend could read."""
    store = http_backend()
    keys = {"compression": compression}
    if compression == "zstd":
        keys["compression_params"] = {"level": 9}
    running = gateway(config({NAME: http_exporter(store, **keys)}, {"batch": {"timeout": "100ms"}}))
    client = clients.http(running)
    for first in range(0, 200, 50):
        client.export(data.spans(50, first=first), compressed=first % 100 == 0)
    wait_until(lambda: len(data.span_names(store.received())) == 200, "all spans")
    assert {head["Content-Encoding"] for head in store.heads} == {compression}
    assert store.faults == []


def test_addresses_headers_and_credentials(gateway, http_backend, clients):
    """If it failed, the native endpoints of Loki and Tempo, which have their own paths, could not be used."""
    paths = {"/otlp/v1/logs": "logs", "/tempo?x=1": "traces", "/otlp/v1/metrics": "metrics"}
    store = http_backend(paths=paths)
    url = f"http://user:pa%3Ass@{LOOPBACK}:{store.port}/otlp/"
    headers = {"X-Scope-OrgID": "shop", "user-agent": "me"}
    keys = {"traces_endpoint": f"{store.url}/tempo?x=1", "headers": headers}
    running = gateway(config({"otlphttp": http_exporter(url, **keys)}))
    client = clients.grpc(running)
    client.export(data.records(1))
    wait_until(lambda: store.received("logs"), "the logs")
    client.export(data.points(1))
    wait_until(lambda: store.received("metrics"), "the metrics")
    client.export(data.spans(1))
    wait_until(lambda: store.received(), "the spans")
    assert [head["Authorization"] for head in store.heads] == ["Basic dXNlcjpwYTpzcw=="] * 2 + [None]
    assert all(head["X-Scope-OrgID"] == "shop" and head["User-Agent"] == "me" for head in store.heads)
    assert store.faults == []


def test_connections_are_kept(gateway, http_backend):
    """If it failed, every batch would cost a handshake."""
    store = http_backend()
    running = gateway(config({NAME: http_exporter(store, sending_queue={"num_consumers": 3})}, SMALL_BATCH))
    load = Load(running, clients=3, requests=100).start().join()
    settled(running, 3000, name=NAME)
    assert sorted(data.span_names(store.received())) == sorted(load.acknowledged)
    assert store.connections <= 3 < store.calls
    assert store.faults == []


@pytest.fixture(scope="module")
def scripted(module_owned, module_gateway, module_clients):
    """A gateway whose backend answers as each test says."""
    store = backends(HTTPBackend, module_owned)()
    running = module_gateway(config({NAME: http_exporter(store, divide_refused_batches=False)}))
    return store, running, module_clients.grpc(running)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 501, 502, 503, 504])
def test_every_status(scripted, status):
    """If it failed, spans that a second try would save were lost, or hopeless ones would be sent for ever."""
    store, running, client = scripted
    sent, failed, dropped, _ = counts(running, NAME)
    store.clear()
    store.answer = Script(refusal(status), refusal(status))
    client.export(data.spans(7))
    if status in RETRYABLE:
        settled(running, sent + 7, failed, dropped, NAME)
        assert store.calls == 3
    else:
        settled(running, sent, failed + 7, dropped, NAME)
        assert store.calls == 1
        assert f"HTTP status {status}: as told" in running.log


def test_what_is_too_large_is_cut(scripted):
    """If it failed, one batch beyond a backend's limit would be lost though its parts fit."""
    store, running, client = scripted
    sent, failed, dropped, _ = counts(running, NAME)
    store.clear()
    store.answer = lambda request, handler: refusal(413) if data.item_count(request) > 2 else None
    client.export(data.spans(7))
    settled(running, sent + 7, failed, dropped, NAME)
    assert sorted(data.span_names(store.received())) == [str(number) for number in range(7)]
    store.answer = lambda request, handler: refusal(413)
    client.export(data.spans(2))
    settled(running, sent + 7, failed + 2, dropped, NAME)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_backend_that_says_when_to_come_again(scripted, status, form):
    """If it failed, an overloaded backend would be pressed on."""
    store, running, client = scripted
    sent, failed, dropped, _ = counts(running, NAME)
    store.clear()
    times = []

    def answer(request, handler):
        times.append(time.time())
        if len(times) > 1:
            return None
        later = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
        return refusal(status, Retry_After=later)

    store.answer = answer
    client.export(data.spans(3))
    settled(running, sent + 3, failed, dropped, NAME)
    # A date has whole seconds.
    assert times[1] - times[0] >= 0.95


def test_partial_success(scripted):
    """If it failed, rejected records would be counted as delivered, or all be sent again."""
    store, running, client = scripted
    store.clear()
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 2
    response.partial_success.error_message = "two are too old"
    store.answer = Script(response)
    client.export(data.records(5))
    labels = {"exporter": NAME}
    sent = "otelcol_exporter_sent_log_records"
    wait_until(lambda: running.metrics().sum(sent, **labels) == 3, "three sent")
    assert running.metrics().sum("otelcol_exporter_send_failed_log_records", **labels) == 2
    assert store.calls == 1
    assert "two are too old" in running.log


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionError(),
        (503, {}, b"x" * (4 << 20)),
        (429, {"Content-Type": PROTOBUF}, b"\xff\xff\xff"),
        (200, {"Content-Type": PROTOBUF, "Content-Length": "100"}, b""),
        (103, {}, b""),
    ],
    ids=["closes", "long error", "broken status", "half an answer", "interim only"],
)
def test_a_backend_that_misbehaves(scripted, fault):
    """If it failed, one odd answer would cost data or memory."""
    store, running, client = scripted
    sent, failed, dropped, _ = counts(running, NAME)
    store.clear()

    def answer(request, handler):
        step = next(steps, None)
        if step is not None and not isinstance(step, Exception):
            handler.close_connection = True
        if isinstance(step, Exception):
            raise step
        return step

    steps = iter([fault])
    store.answer = answer
    running.forget_peak()
    before = running.peak_bytes()
    client.export(data.spans(4))
    settled(running, sent + 4, failed, dropped, NAME)
    assert running.peak_bytes() - before < 16 << 20


def test_redirects_are_refused(scripted, http_backend):
    """If it failed, telemetry and credentials would go where an attacker, or a login page, sends them."""
    store, running, client = scripted
    sent, failed, dropped, _ = counts(running, NAME)
    store.clear()
    elsewhere = http_backend()
    store.answer = Script((307, {"Location": f"{elsewhere.url}/v1/traces"}, b""))
    client.export(data.spans(6))
    settled(running, sent, failed + 6, dropped, NAME)
    assert elsewhere.calls == 0
    assert f"{elsewhere.url}/v1/traces" in running.log


def test_a_backend_that_does_not_answer_in_time(gateway, http_backend, clients):
    """If it failed, one lost answer would hold a batch, and its place in the queue, for ever."""
    release = threading.Event()
    first = itertools.count()
    store = http_backend(answer=lambda request, handler: next(first) == 0 and release.wait(20) and None)
    running = gateway(config({NAME: http_exporter(store, timeout="300ms")}))
    try:
        clients.grpc(running).export(data.spans(5))
        settled(running, 5, name=NAME)
    finally:
        release.set()
    assert store.calls == 2


def test_a_backend_that_goes_and_comes_back(gateway, http_backend):
    """If it failed, a restart of the backend would lose spans."""
    port = free_port()
    running = gateway(config({NAME: http_exporter(f"http://{LOOPBACK}:{port}")}, SMALL_BATCH))
    with Load(running, clients=3) as load:
        wait_until(lambda: len(load.acknowledged) > 500, "spans taken without a backend")
        store = http_backend(port=port)
        wait_until(lambda: len(store.received()) > 5, "batches after it came")
    assert load.refusals == []
    wait_until(lambda: counts(running, NAME)[3] == 0, "everything sent")
    assert set(data.span_names(store.received())) == load.acknowledged
    assert store.faults == []


@pytest.mark.parametrize("divides", [False, True])
def test_everything_adds_up_while_the_backend_does_all_of_it(gateway, http_backend, divides):
    """If it failed, an operator could not see where spans were lost."""
    dice, lock, outcomes = random.Random(1), threading.Lock(), {"kept": 0, "refused": 0}

    def answer(request, handler):
        with lock:
            fate = dice.random()
            if fate < 0.2:
                outcomes["refused"] += data.item_count(request)
            elif fate < 0.8:
                outcomes["kept"] += data.item_count(request)
        if fate < 0.2:
            return refusal(400)
        if fate < 0.8:
            return None
        if fate < 0.9:
            return refusal(503)
        raise ConnectionError

    store = http_backend(answer=answer)
    running = gateway(config({NAME: http_exporter(store, divide_refused_batches=divides)}, SMALL_BATCH))
    with Balance(running, [NAME]) as balance:
        load = Load(running, clients=4, requests=150).start().join()
        wait_until(lambda: counts(running, NAME)[3] == 0, "everything sent or refused")
    if divides:
        # What was refused once may have been taken in parts.
        outcomes["refused"] = 6000 - outcomes["kept"]
    settled(running, outcomes["kept"], outcomes["refused"], name=NAME)
    assert balance.pages > 20
    assert load.refusals == []
    assert outcomes["kept"] + outcomes["refused"] == len(load.acknowledged) == 6000
    assert len(data.span_names(store.received())) == outcomes["kept"]


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"endpoint": "tempo:4318"}, "write endpoint: http://tempo:4318 or https://tempo:4318"),
        ({"endpoint": ""}, "either endpoint or traces_endpoint must be specified"),
        ({"endpoint": "http://a", "insecure": True}, 'write it under "tls:"'),
        ({"endpoint": "http://a?x=1"}, "has a query"),
        ({"endpoint": "ftp://a"}, 'has the scheme "ftp"'),
        ({"endpoint": "http://u:secret@a:x"}, "has the port"),
        ({"endpoint": "http://a", "encodin": "proto"}, 'did you mean "encoding"?'),
        ({"logs_endpoint": "http://a/x"}, None),
    ],
)
def test_mistakes(tmp_path, keys, words):
    """If it failed, an operator would learn of a mistake from lost data."""
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config({NAME: keys}, signals=["logs"])))
    done = command("validate", "--config", file)
    text = done.stdout + done.stderr
    assert (done.returncode == 0) == (words is None), text
    assert words is None or words in text, text
    assert "secret" not in text


def test_ports_that_were_taken_for_each_other_are_named(gateway, backend, http_backend):
    """If it failed, an operator would have to guess from "connection lost" that 4317 and 4318 are swapped."""
    grpc_port, http_port = backend(), http_backend()
    exporters = {
        "otlp_grpc": exporter(f"{LOOPBACK}:{http_port.port}"),
        NAME: http_exporter(f"http://{grpc_port.endpoint}"),
    }
    running = gateway(config(exporters))
    load = Load(running, clients=1, requests=1).start().join()
    assert load.refusals == []
    for words in ("write otlp_http instead of otlp_grpc", "write otlp_grpc instead of otlp_http"):
        wait_until(lambda words=words: words in running.log, words)
    running.kill()
