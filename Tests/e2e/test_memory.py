"""When the backend stands still, memory stays within its limit, and what was acknowledged arrives in the end.
"""

import contextlib
import socket
import threading

import grpc
import pytest
from hpack import NeverIndexedHeaderTuple

import data
from client import RawHTTP2, frame, grpc_message
from conftest import MIB, config, exporter, one_load_at_a_time, otlp
from gateway import LOOPBACK, Balance, wait_until
from load import Load

pytestmark = one_load_at_a_time


def test_a_backend_that_stands_still(gateway, backend):
    """If it failed, an outage of the backend would end in the gateway being killed for its memory, with all
    it holds."""
    flows = threading.Event()
    tempo = backend(answer=lambda request, context: flows.wait(60) and None)
    running = gateway(
        config(
            {
                "otlp": exporter(
                    tempo, timeout="60s", sending_queue={"queue_size": 100_000, "num_consumers": 2}
                )
            },
            {
                "memory_limiter": {"check_interval": "100ms", "limit_mib": 64, "spike_limit_mib": 16},
                "batch": {"timeout": "50ms", "send_batch_size": 100},
            },
            signals=["traces"],
        )
    )
    idle = running.resident_bytes()
    try:
        with Balance(running, ["otlp"]):
            loads = [
                Load(running, clients=4, spans=20, padding=10_000, transport="grpc", timeout=30),
                Load(running, clients=2, spans=20, padding=10_000, transport="http", timeout=30),
            ]
            for load in loads:
                load.start()
            wait_until(
                lambda: all(len(load.refusals) > 100 for load in loads), "refusals on both transports", 60
            )
            assert running.health("ready") != (200, "ready\n")
            assert running.health("live")[0] == 200
            peak = running.peak_bytes()
            page = running.metrics()
            flows.set()
            wait_until(running.is_ready, "ready again when the backend is back", 30)
            goods = [len(load.acknowledged) for load in loads]
            wait_until(
                lambda: all(len(load.acknowledged) > good + 1000 for load, good in zip(loads, goods)),
                "spans taken again",
                30,
            )
            for load in loads:
                load.stop()
    finally:
        flows.set()
    # Every refusal tells the client to come again.
    assert {(code, seconds > 0) for code, seconds in loads[0].refusals} == {
        (grpc.StatusCode.UNAVAILABLE, True)
    }
    assert {(code, int(seconds) > 0) for code, seconds in loads[1].refusals} == {(503, True)}
    assert page.sum("sluice_processor_memory_limiter_refused_requests") > 0
    assert page.sum("sluice_memory_ledger_bytes") <= 64 * MIB
    assert peak < idle + 80 * MIB, f"{peak / MIB:.0f} MiB resident at most, {idle / MIB:.0f} MiB when idle"
    acknowledged = len(loads[0].acknowledged) + len(loads[1].acknowledged)
    wait_until(
        lambda: running.metrics().sum("otelcol_exporter_sent_spans") == acknowledged, "all that was taken", 60
    )
    names = sorted(data.span_names(tempo.received()))
    assert names == sorted([*loads[0].acknowledged, *loads[1].acknowledged])
    wait_until(lambda: running.metrics().sum("sluice_memory_ledger_bytes") == 0, "all memory given back")


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_bodies_that_are_only_announced(gateway, backend, clients, transport):
    """If it failed, one client could keep everybody else out with a few bytes a minute."""
    running = gateway(
        config(
            {"otlp": exporter(backend())},
            {"memory_limiter": {"check_interval": "1s", "limit_mib": 64}},
            otlp(grpc={"max_recv_msg_size_mib": 4}, http={"max_request_body_size": 4 * MIB}),
            signals=["traces"],
        )
    )
    with contextlib.ExitStack() as owned:
        if transport == "http":
            for _ in range(100):
                raw = owned.enter_context(socket.create_connection((LOOPBACK, running.http_port)))
                raw.sendall(
                    b"POST /v1/traces HTTP/1.1\r\nHost: g\r\nContent-Type: application/x-protobuf\r\n"
                    b"Content-Length: %d\r\n\r\nabc" % (4 * MIB)
                )
        else:
            raw = RawHTTP2(running.grpc_port)
            owned.callback(raw.close)
            for _ in range(100):
                raw.send(raw.open(), grpc_message(b"abc", length=4 * MIB - 1), end_stream=False)
        # What has come is charged, not what was announced.
        wait_until(lambda: running.metrics().sum("sluice_memory_ledger_bytes") >= 100 * len("abc"), "the beginnings")
        assert running.metrics().sum("sluice_memory_ledger_bytes") < 10 * MIB
        clients.grpc(running).export(data.spans(900, padding=900))
        clients.http(running).export(data.spans(900, padding=900))


