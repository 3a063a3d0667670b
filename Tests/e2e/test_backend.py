"""A backend that is absent, slow, broken or unwilling costs what it must, and nothing is unaccounted for."""

import itertools
import random
import socket
import threading
import time

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import data
from backend import refuse
from client import error_retry_seconds
from conftest import config, exporter
from gateway import LOOPBACK, Balance, free_port, wait_until
from load import Load

RETRYABLE = {1, 4, 10, 11, 14, 15}
CODES = {code.value[0]: code for code in grpc.StatusCode}
SMALL_BATCH = {"batch": {"timeout": "20ms", "send_batch_size": 100}}


def counts(gateway, name="otlp"):
    """Spans of one exporter: sent, failed, dropped, pending."""
    page = gateway.metrics()
    assert page.sum("otelcol_receiver_accepted_spans") == Balance(gateway, [name]).check(page)
    values = [
        page.sum(f"otelcol_exporter_{part}_spans", exporter=name)
        for part in ("sent", "send_failed", "enqueue_failed")
    ]
    return (*values, page.sum("sluice_exporter_pending_items", exporter=name, data_type="traces"))


def settled(gateway, sent, failed=0, dropped=0, name="otlp"):
    """Waits until the counters of an exporter are these, and nothing is pending."""
    expected = (sent, failed, dropped, 0)
    wait_until(lambda: counts(gateway, name) == expected, lambda: f"{expected}, but {counts(gateway, name)}")


class Script:
    """Answers of a backend one after another, then OK."""

    def __init__(self, *steps):
        self.steps = iter(steps)
        self.lock = threading.Lock()

    def __call__(self, request, context):
        with self.lock:
            step = next(self.steps, None)
        return step(context) if step else None


def status(code, seconds=None):
    return lambda context: refuse(context, CODES[code], seconds)


def test_a_backend_that_comes_after_the_gateway(gateway, backend, clients):
    """If it failed, the order in which containers start would decide whether telemetry arrives."""
    port = free_port()
    running = gateway(config({"otlp": exporter(f"{LOOPBACK}:{port}")}, SMALL_BATCH))
    clients.grpc(running).export(data.spans(10))
    clients.http(running).export(data.spans(10, first=10))
    assert counts(running) == (0, 0, 0, 20)
    tempo = backend(port=port)
    wait_until(lambda: len(data.span_names(tempo.received())) >= 20, "the spans of before")
    settled(running, 20)


