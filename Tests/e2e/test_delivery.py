"""What is promised about data that was accepted: on disk, compressed, cut to size, or handed to somebody else."""

import gzip
import json
import os
import random
import time
import zlib

import cramjam
import grpc
import pytest

import data
from backend import refuse
from conftest import config, exporter, otlp
from gateway import LOOPBACK, Balance, command, free_port, wait_until
from load import Load

LONG = bool(os.environ.get("SLUICE_LONG"))
BATCH = {"batch": {"timeout": "20ms", "send_batch_size": 50}}


def stored_config(folder, exporters, fsync=False, **keys):
    configuration = config(exporters, extensions=["file_storage"], signals=("traces",))
    configuration["extensions"] = {"file_storage": {"directory": str(folder), "fsync": fsync, **keys}}
    return configuration


def on_disk(backend, **queue):
    return exporter(
        backend,
        sending_queue={"storage": "file_storage", "batch": {"flush_timeout": "20ms", "min_size": 50}, **queue},
    )


# ---- storage ----


@pytest.mark.parametrize("fsync", [False, True])
def test_killed_at_a_random_moment(gateway, backend, tmp_path, fsync):
    """If it failed, a crash would lose what clients were told is safe."""
    rounds = (200 if LONG else 5) if not fsync else (50 if LONG else 2)
    folder = tmp_path / "queue"
    folder.mkdir()
    tempo = backend()
    acknowledged = set()
    for number in range(rounds):
        running = gateway(stored_config(folder, {"otlp": on_disk(tempo)}, fsync))
        load = Load(running, clients=4, spans=10, timeout=5).start()
        time.sleep(random.uniform(0.05, 0.5))
        if number % 3 == 1:
            tempo.stop()
            time.sleep(random.uniform(0.0, 0.2))
        running.kill()
        load._stop.set()
        for thread in load._threads:
            thread.join()
        acknowledged |= load.acknowledged
        if number % 3 == 1:
            tempo.start()
    running = gateway(stored_config(folder, {"otlp": on_disk(tempo)}, fsync))
    wait_until(
        lambda: acknowledged <= set(data.span_names(tempo.received())),
        lambda: f"{len(acknowledged - set(data.span_names(tempo.received())))} acknowledged spans missing",
        timeout=30,
    )
    names = data.span_names(tempo.received())
    twice = len(names) - len(set(names))
    print(f"{rounds} kills: {len(acknowledged)} spans acknowledged, none lost, {twice} came twice")
    assert twice < len(names) / 2
    running.stop()


def test_stopped_while_the_backend_is_down(gateway, backend, tmp_path):
    """If it failed, a restart of the gateway during an outage would lose data, or be called a failure."""
    dead = f"{LOOPBACK}:{free_port()}"
    running = gateway(stored_config(tmp_path, {"otlp": on_disk(dead)}))
    with Balance(running, ["otlp"]):
        load = Load(running, requests=20).start().join()
    assert not load.refusals
    running.stop()
    tempo = backend(port=int(dead.rsplit(":", 1)[1]))
    again = gateway(stored_config(tmp_path, {"otlp": on_disk(tempo)}))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 800, "all spans")
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)
    page = again.metrics()
    assert page.sum("sluice_exporter_recovered_spans", exporter="otlp") == 800
    again.stop()
    third = gateway(stored_config(tmp_path, {"otlp": on_disk(tempo)}))
    assert third.metrics().sum("sluice_exporter_recovered_spans") == 0
    third.stop()


def test_a_full_store(gateway, backend, tmp_path):
    """If it failed, a full store would lose data, or refuse it for good."""
    tempo = backend()
    tempo.stop()
    running = gateway(
        stored_config(tmp_path, {"otlp": on_disk(tempo, queue_size=1_000_000)}, max_size_mib=2)
    )
    with Balance(running, ["otlp"]):
        load = Load(running, clients=2, padding=20_000, requests=40).start().join()
        assert load.refusals and all(code == grpc.StatusCode.UNAVAILABLE for code, _ in load.refusals)
        assert all(seconds for _, seconds in load.refusals)
        tempo.start()
        wait_until(lambda: load.acknowledged <= set(data.span_names(tempo.received())), "all that was taken")
        wait_until(lambda: Load(running, 1, requests=3).start().join().acknowledged, "room again")
    running.stop()


