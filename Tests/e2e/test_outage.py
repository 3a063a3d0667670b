"""What the other destinations and the memory feel of one that is gone for long. SLUICE_LONG=1: ten minutes."""

import os
import time

import pytest

from conftest import config, exporter, one_load_at_a_time
from gateway import LOOPBACK, Balance, free_port, wait_until
from load import Load
from tally import Tally, tallied

pytestmark = one_load_at_a_time
LONG = bool(os.environ.get("SLUICE_LONG"))
MIB = 1 << 20
LIMIT_MIB = 256


def rate(load, seconds):
    """Spans acknowledged in a second."""
    before, begun = load.acknowledged.distinct(), time.monotonic()
    time.sleep(seconds)
    return (load.acknowledged.distinct() - before) / (time.monotonic() - begun)


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_one_of_three_destinations_is_dead(gateway, backend, tmp_path, place):
    """If it failed, one dead backend would cost the others items, speed or memory, or never get what waits for it."""
    one, two, dead = backend(), backend(), backend()
    tallies = [tallied(each) for each in (one, two, dead)]
    queue = {"queue_size": 16 * MIB, "sizer": "bytes"} if place == "memory" else {
        "queue_size": 1_000_000, "storage": "file_storage"
    }
    retry = {"max_elapsed_time": "0s"}
    configuration = config(
        {
            "otlp/one": exporter(one),
            "otlp/two": exporter(two),
            "otlp/dead": exporter(dead, sending_queue=queue, retry_on_failure=retry),
        },
        {
            "memory_limiter": {"check_interval": "100ms", "limit_mib": LIMIT_MIB},
            "batch": {"timeout": "20ms", "send_batch_size": 500},
        },
        signals=("traces",),
        extensions=["file_storage"],
    )
    configuration["extensions"] = {"file_storage": {"directory": str(tmp_path)}}
    running = gateway(configuration)
    load = Load(running, clients=4, spans=25, padding=50)
    load.acknowledged = Tally()
    with Balance(running, ["otlp/one", "otlp/two", "otlp/dead"]) as balance:
        balance.pause = 0.2
        load.start()
        time.sleep(1)
        healthy = rate(load, 3)
        dead.stop()
        begun = time.monotonic()
        time.sleep(1)
        outage = rate(load, 3)
        if LONG:
            # Ten minutes at a pace that leaves the machine to others.
            load.pause = 0.02
            time.sleep(600 - (time.monotonic() - begun))
        seconds = time.monotonic() - begun
        load.pause = 0
        late = rate(load, 3)
        peak = running.peak_bytes()
        page = running.metrics()
        waiting = page.sum("sluice_exporter_pending_items", exporter="otlp/dead")
        lost = page.sum("otelcol_exporter_enqueue_failed_spans", exporter="otlp/dead")
        dead.start()
        returned = time.monotonic()
        load.stop()
        assert load.refusals == []
        wait_until(
            lambda: running.metrics().sum("sluice_exporter_pending_items") == 0,
            lambda: running.metrics().text,
            timeout=120,
        )
        drained = time.monotonic() - returned
    print(
        f"{place}: dead for {seconds:.0f} s; {load.acknowledged.distinct()} spans accepted;"
        f" {healthy:.0f} spans/s before, {outage:.0f} and {late:.0f} with one dead;"
        f" {peak / MIB:.0f} MiB resident at most of {LIMIT_MIB};"
        f" {waiting} waited, {lost} had no room; the queue was gone {drained:.1f} s after the return"
    )
    for tally in tallies[:2]:
        assert tally.most() == 1 and tally.lacks(load.acknowledged) == 0, "exactly once"
        assert tally.total() == load.acknowledged.distinct()
    assert min(outage, late) > healthy / 2
    assert peak < LIMIT_MIB * MIB
    assert waiting > 0
    page = running.metrics()
    dropped = page.sum("otelcol_exporter_enqueue_failed_spans", exporter="otlp/dead")
    assert page.sum("otelcol_exporter_send_failed_spans", exporter="otlp/dead") == 0
    # What the connection's end left without an answer may have come, and come again.
    assert tallies[2].distinct() >= load.acknowledged.distinct() - dropped
    if place == "disk":
        assert dropped == 0 and tallies[2].lacks(load.acknowledged) == 0
    running.stop()
