"""At the end nothing is lost that was acknowledged, or it is said what was."""

import signal
import socket
import threading
import time

import grpc
import pytest

import data
from backend import refuse
from client import HTTPClient, RawHTTP2, grpc_message
from conftest import config, exporter, otlp
from gateway import LOOPBACK, fetch, free_port, wait_until
from load import Load

BATCH = {"batch": {"timeout": "200ms", "send_batch_size": 1000}}


# The first one flushes into the second, which must still take it.
TWO_BATCHES = {
    "batch/first": {"timeout": "10s", "send_batch_size": 700},
    "batch/second": {"timeout": "10s", "send_batch_size": 3000},
}


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=lambda ending: ending.name)
@pytest.mark.parametrize("processors", [BATCH, TWO_BATCHES], ids=["one batch", "two batches"])
def test_a_stop_under_load_loses_nothing(gateway, backend, processors, ending):
    """If it failed, every deployment of the gateway would lose spans."""
    tempo = backend(answer=lambda request, context: time.sleep(0.02))
    running = gateway(config({"otlp": exporter(tempo)}, processors))
    loads = [Load(running, clients=4, transport="grpc"), Load(running, clients=4, transport="http")]
    for load in loads:
        load.start()
    wait_until(lambda: all(len(load.acknowledged) > 1000 for load in loads), "some load")
    running.process.send_signal(ending)
    assert running.wait() == 0
    for load in loads:
        load.stop()
    names = data.span_names(tempo.received())
    missing = (loads[0].acknowledged | loads[1].acknowledged) - set(names)
    # The other way round, a request may have been taken whose answer its client did not get any more.
    assert not missing, f"{len(missing)} spans were acknowledged and are not there"
    assert len(names) == len(set(names))
    assert "Shutdown complete." in running.log


def test_a_stop_with_full_batches_and_a_slow_backend(gateway, backend, clients):
    """If it failed, what waits in batch and queue would be lost at the end."""
    tempo = backend(answer=lambda request, context: time.sleep(0.2))
    running = gateway(
        config(
            {"otlp": exporter(tempo, sending_queue={"num_consumers": 2})},
            {"batch": {"timeout": "60s", "send_batch_size": 100, "send_batch_max_size": 100}},
        )
    )
    client = clients.grpc(running)
    for number in range(25):
        client.export(data.spans(41, first=41 * number))
    running.stop()
    assert sorted(map(int, data.span_names(tempo.received()))) == list(range(25 * 41))


def test_a_stop_without_a_backend_says_what_is_lost(gateway, clients):
    """If it failed, the gateway would not end in time and be killed, and nobody would know what was lost."""
    running = gateway(
        config({"otlp": exporter(f"{LOOPBACK}:{free_port()}", timeout="60s")}, BATCH), "--shutdown-timeout", 2
    )
    clients.grpc(running).export(data.spans(37))
    begin = time.monotonic()
    running.terminate()
    assert running.wait() == 3
    assert time.monotonic() - begin < 6
    assert "37" in next(line for line in running.log.splitlines() if "not delivered" in line)


def test_a_stop_with_a_backend_that_hangs(gateway, backend, clients):
    """If it failed, a hanging backend would keep the gateway from ending."""
    flows = threading.Event()
    tempo = backend(answer=lambda request, context: flows.wait(20) and None)
    running = gateway(config({"otlp": exporter(tempo, timeout="60s")}, BATCH), "--shutdown-timeout", 2)
    clients.grpc(running).export(data.spans(11))
    wait_until(lambda: tempo.calls, "the call")
    begin = time.monotonic()
    running.terminate()
    try:
        assert running.wait() == 3
    finally:
        flows.set()
    assert time.monotonic() - begin < 6
    assert "11" in next(line for line in running.log.splitlines() if "not delivered" in line)


def test_a_second_signal_stops_at_once(gateway, backend, clients):
    """If it failed, an operator who cannot wait would have to kill the gateway, without a word in its log."""
    flows = threading.Event()
    tempo = backend(answer=lambda request, context: flows.wait(20) and None)
    running = gateway(config({"otlp": exporter(tempo, timeout="60s")}, BATCH))
    clients.grpc(running).export(data.spans(11))
    wait_until(lambda: tempo.calls, "the call")
    running.terminate()
    wait_until(lambda: "Received signal" in running.log, "the first signal")
    begin = time.monotonic()
    running.terminate()
    try:
        assert running.wait() == 3
    finally:
        flows.set()
    assert time.monotonic() - begin < 3
    assert "Stopping at once." in running.log


