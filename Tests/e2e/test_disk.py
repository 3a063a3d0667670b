"""Stores on a file system that is small, full, or damaged."""

import os
import random
import resource
import time

import grpc
import pytest

import data
from backend import refuse
from client import GRPCClient, RawHTTP2, grpc_message
from conftest import one_mount_at_a_time
from disk import SmallDisk
from gateway import LOOPBACK, free_port, wait_until
from load import Load
from test_delivery import on_disk, stored_config

LONG = bool(os.environ.get("SLUICE_LONG"))


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path, owned):
    if request.param == "ext4" and os.geteuid() != 0:
        pytest.skip("only root may mount ext4")
    made = SmallDisk(tmp_path / "disk", request.param, 8)
    owned.callback(made.stop)
    return made


def names(backend):
    return data.span_names(backend.received())


def start(gateway, disk, destination, **options):
    """A gateway with default limits: the disk is smaller than one of its segments."""
    exporters = {"otlp": on_disk(destination, queue_size=1_000_000)}
    return gateway(stored_config(disk.path, exporters), launcher=disk.launcher, **options)


@one_mount_at_a_time
def test_a_disk_that_becomes_full(gateway, backend, disk):
    """If it failed, a full disk would lose data, refuse it for good, or need somebody to restart the gateway."""
    tempo = backend()
    tempo.stop()
    disk.take(3 << 20)
    running = start(gateway, disk, tempo)
    acknowledged = set()

    def until_full(mebibytes):
        load = Load(running, clients=2, padding=5000, requests=150).start().join()
        assert load.refusals and all(code == grpc.StatusCode.UNAVAILABLE for code, _ in load.refusals)
        assert all(seconds for _, seconds in load.refusals)
        assert len(load.acknowledged) * 5000 > mebibytes << 20, "the disk was used"
        acknowledged.update(load.acknowledged)

    until_full(3)
    assert "Data cannot be stored" in running.log
    # Somebody else gives room.
    disk.free()
    until_full(2)
    assert "Data can be stored again" in running.log
    # The destination does.
    tempo.start()
    wait_until(lambda: acknowledged <= set(names(tempo)), "all that was ever taken")
    wait_until(lambda: not Load(running, 1, requests=3).start().join().refusals, "room again")
    wait_until(lambda: running.metrics().sum("sluice_exporter_pending_items") == 0, "an end for all")
    # A refusal that came while nothing was stored must not have stored it.
    assert len(names(tempo)) == running.metrics().sum("otelcol_exporter_sent_spans")
    assert len(set(names(tempo)) - acknowledged) <= 30
    running.stop()


@one_mount_at_a_time
@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_start_on_a_full_disk(gateway, backend, disk, is_damaged):
    """If it failed, a full disk would keep the gateway from starting, so from sending what fills it."""
    dead = f"{LOOPBACK}:{free_port()}"
    running = start(gateway, disk, dead)
    load = Load(running, clients=1, padding=1000, requests=40).start().join()
    assert not load.refusals
    running.kill()
    if is_damaged:
        flip(disk.segments()[0], [100_000 * 8])
    disk.fill()
    tempo = backend(port=int(dead.rsplit(":", 1)[1]))
    again = start(gateway, disk, tempo)
    wait_until(lambda: len(set(names(tempo))) >= 400 - (10 if is_damaged else 0), "what is whole")
    assert set(names(tempo)) <= load.acknowledged
    assert ("The store is damaged" in again.log) == is_damaged
    disk.free()
    wait_until(lambda: not Load(again, 1, requests=3).start().join().refusals, "room again")
    again.stop()


# ---- damage ----