def test_a_store_that_is_in_use(gateway, backend, tmp_path):
    """If it failed, two gateways would send, and delete, each other's data."""
    tempo = backend()
    running = gateway(stored_config(tmp_path, {"otlp": on_disk(tempo)}))
    second = gateway(stored_config(tmp_path, {"otlp": on_disk(tempo)}), is_ready=False)
    assert second.wait() == 1
    assert "another gateway" in second.log
    running.stop()


# ---- gzip ----


def gunzip_as_grpcio(body):
    """What gRPC's C core does (Python, C++, Ruby, PHP): one member, and an error when bytes follow it."""
    inflater = zlib.decompressobj(31)
    whole = inflater.decompress(body) + inflater.flush()
    return None if inflater.unused_data else whole


@pytest.mark.parametrize("recompress", ["auto", "always", "never"])
def test_gzip_of_requests_that_were_not_changed(gateway, raw_backend, clients, recompress):
    """If it failed, spans would be lost or damaged on their way from gzip to gzip."""
    tempo = raw_backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo, compression="gzip", recompress=recompress)},
            {"batch": {"timeout": "100ms"}},
        )
    )
    zipped = clients.grpc(running, compression=grpc.Compression.Gzip)
    plain = clients.grpc(running)
    requests = [data.spans(20, first=20 * number, padding=50) for number in range(6)]
    for number, request in enumerate(requests):
        (plain if number == 3 else zipped).export(request)
    wait_until(lambda: len(tempo.requests) >= 1, "a batch")
    time.sleep(0.3)
    received = []
    for head, body in tempo.requests:
        assert head["grpc-encoding"] == "gzip"
        message = body[5:]
        if body[0] == 1:
            members = message
            if recompress == "always":
                assert gunzip_as_grpcio(members) is not None
            message = gzip.decompress(members)
        received.append(type(requests[0]).FromString(message))
    assert data.flat(received) == data.flat(requests)


@pytest.mark.parametrize(
    "compression, unpack", [("zstd", cramjam.zstd.decompress), ("snappy", cramjam.snappy.decompress)]
)
def test_zstd_and_snappy_over_grpc(gateway, raw_backend, clients, compression, unpack):
    """If it failed, a backend could not read what it is sent. What came as gzip is compressed anew."""
    tempo = raw_backend()
    running = gateway(
        config({"otlp": exporter(tempo, compression=compression)}, {"batch": {"timeout": "100ms"}})
    )
    zipped = clients.grpc(running, compression=grpc.Compression.Gzip)
    plain = clients.grpc(running)
    requests = [data.spans(200, first=200 * number, padding=50) for number in range(6)]
    for number, request in enumerate(requests):
        (plain if number % 2 else zipped).export(request)
    received = []

    def all_of_it():
        received[:] = [
            type(requests[0]).FromString(bytes(unpack(body[5:]))) for _, body in list(tempo.requests)
        ]
        return len(data.span_names(received)) == 1200

    wait_until(all_of_it, "all spans")
    for head, body in tempo.requests:
        assert (head["grpc-encoding"], body[0]) == (compression, 1)
        assert int.from_bytes(body[1:5], "big") == len(body) - 5
    assert data.flat(received) == data.flat(requests)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "snappy"])
def test_gateways_read_each_other(gateway, backend, clients, compression):
    """If it failed, an agent and a gateway of this kind could not be put in a row."""
    tempo = backend()
    behind = gateway(config({"otlp": exporter(tempo)}))
    front = gateway(
        config({"otlp": exporter(f"{LOOPBACK}:{behind.grpc_port}", compression=compression)})
    )
    sent = data.spans(2000, padding=100)
    clients.grpc(front).export(sent)
    wait_until(lambda: tempo.received(), "the request")
    assert tempo.received() == [sent]