def test_a_hangup_stops_nothing(gateway, backend, clients):
    """If it failed, the signal that makes a Collector read its file anew would end the gateway with all it holds."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo)}, BATCH))
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "needs a restart" in running.log, "advice")
    clients.grpc(running).export(data.spans(11))
    running.stop()
    assert len(data.span_names(tempo.received())) == 11


def test_a_stop_with_clients_that_hang(gateway, backend):
    """If it failed, a client that never ends its request would keep the gateway from ending, or cost it all
    the time."""
    tempo = backend()
    running = gateway(config({"otlp": exporter(tempo)}, BATCH), "--shutdown-timeout", 3)
    half = RawHTTP2(running.grpc_port)
    half.send(half.open(), grpc_message(b"abc", length=100), end_stream=False)
    waiting = HTTPClient(running.http_port)
    waiting.connection.putrequest("POST", "/v1/traces")
    waiting.connection.putheader("Content-Length", "100")
    waiting.connection.endheaders(b"abc")
    wait_until(lambda: running.metrics().sum("sluice_memory_ledger_bytes") > 0, "half a request")
    running.terminate()
    assert running.wait(timeout=8) == 0
    half.close()
    waiting.close()


def test_while_it_stops_it_is_alive_and_not_ready(gateway, backend, clients):
    """If it failed, a load balancer would go on to send to a gateway that ends, or kill it before it has
    drained."""
    flows = threading.Event()
    tempo = backend(answer=lambda request, context: flows.wait(20) and None)
    health_port = free_port()
    configuration = config({"otlp": exporter(tempo)}, BATCH)
    configuration["extensions"] = {"health_check": {"endpoint": f"{LOOPBACK}:{health_port}"}}
    configuration["service"]["extensions"] = ["health_check"]
    running = gateway(configuration)
    clients.grpc(running).export(data.spans(5))
    wait_until(lambda: tempo.calls, "the call")
    running.terminate()
    wait_until(lambda: running.health("ready")[0] == 503, "not ready")
    assert running.health("live") == (200, "live\n")
    assert fetch(f"http://{LOOPBACK}:{health_port}/")[0] == 503
    assert running.metrics().sum("sluice_exporter_pending_items", data_type="traces") == 5
    flows.set()
    assert running.wait() == 0
    assert len(data.span_names(tempo.received())) == 5


def test_a_backend_that_refuses_at_the_end(gateway, backend, clients):
    """If it failed, what the backend refused during the stop would be lost without a word."""
    tempo = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.UNAVAILABLE))
    running = gateway(config({"otlp": exporter(tempo)}), "--shutdown-timeout", 5)
    clients.grpc(running).export(data.spans(9))
    wait_until(lambda: tempo.calls > 1, "a second try")
    running.terminate()
    running.wait()
    assert "9" in next(line for line in running.log.splitlines() if "Dropping data" in line)


def test_a_port_that_is_taken(gateway, backend, owned):
    """If it failed, a second gateway on a host would seem to start, and get nothing."""
    taken = socket.create_server((LOOPBACK, 0))
    owned.callback(taken.close)
    port = taken.getsockname()[1]
    running = gateway(
        config({"otlp": exporter(backend())}, receivers=otlp(grpc={"endpoint": f"{LOOPBACK}:{port}"})),
        is_ready=False,
    )
    assert running.wait() == 1
    assert f"{port}" in running.log
    assert "receivers::otlp::protocols::grpc::endpoint" in running.log


def test_a_request_that_takes_long_does_not_hold_the_stop(gateway):
    """If it failed, a gateway that works on one client's huge request would still be there when its supervisor kills it, without a
    word about what was lost."""
    parse = 'set(log.attributes["x"], ParseXML(log.body))'
    running = gateway(
        config({"nop": {}}, {"transform": {"log_statements": [parse] * 40}}, signals=("logs",)),
        "--shutdown-timeout",
        1,
    )
    request = data.records(1)
    request.resource_logs[0].scope_logs[0].log_records[0].body.string_value = "<a>" + "<b>c</b>" * 250_000 + "</a>"
    body = request.SerializeToString()
    with socket.create_connection((LOOPBACK, running.http_port)) as client:
        head = f"POST /v1/logs HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-protobuf\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        time.sleep(0.5)
        begun = time.monotonic()
        running.terminate()
        assert running.wait(timeout=20) == 3
    # The timeout, three seconds, and some time for a busy machine.
    assert 3 < time.monotonic() - begun < 9
    assert "did not stop within its shutdown timeout" in running.log