def flip(file, bits):
    with open(file, "r+b") as content:
        for bit in bits:
            content.seek(bit // 8)
            byte = content.read(1)[0] ^ 1 << bit % 8
            content.seek(bit // 8)
            content.write(bytes([byte]))


class Damaged:
    """A store of requests of 5 spans each, to be damaged again and again."""

    REQUESTS = 30

    def __init__(self, gateway, backend, disk):
        self.gateway, self.disk = gateway, disk
        self.port = free_port()
        self.backend = backend
        running = start(gateway, disk, f"{LOOPBACK}:{self.port}")
        self.load = Load(running, clients=1, spans=5, padding=200, requests=self.REQUESTS).start().join()
        assert not self.load.refusals and len(self.load.acknowledged) == 5 * self.REQUESTS
        running.stop()
        [self.file] = disk.segments()
        content = self.file.read_bytes()
        self.used = len(content.rstrip(b"\0"))
        self.content = content

    def recovered(self):
        """Starts a gateway: the spans that come, and what it says; then puts the store back as it was."""
        running = start(self.gateway, self.disk, f"{LOOPBACK}:{self.port}")
        page = running.metrics()
        expected = page.sum("sluice_exporter_recovered_spans")
        tempo = self.backend(port=self.port)
        wait_until(lambda: len(names(tempo)) >= expected, "all that was recovered", timeout=30)
        time.sleep(0.05)
        came = names(tempo)
        assert len(came) == len(set(came)) == expected and set(came) <= self.load.acknowledged
        said = [line for line in running.log.splitlines() if "of the store" in line or "store is damaged" in line]
        tempo.stop()
        running.stop()
        for file in self.file.parent.iterdir():
            if file.name != "lock":
                file.unlink()
        self.file.write_bytes(self.content)
        return set(came), said


@pytest.fixture
def damaged(gateway, backend, disk):
    return Damaged(gateway, backend, disk)


@one_mount_at_a_time
def test_a_truncated_store(damaged):
    """If it failed, a cut-off file would cost more than what was cut off, in silence, or the start."""
    size = damaged.used
    chosen = random.Random(5).sample(range(size), 300 if LONG else 10)
    offsets = sorted({0, 1, 23, 24, 71, 72, size - 1, *chosen})
    for offset in offsets:
        os.truncate(damaged.file, offset)
        came, said = damaged.recovered()
        whole = int(offset / size * Damaged.REQUESTS)
        assert 5 * (whole - 1) <= len(came) <= 5 * whole + 5, f"cut at {offset}"
        # The requests before the cut, and no others.
        assert came == set(sorted(damaged.load.acknowledged, key=int)[: len(came)]), f"cut at {offset}"
        assert said, f"cut at {offset}"


@one_mount_at_a_time
def test_a_store_with_flipped_bits(damaged):
    """If it failed, one bad bit would cost more than a request, in silence, or bring wrong data."""
    chance = random.Random(6)
    for number in range(300 if LONG else 12):
        count = chance.randrange(1, 4)
        bits = [chance.randrange(damaged.used * 8) for _ in range(count)]
        flip(damaged.file, bits)
        came, said = damaged.recovered()
        assert len(came) >= 5 * (Damaged.REQUESTS - count), f"bits {bits}"
        assert said or len(came) == 5 * Damaged.REQUESTS, f"bits {bits}"


# ---- several stores ----


def test_an_exporter_with_another_name(gateway, backend, tmp_path):
    """If it failed, what waits for an exporter that was renamed would be forgotten without a word."""
    dead = f"{LOOPBACK}:{free_port()}"
    running = gateway(stored_config(tmp_path, {"otlp/old": on_disk(dead)}))
    load = Load(running, clients=1, requests=7).start().join()
    running.stop()
    tempo = backend()
    renamed = gateway(stored_config(tmp_path, {"otlp/new": on_disk(tempo)}))
    [line] = [line for line in renamed.log.splitlines() if "no exporter sends" in line]
    assert "exporter_otlp%2fold_traces" in line and "70" in line
    renamed.stop()
    # Nothing was changed: with the old name it comes.
    back = gateway(stored_config(tmp_path, {"otlp/old": on_disk(tempo)}))
    wait_until(lambda: set(names(tempo)) == load.acknowledged, "all spans")
    assert "no exporter sends" not in back.log
    back.stop()


def test_refused_data_does_not_come_back(gateway, backend, tmp_path):
    """If it failed, requests of a write that failed midway would be refused, and be sent all the same after a restart."""
    tempo = backend()
    tempo.stop()
    configuration = stored_config(tmp_path, {"otlp": on_disk(tempo)})
    running = gateway(configuration)
    stored = Load(running, clients=1, requests=1).start().join().acknowledged
    running.stop()
    # No file may be written beyond its first 20 KiB: of the requests that are written at once, some go there whole.
    launcher = ["sh", "-c", 'ulimit -S -f 40; trap "" XFSZ; exec "$@"', "limited"]
    running = gateway(configuration, launcher=launcher)
    client = RawHTTP2(running.grpc_port)
    client.flush = lambda: None
    streams = {}
    for number in range(1_000_000, 1_000_030):
        streams[number] = client.open()
        client.send(streams[number], grpc_message(data.spans(1, number, padding=1000).SerializeToString()))
    del client.flush
    client.flush()
    statuses = {number: client.grpc_status(stream)[0] for number, stream in streams.items()}
    stored |= {str(number) for number, status in statuses.items() if status == 0}
    assert set(statuses.values()) in ({0, 14}, {14}), statuses  # OK, UNAVAILABLE
    client.close()
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stored |= Load(running, clients=1, requests=1).start().join().acknowledged
    running.stop()
    tempo.start()
    again = gateway(configuration)
    wait_until(lambda: stored <= set(names(tempo)), "what was stored")
    wait_until(lambda: again.metrics().sum("sluice_exporter_pending_items") == 0, "an end for all")
    assert set(names(tempo)) == stored
    again.stop()


def test_two_exporters_share_a_storage(gateway, backend, tmp_path):
    """If it failed, one exporter's stored data would be sent, or deleted, by another; or signals would mix."""
    exporters = {name: on_disk(f"{LOOPBACK}:{free_port()}") for name in ("otlp", "otlp/2")}
    configuration = stored_config(tmp_path, exporters)
    pipelines = configuration["service"]["pipelines"]
    pipelines["logs"] = pipelines["traces"]
    running = gateway(configuration)
    load = Load(running, clients=2, requests=20).start().join()
    client = GRPCClient(running.grpc_port)
    client.export(data.records(9))
    client.close()
    running.kill()
    one, two = (backend(port=int(each["endpoint"].rsplit(":", 1)[1])) for each in exporters.values())
    again = gateway(configuration)
    for destination in (one, two):
        wait_until(lambda: len(names(destination)) >= 400, "all spans")
        wait_until(lambda: destination.received("logs"), "all records")
        assert set(names(destination)) == load.acknowledged
        assert sum(map(data.item_count, destination.received("logs"))) == 9
    again.stop()


def test_dead_letters_come_while_their_taker_starts(gateway, backend, tmp_path):
    """If it failed, dead letters would be dropped, or written over what their taker had stored."""
    source, keeper = (f"{LOOPBACK}:{free_port()}" for _ in range(2))
    exporters = {
        "otlp/source": {**on_disk(source, queue_size=1_000_000), "on_permanent_failure": "otlp/keeper"},
        "otlp/keeper": on_disk(keeper, queue_size=1_000_000),
    }
    configuration = stored_config(tmp_path, exporters)
    running = gateway(configuration)
    load = Load(running, clients=2, padding=20_000, requests=200).start().join()
    assert not load.refusals
    running.kill()
    backend(
        port=int(source.rsplit(":", 1)[1]),
        answer=lambda request, context: refuse(context, grpc.StatusCode.INVALID_ARGUMENT),
    )
    taker = backend(port=int(keeper.rsplit(":", 1)[1]))
    again = gateway(configuration)
    wait_until(lambda: again.metrics().sum("sluice_exporter_pending_items") == 0, "an end for all", timeout=60)
    assert again.metrics().sum("otelcol_exporter_enqueue_failed_spans") == 0
    assert again.metrics().sum("sluice_exporter_dead_letter_spans", exporter="otlp/keeper") == 4000
    came = names(taker)
    assert set(came) == load.acknowledged and len(came) == 8000
    again.stop()


def test_a_full_store_beside_others(gateway, backend, tmp_path):
    """If it failed, one full store would make clients send again what the other destinations have: twice."""
    alive = backend()
    exporters = {
        "otlp/alive": on_disk(alive),
        "otlp/store": on_disk(f"{LOOPBACK}:{free_port()}", queue_size=1_000_000),
        "otlp/memory": {**on_disk(f"{LOOPBACK}:{free_port()}"), "sending_queue": {"queue_size": 2}},
    }
    running = gateway(
        stored_config(tmp_path, exporters, max_size_mib=2), "--shutdown-timeout", 1
    )
    load = Load(running, clients=2, padding=5000, requests=100).start().join()
    assert load.refusals == []
    wait_until(lambda: len(names(alive)) >= 2000, "all spans at the living one")
    assert sorted(names(alive)) == sorted(load.acknowledged)
    page = running.metrics()
    for name in ("otlp/store", "otlp/memory"):
        assert page.sum("otelcol_exporter_enqueue_failed_spans", exporter=name) > 0
    running.terminate()
    assert running.wait() == 3
