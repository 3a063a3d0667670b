"""Several destinations: each has its own fate."""

import threading

import grpc

import data
from backend import refuse
from conftest import config, exporter
from gateway import LOOPBACK, Balance, free_port, wait_until
from load import Load

BATCH = {"batch": {"timeout": "20ms", "send_batch_size": 50}}


def test_a_dead_destination_does_not_disturb_the_other(gateway, backend):
    """If it failed, one dead backend would take the others down with it."""
    tempo = backend()
    running = gateway(
        config(
            {
                "otlp/alive": exporter(tempo),
                "otlp/dead": exporter(f"{LOOPBACK}:{free_port()}", sending_queue={"queue_size": 2}),
            },
            BATCH,
        ),
        "--shutdown-timeout",
        1,
    )
    with Balance(running, ["otlp/alive", "otlp/dead"]):
        load = Load(running, clients=4, requests=200).start().join()
        assert load.refusals == []
        wait_until(lambda: len(data.span_names(tempo.received())) >= 8000, "all spans at the living backend")
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_spans", exporter="otlp/alive") == 8000
    assert page.sum("otelcol_exporter_sent_spans", exporter="otlp/dead") == 0
    # What its queue had no room for was dropped and counted.
    assert page.sum("otelcol_exporter_enqueue_failed_spans", exporter="otlp/dead") > 7000
    assert "otlp/dead" in running.log
    running.terminate()
    assert running.wait() == 3
    assert "otlp/alive" not in [line for line in running.log.splitlines() if "not delivered" in line][0]


def test_a_hanging_and_a_refusing_destination(gateway, backend):
    """As with a dead one."""
    flows = threading.Event()
    tempo = backend()
    hanging = backend(answer=lambda request, context: flows.wait(30) and None)
    refusing = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.INVALID_ARGUMENT))
    running = gateway(
        config(
            {
                "otlp/alive": exporter(tempo),
                "otlp/hanging": exporter(hanging, timeout="30s"),
                "otlp/refusing": exporter(refusing),
            },
            BATCH,
        )
    )
    try:
        with Balance(running, ["otlp/alive", "otlp/hanging", "otlp/refusing"]):
            load = Load(running, clients=4, requests=50).start().join()
            wait_until(
                lambda: len(data.span_names(tempo.received())) >= 2000, "all spans at the living backend"
            )
        page = running.metrics()
        assert load.refusals == []
        assert page.sum("sluice_exporter_pending_items", exporter="otlp/hanging", data_type="traces") == 2000
    finally:
        flows.set()
    wait_until(
        lambda: running.metrics().sum("otelcol_exporter_sent_spans", exporter="otlp/hanging") == 2000,
        "all spans at the other one, once it goes on",
    )
    wait_until(
        lambda: running.metrics().sum("otelcol_exporter_send_failed_spans", exporter="otlp/refusing") == 2000,
        "all refusals counted",
    )


def test_pipelines_of_one_signal_have_the_same_input(gateway, backend, clients):
    """If it failed, a second pipeline would take spans from the first one."""
    one, two = backend(), backend()
    configuration = config(
        {"otlp/one": exporter(one), "otlp/two": exporter(two), "nop": {}, "debug": {}}, BATCH
    )
    configuration["service"]["pipelines"] = {
        "traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlp/one", "nop"]},
        "traces/2": {"receivers": ["otlp"], "exporters": ["otlp/two", "debug"]},
    }
    running = gateway(configuration)
    request = data.spans(20)
    clients.grpc(running).export(request)
    wait_until(
        lambda: len(data.span_names(one.received())) >= 20 and len(data.span_names(two.received())) >= 20,
        "both",
    )
    assert data.flat(one.received()) == data.flat(two.received()) == data.flat([request])
    for name in ("otlp/one", "otlp/two", "nop", "debug"):
        wait_until(lambda: running.metrics().sum("otelcol_exporter_sent_spans", exporter=name) == 20, name)