def test_readers_that_stop_after_a_member(gateway, backend, clients):
    """If it failed, the README would be wrong about which readers need `recompress: always`: grpcio does."""
    tempo = backend()
    running = gateway(
        config({"otlp": exporter(tempo, compression="gzip", recompress="always")}, {"batch": {"timeout": "50ms"}})
    )
    zipped = clients.grpc(running, compression=grpc.Compression.Gzip)
    for number in range(5):
        zipped.export(data.spans(20, first=20 * number, padding=50))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 100, "all spans")


def test_grpcio_cannot_read_members_and_gets_the_requests_one_by_one(gateway, backend, clients):
    """If it failed, such a reader would lose data: it refuses what was put together from gzipped requests."""
    tempo = backend()
    running = gateway(
        config({"otlp": exporter(tempo, compression="gzip")}, {"batch": {"timeout": "100ms"}})
    )
    zipped = clients.grpc(running, compression=grpc.Compression.Gzip)
    for number in range(5):
        zipped.export(data.spans(20, first=20 * number, padding=50))

    def counted():
        page = running.metrics()
        return page.sum("otelcol_exporter_send_failed_spans") + page.sum("otelcol_exporter_sent_spans") >= 100

    wait_until(counted, "an end for every span")
    page = running.metrics()
    # As the README says: it answers with an error. Each member by itself it can read.
    assert page.sum("otelcol_exporter_sent_spans") == 100
    assert len(set(data.span_names(tempo.received()))) == 100


def test_one_bad_item_costs_only_itself(gateway, backend, clients):
    """If it failed, one application with a bad span would cost all others behind the same gateway their data."""

    def answer(request, context):
        if "13" in data.span_names([request]):
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT)

    tempo, keeper = backend(answer=answer), backend()
    exporters = {"otlp": exporter(tempo, on_permanent_failure="otlp/keeper"), "otlp/keeper": exporter(keeper)}
    settings = config(exporters, {"batch": {"timeout": "300ms"}})
    for pipeline in settings["service"]["pipelines"].values():
        pipeline["exporters"] = ["otlp"]
    running = gateway(settings)
    client = clients.grpc(running)
    for number in range(20):
        client.export(data.spans(50, first=50 * number))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 999 and keeper.received(), "both ends")
    assert sorted(map(int, data.span_names(tempo.received()))) == [i for i in range(1000) if i != 13]
    assert data.span_names(keeper.received()) == ["13"]
    page = running.metrics()
    assert page.sum("otelcol_exporter_sent_spans", exporter="otlp") == 999
    assert page.sum("otelcol_exporter_send_failed_spans", exporter="otlp") == 1
    assert "Dropping data" not in running.log
    assert '"service": "shop"' in running.log


# ---- sizes ----


def test_batches_above_the_backends_limit(gateway, backend):
    """If it failed, batches counted in items would be lost at backends that count bytes."""
    tempo = backend(options=[("grpc.max_receive_message_length", 4 << 20)])
    running = gateway(
        config({"otlp": exporter(tempo)}, {"batch": {"timeout": "200ms", "send_batch_size": 100_000}})
    )
    with Balance(running, ["otlp"]):
        load = Load(running, clients=8, spans=10, padding=20_000, requests=10).start().join()
        wait_until(lambda: len(data.span_names(tempo.received())) >= 800, "all spans")
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)
    assert all(request.ByteSize() < 4 << 20 for request in tempo.received())


def test_a_backend_with_a_small_limit(gateway, backend, clients):
    """If it failed, a backend's smaller limit would cost whole batches; now only what can never be sent is lost."""
    tempo = backend(options=[("grpc.max_receive_message_length", 50_000)])
    running = gateway(config({"otlp": exporter(tempo)}, {"batch": {"timeout": "100ms"}}))
    client = clients.grpc(running)
    for number in range(20):
        client.export(data.spans(10, first=10 * number, padding=2000))
    client.export(data.spans(1, first=500, padding=60_000))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 200, "all spans that fit")
    wait_until(lambda: running.metrics().sum("otelcol_exporter_send_failed_spans") == 1, "the one that does not")
    assert sorted(data.span_names(tempo.received())) == sorted(map(str, range(200)))
    dropped = [line for line in running.log.splitlines() if "is too large" in line]
    assert len(dropped) == 1 and "500" in dropped[0]