def test_header_fields_of_many_streams(gateway, backend, clients):
    """If it failed, a few bytes a stream, by reference to one large field, would fill the memory."""
    running = gateway(config({"otlp": exporter(backend())}, signals=["traces"]))
    clients.grpc(running).export(data.spans(10))
    running.forget_peak()
    before = running.peak_bytes()
    raw = RawHTTP2(running.grpc_port)
    # The large field is the only one in the table, which has room for 4096 bytes.
    fields = [*(NeverIndexedHeaderTuple(*field) for field in raw.head()), ("x-large", "v" * 3900)]
    first, again = (raw.h2.encoder.encode(fields) for _ in range(2))
    assert len(again) < 100
    ping, pong = (frame(6, flags, 0, b"all here") for flags in (0, 1))
    streams = b"".join(frame(1, 4, stream, again) for stream in range(3, 10_001, 2))
    raw.socket.sendall(frame(1, 4, 1, first) + streams + ping)
    answers = b""
    while pong not in answers:
        answers += raw.socket.recv(65536)
    clients.grpc(running).export(data.spans(10))
    grown = running.peak_bytes() - before
    raw.close()
    assert grown < 8 * MIB, f"{grown / MIB:.1f} MiB for 5000 streams"


def test_one_request_larger_than_the_limit(gateway, backend, clients):
    """If it failed, a request that can never fit would be asked to come again for ever, or end the gateway.
    """
    running = gateway(
        config(
            {"otlp": exporter(backend())},
            {"memory_limiter": {"check_interval": "1s", "limit_mib": 48}},
            signals=["traces"],
            receivers={
                "otlp": {
                    "protocols": {
                        "grpc": {"max_recv_msg_size_mib": 64},
                        "http": {"max_request_body_size": 64 * MIB},
                    }
                }
            },
        )
    )
    body = data.spans(1, padding=50 * MIB).SerializeToString()
    status, headers, _ = clients.http(running).post(body)
    assert (status, headers["Retry-After"]) == (413, None)
    clients.http(running).export(data.spans(10))
    assert running.peak_bytes() < 48 * MIB


def test_a_transform_that_makes_data_grow(gateway, backend, clients):
    """If it failed, one statement in a configuration could end the gateway, with requests that are small."""
    tempo = backend()
    statement = 'set(span.attributes["copy"], resource.attributes["pad"])'
    running = gateway(
        config(
            {"otlp": exporter(tempo)},
            {
                "memory_limiter": {"check_interval": "100ms", "limit_mib": 64, "spike_limit_mib": 16},
                "transform": {"trace_statements": [statement]},
            },
            signals=["traces"],
        )
    )
    client = clients.grpc(running)
    idle = running.resident_bytes()
    # 5000 spans, each 100 KB longer: 500 MB of 300 KB.
    large = data.spans(5000)
    large.resource_spans[0].resource.attributes.add(key="pad").value.string_value = "x" * 100_000
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as refused:
            client.export(large)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert running.peak_bytes() < idle + 80 * MIB
    small = data.spans(20)
    small.resource_spans[0].resource.attributes.add(key="pad").value.string_value = "x" * 100_000
    client.export(small)
    wait_until(lambda: tempo.requests, "the small request")
    sent = tempo.requests[0].resource_spans[0].scope_spans[0].spans
    assert len(sent) == 20 and all(len(span.attributes[-1].value.string_value) == 100_000 for span in sent)
    assert running.metrics().sum("sluice_memory_ledger_bytes") < 8 * MIB