def test_a_backend_that_goes_and_comes_back(gateway, backend):
    """If it failed, a restart of the backend would lose spans."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo)}, SMALL_BATCH))
    with Load(running, clients=3) as load:
        wait_until(lambda: len(tempo.received()) > 5, "the first batches")
        tempo.stop()
        before = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > before + 500, "spans taken without a backend")
        tempo.start()
        after = len(tempo.received())
        wait_until(lambda: len(tempo.received()) > after + 5, "batches after the return")
    assert load.refusals == []
    # What was on the wire when the backend went may come twice: at least once is the promise.
    wait_until(lambda: counts(running)[3] == 0, "everything sent")
    assert set(data.span_names(tempo.received())) == load.acknowledged
    settled(running, len(load.acknowledged))


def test_a_slow_backend(gateway, backend):
    """If it failed, a slow backend would make clients fail, though there is room to wait in."""
    tempo = backend(answer=lambda request, context: time.sleep(0.1))
    running = gateway(config({"otlp": exporter(tempo)}, SMALL_BATCH))
    load = Load(running, clients=3, requests=100).start().join()
    assert load.refusals == []
    settled(running, 3000)
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)


def test_a_backend_that_does_not_answer_in_time(gateway, backend, clients):
    """If it failed, one lost answer would hold a batch, and its place in the queue, for ever."""
    release = threading.Event()
    tempo = backend(answer=Script(lambda context: release.wait(20) and None))
    running = gateway(config({"otlp": exporter(tempo, timeout="300ms")}))
    try:
        clients.grpc(running).export(data.spans(5))
        settled(running, 5)
    finally:
        release.set()
    assert tempo.calls == 2


def test_a_backend_that_asks_for_new_connections(gateway, backend):
    """If it failed, a backend behind a load balancer, which ends connections by their age, would cost spans.
    """
    tempo = backend(options=[("grpc.max_connection_age_ms", 150), ("grpc.max_connection_age_grace_ms", 5000)])
    running = gateway(config({"otlp": exporter(tempo)}, SMALL_BATCH))
    with Load(running, clients=3) as load:
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() > begin + 1.5, "some connections' lives")
    assert load.refusals == []
    settled(running, len(load.acknowledged))
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)


def test_a_backend_that_accepts_and_says_nothing(gateway, clients, owned):
    """If it failed, a backend whose process hangs would hold batches for ever."""
    silent = socket.create_server((LOOPBACK, 0))
    owned.callback(silent.close)
    endpoint = f"{LOOPBACK}:{silent.getsockname()[1]}"
    running = gateway(
        config(
            {
                "otlp": exporter(
                    endpoint,
                    timeout="200ms",
                    retry_on_failure={"max_interval": "100ms", "max_elapsed_time": "1s"},
                )
            },
            SMALL_BATCH,
        )
    )
    clients.grpc(running).export(data.spans(50, padding=50_000))
    settled(running, 0, failed=50)


def cut(connection, stream, headers, body, sock):
    sock.close()


def reset(connection, stream, headers, body, sock):
    connection.reset_stream(stream, 2)


def refuse_stream(connection, stream, headers, body, sock):
    connection.reset_stream(stream, 7)


def go_away(connection, stream, headers, body, sock):
    connection.close_connection(last_stream_id=0)


def bad_gateway(connection, stream, headers, body, sock):
    connection.send_headers(stream, [(":status", "503"), ("content-type", "text/html")])
    connection.send_data(stream, b"<h1>no backend</h1>", end_stream=True)


def half_an_answer(connection, stream, headers, body, sock):
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    sock.sendall(connection.data_to_send())
    sock.close()


def garbage(connection, stream, headers, body, sock):
    sock.sendall(b"\xff" * 1000)


@pytest.mark.parametrize(
    "fault",
    [cut, reset, refuse_stream, go_away, bad_gateway, half_an_answer, garbage],
    ids=lambda fault: fault.__name__,
)
def test_a_backend_that_breaks_the_connection(gateway, raw_backend, clients, fault):
    """If it failed, a proxy that restarts between gateway and backend would lose spans."""
    faults = itertools.chain([fault] * 3, itertools.repeat(None))

    def act(*call):
        (next(faults) or server.accept)(*call)

    server = raw_backend(act)
    running = gateway(config({"otlp": exporter(server)}))
    client = clients.grpc(running)
    client.export(data.spans(5))
    settled(running, 5)
    client.export(data.spans(5))
    settled(running, 10)
    assert len(server.requests) == 5


@pytest.fixture(scope="module")
def scripted(module_gateway, module_backend, module_clients):
    """A gateway whose backend answers as each test says."""
    tempo = module_backend()
    running = module_gateway(config({"otlp": exporter(tempo, divide_refused_batches=False)}))
    return tempo, running, module_clients.grpc(running)


@pytest.mark.parametrize("code", range(1, 17), ids=lambda code: CODES[code].name)
def test_every_status_of_a_backend(scripted, code):
    """If it failed, spans that a second try would save were lost, or hopeless ones would be sent for ever."""
    tempo, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    tempo.clear()
    tempo.answer = Script(status(code), status(code))
    client.export(data.spans(7))
    if code in RETRYABLE:
        settled(running, sent + 7, failed, dropped)
        assert tempo.calls == 3
    else:
        settled(running, sent, failed + 7, dropped)
        assert tempo.calls == 1
        assert "Dropping data" in running.log
        assert "as told" in running.log


@pytest.mark.parametrize("code", [8, 14])
def test_a_backend_that_says_when_to_come_again(scripted, code):
    """If it failed, an overloaded backend would be pressed on, or its wish to wait be taken for a final no.
    """
    tempo, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    tempo.clear()
    tempo.answer = Script(status(code, seconds=0.6))
    begin = time.monotonic()
    client.export(data.spans(3))
    settled(running, sent + 3, failed, dropped)
    assert tempo.calls == 2
    assert tempo.arrivals[0] - begin >= 0.6


def test_partial_success(scripted):
    """If it failed, rejected spans would be counted as delivered, or all be sent again."""
    tempo, running, client = scripted
    sent, failed, dropped, _ = counts(running)
    tempo.clear()

    def answer(request, context):
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = 2
        response.partial_success.error_message = "two are too old"
        return response

    tempo.answer = answer
    client.export(data.spans(5))
    settled(running, sent + 3, failed + 2, dropped)
    assert tempo.calls == 1
    assert "two are too old" in running.log


def test_max_elapsed_time(gateway, backend, clients):
    """If it failed, batches that nobody takes would hold their memory for ever."""
    tempo = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.UNAVAILABLE))
    running = gateway(
        config(
            {
                "otlp": exporter(
                    tempo,
                    retry_on_failure={
                        "initial_interval": "50ms",
                        "max_interval": "100ms",
                        "max_elapsed_time": "500ms",
                    },
                )
            }
        )
    )
    begin = time.monotonic()
    clients.grpc(running).export(data.spans(4))
    settled(running, 0, failed=4)
    assert time.monotonic() - begin >= 0.35
    assert tempo.calls >= 4
    assert "max_elapsed_time" in running.log


def test_retries_switched_off(gateway, backend, clients):
    """If it failed, a user who wants no retries would get duplicates."""
    tempo = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.UNAVAILABLE))
    running = gateway(config({"otlp": exporter(tempo, retry_on_failure={"enabled": False})}))
    clients.grpc(running).export(data.spans(4))
    settled(running, 0, failed=4)
    assert tempo.calls == 1


@pytest.mark.parametrize("processors", [{}, SMALL_BATCH], ids=["direct", "batched"])
def test_a_full_queue(gateway, backend, clients, processors):
    """If it failed, spans would be acknowledged that there is no room for."""
    open_again = threading.Event()
    tempo = backend(answer=lambda request, context: open_again.wait(20) and None)
    running = gateway(
        config(
            {"otlp": exporter(tempo, timeout="30s", sending_queue={"queue_size": 3, "num_consumers": 1})},
            processors,
        )
    )
    try:
        with Load(running, clients=2, transport="grpc") as load, Load(
            running, clients=2, transport="http"
        ) as more:
            wait_until(lambda: load.refusals and more.refusals, "refusals on both transports")
            page = running.metrics()
            assert page.sum("otelcol_exporter_queue_size", data_type="traces") <= 3
            assert page.sum("otelcol_exporter_queue_capacity", data_type="traces") == 3
            assert page.sum("otelcol_receiver_refused_spans") > 0
    finally:
        open_again.set()
    assert {(code, seconds > 0) for code, seconds in load.refusals} == {(grpc.StatusCode.UNAVAILABLE, True)}
    assert {(code, int(seconds) > 0) for code, seconds in more.refusals} == {(503, True)}
    settled(running, len(load.acknowledged) + len(more.acknowledged))
    assert sorted(data.span_names(tempo.received())) == sorted([*load.acknowledged, *more.acknowledged])


def test_wait_for_result(gateway, backend, clients):
    """If it failed, a client that wants to know would be told that its spans arrived when they did not."""
    tempo = backend()
    running = gateway(
        config(
            {
                "otlp": exporter(
                    tempo, sending_queue={"wait_for_result": True}, retry_on_failure={"enabled": False}
                )
            },
            SMALL_BATCH,
        )
    )
    client, http = clients.grpc(running), clients.http(running)
    client.export(data.spans(3))
    assert len(data.span_names(tempo.received())) == 3
    http.export(data.spans(3, first=3))
    assert len(data.span_names(tempo.received())) == 6

    tempo.answer = lambda request, context: refuse(context, grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(grpc.RpcError) as caught:
        client.export(data.spans(1))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert http.post(data.spans(1).SerializeToString())[0] == 400

    tempo.answer = lambda request, context: refuse(context, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(grpc.RpcError) as caught:
        client.export(data.spans(1))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert error_retry_seconds(caught.value) > 0
    status, headers, _ = http.post(data.spans(1).SerializeToString())
    assert (status, int(headers["Retry-After"]) > 0) == (503, True)


@pytest.mark.parametrize("divides", [False, True])
def test_everything_adds_up_while_the_backend_does_all_of_it(gateway, backend, divides):
    """If it failed, an operator could not see where spans were lost."""
    dice = random.Random(1)
    outcomes = {}
    lock = threading.Lock()

    def answer(request, context):
        with lock:
            fate = dice.random()
            if fate < 0.2:
                kind, count = "refused", data.item_count(request)
            elif fate < 0.9:
                kind, count = "kept", data.item_count(request)
            else:
                kind, count = "again", 0
            outcomes[kind] = outcomes.get(kind, 0) + count
        if kind == "refused":
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT)
        if kind == "again":
            refuse(context, grpc.StatusCode.UNAVAILABLE)

    tempo = backend(answer=answer)
    running = gateway(config({"otlp": exporter(tempo, divide_refused_batches=divides)}, SMALL_BATCH))
    with Balance(running, ["otlp"]) as balance:
        load = Load(running, clients=4, requests=150).start().join()
        wait_until(lambda: counts(running)[3] == 0, "everything sent or refused")
    if divides:
        # What was refused once may have been taken in parts.
        outcomes["refused"] = 6000 - outcomes["kept"]
    settled(running, outcomes["kept"], outcomes["refused"])
    assert balance.pages > 20
    assert load.refusals == []
    assert outcomes["kept"] + outcomes["refused"] == len(load.acknowledged) == 6000
    assert len(data.span_names(tempo.received())) == outcomes["kept"]