# ---- somebody else ----


def test_permanent_failures_go_to_another_exporter(gateway, backend):
    """If it failed, what a backend will never take would be lost though somebody was to keep it."""
    refusing = backend(answer=lambda request, context: refuse(context, grpc.StatusCode.INVALID_ARGUMENT))
    keeper = backend()
    exporters = {
        "otlp": exporter(refusing, on_permanent_failure="otlp/keeper"),
        "otlp/keeper": exporter(keeper),
    }
    configuration = config(exporters, BATCH)
    for pipeline in configuration["service"]["pipelines"].values():
        pipeline["exporters"] = ["otlp"]
    running = gateway(configuration)
    with Balance(running, ["otlp"]):
        load = Load(running, clients=2, requests=30).start().join()
        wait_until(lambda: len(data.span_names(keeper.received())) >= 600, "all spans at the other one")
    assert sorted(data.span_names(keeper.received())) == sorted(load.acknowledged)
    page = running.metrics()
    assert page.sum("otelcol_exporter_send_failed_spans", exporter="otlp") == 600
    assert page.sum("sluice_exporter_dead_letter_spans", exporter="otlp/keeper") == 600
    assert page.sum("otelcol_exporter_sent_spans", exporter="otlp/keeper") == 600
    running.stop()


def test_a_full_queue_that_blocks(gateway, backend):
    """If it failed, `block_on_overflow` would refuse clients, or lose what they sent."""
    tempo = backend(answer=lambda request, context: time.sleep(0.005))
    running = gateway(
        config(
            {
                "otlp": exporter(
                    tempo, sending_queue={"queue_size": 5, "num_consumers": 1, "block_on_overflow": True}
                )
            }
        )
    )
    with Balance(running, ["otlp"]):
        load = Load(running, clients=8, requests=40).start().join()
        assert not load.refusals
        wait_until(lambda: len(data.span_names(tempo.received())) >= 3200, "all spans")
    assert sorted(data.span_names(tempo.received())) == sorted(load.acknowledged)
    running.stop()


def test_tenants_do_not_share_batches(gateway, backend, clients):
    """If it failed, one tenant's spans would leave in another's batch."""
    tempo = backend()
    running = gateway(
        config(
            {"otlp": exporter(tempo)},
            {"batch": {"timeout": "100ms", "metadata_keys": ["X-Tenant"]}},
            otlp(grpc={"include_metadata": True}),
        )
    )
    client = clients.grpc(running)
    for number in range(30):
        tenant = str(number % 3)
        client.export(data.spans(1, first=number, service=tenant), metadata=(("x-tenant", tenant),))
    wait_until(lambda: len(data.span_names(tempo.received())) >= 30, "all spans")
    for request in tempo.received():
        assert len({each.resource.attributes[0].value.string_value for each in request.resource_spans}) == 1


@pytest.mark.parametrize(
    "exporters, extensions, words",
    [
        ({"sending_queue": {"storage": "file_storage"}}, [], "references extension"),
        ({"sending_queue": {"storage": "file_storage"}, "on_permanent_failure": "otlp"}, ["file_storage"], "leads back"),
        ({"on_permanent_failure": "otlp/nobody"}, [], "is not configured"),
        ({"sending_queue": {"batch": {"sizer": "requests"}}}, [], "batch supports only items or bytes sizer"),
    ],
)
def test_queues_that_cannot_be(tmp_path, exporters, extensions, words):
    """If it failed, a mistake in the configuration would show when data is lost."""
    configuration = config({"otlp": exporter("127.0.0.1:1", **exporters)}, extensions=extensions)
    configuration["extensions"] = {name: {"directory": str(tmp_path)} for name in extensions}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(configuration))
    result = command("validate", "--config", file)
    assert result.returncode == 1
    assert words in result.stderr + result.stdout
