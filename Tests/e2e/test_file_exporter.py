"""The file exporter: what was accepted is in the file, whole, once."""

import gzip
import json
import resource
import signal

import cramjam
import pytest

import data
from backend import SIGNALS
from conftest import config
from gateway import command, wait_until
from otlp_json import KEYS, decode, encode

BATCH = {"batch": {"timeout": "20ms"}}
RETRY = {"initial_interval": "20ms", "max_interval": "50ms"}
NOUNS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}


def read(path):
    """Signal and request of every line; the last one must be ended, too."""
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed).decode()
    assert text == "" or text.endswith("\n")
    return [decode(line) for line in text.split("\n")[:-1]]


def test_all_signals_land_in_one_file(gateway, clients, tmp_path):
    """If it failed, a newcomer would not see the telemetry land."""
    path = tmp_path / "folder" / "deeper" / "telemetry.jsonl"
    running = gateway(config({"file": {"path": str(path), "create_directory": True}}, BATCH))
    client = clients.http(running)
    sent = {signal: data.filled(kind()) for signal, (_, kind, _) in SIGNALS.items()}
    for request in sent.values():
        client.export(request)
    page = wait_until(
        lambda: (page := running.metrics())
        and all(
            page.sum(f"otelcol_exporter_sent_{noun}", exporter="file")
            == page.sum(f"otelcol_receiver_accepted_{noun}")
            > 0
            for noun in NOUNS.values()
        )
        and page,
        "everything in the file",
    )
    assert page.sum("sluice_exporter_file_written_bytes", exporter="file") == path.stat().st_size
    # Not only after the stop.
    found = dict(read(path))
    assert set(found) == set(KEYS)
    for signal, request in sent.items():
        assert data.item_count(found[signal]) == data.item_count(request)
    running.stop()


def test_json_in_json_out(gateway, clients, tmp_path):
    """If it failed, the first steps of the readme would not work."""
    path = tmp_path / "out.jsonl"
    running = gateway(config({"file": {"path": str(path)}}, BATCH))
    request = data.spans(2)
    status, _, body = clients.http(running).post(
        encode(request).encode(), headers={"Content-Type": "application/json"}
    )
    assert (status, body) == (200, b"{}")
    running.stop()
    assert read(path) == [("traces", request)]


def unframed(file):
    """What each zstd frame of a file holds; each stands behind its length."""
    contents = []
    while file:
        count = int.from_bytes(file[:4], "big")
        contents.append(bytes(cramjam.zstd.decompress(file[4 : 4 + count])))
        file = file[4 + count :]
    return contents


@pytest.mark.parametrize("format", ["json", "proto"])
def test_zstd_frames_behind_their_lengths(gateway, clients, tmp_path, format):
    """If it failed, readers of the Collector's compressed files could not read ours, or not after a crash."""
    path = tmp_path / "out.zst"
    exporter = {"path": str(path), "format": format, "compression": "zstd", "append": True}
    sent = [data.spans(20, first=20 * number) for number in range(30)]
    for half in (sent[:15], sent[15:]):
        running = gateway(config({"file": exporter}, signals=["traces"]))
        client = clients.grpc(running)
        for request in half:
            client.export(request)
        running.stop()
        if half[0] is sent[0]:
            # A killed process's part of a batch.
            path.write_bytes(path.read_bytes() + b"\0\0\1\0\x28\xb5\x2f\xfd")
    kind = SIGNALS["traces"][1]
    found = [
        decode(content.decode())[1] if format == "json" else kind.FromString(content)
        for content in unframed(path.read_bytes())
    ]
    assert sorted(r.SerializeToString() for r in found) == sorted(r.SerializeToString() for r in sent)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_protobuf_behind_its_length(gateway, clients, tmp_path, compression):
    """If it failed, readers of the Collector's files could not read ours."""
    path = tmp_path / "out.pb"
    exporter = {"path": str(path), "format": "proto", "compression": compression}
    running = gateway(config({"file": exporter}, signals=["traces"]))
    client = clients.grpc(running)
    sent = [data.spans(20, first=20 * number) for number in range(30)]
    for request in sent:
        client.export(request)
    running.stop()
    rest = path.read_bytes()
    if compression == "gzip":
        rest = gzip.decompress(rest)
    found = []
    while rest:
        count = int.from_bytes(rest[:4], "big")
        found.append(SIGNALS["traces"][1].FromString(rest[4 : 4 + count]))
        rest = rest[4 + count :]
    # Connections may be served by several loops; each request is whole.
    assert sorted(r.SerializeToString() for r in found) == sorted(r.SerializeToString() for r in sent)


@pytest.mark.parametrize(("compression", "room"), [("none", 100_000), ("gzip", 15_000)])
def test_a_full_disk_costs_nothing(gateway, clients, tmp_path, compression, room):
    """If it failed, a disk that is full for a while would cost data, or leave half lines or lines twice."""
    path = tmp_path / "out.jsonl"
    exporter = {"path": str(path), "compression": compression, "retry_on_failure": RETRY}
    running = gateway(config({"file": exporter}, signals=["traces"]))
    client = clients.grpc(running)
    # A limit on the size of files stands for the disk's end; it cuts writes in the middle.
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    for number in range(40):
        client.export(data.spans(20, first=20 * number, padding=100))
    wait_until(lambda: "File too large" in running.log, "the full disk in the log")
    before = running.metrics().sum("otelcol_exporter_sent_spans", exporter="file")
    assert before < 800
    assert sum(data.item_count(request) for _, request in read(path)) >= before
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    wait_until(lambda: running.metrics().sum("otelcol_exporter_sent_spans", exporter="file") == 800, "the rest")
    running.stop()
    requests = [request for _, request in read(path)]
    assert sorted(map(int, data.span_names(requests))) == list(range(800))


def test_rotation_keeps_every_line(gateway, clients, tmp_path):
    """If it failed, files would grow without end, or lose lines when they are changed."""
    path = tmp_path / "out.jsonl"
    exporter = {"path": str(path), "rotation": {"max_megabytes": 1, "max_backups": 3}}
    running = gateway(config({"file": exporter}, signals=["traces"]))
    client = clients.grpc(running)
    for number in range(13):
        client.export(data.spans(100, first=100 * number, padding=3000))
    wait_until(lambda: running.metrics().sum("otelcol_exporter_sent_spans", exporter="file") == 1300, "all")
    running.stop()
    files = sorted(tmp_path.glob("out*.jsonl"))
    assert len(files) == 4
    requests = [request for file in files for _, request in read(file)]
    assert sorted(map(int, data.span_names(requests))) == list(range(1300))


def test_a_killed_gateway_leaves_what_it_counted(gateway, clients, tmp_path):
    """If it failed, what a client was told is in the file (wait_for_result) would be lost with the process."""
    path = tmp_path / "out.jsonl"
    exporter = {"path": str(path), "sending_queue": {"wait_for_result": True}}
    running = gateway(config({"file": exporter}, signals=["traces"]))
    client = clients.grpc(running)
    for number in range(20):
        client.export(data.spans(5, first=5 * number))
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    requests = [request for _, request in read(path)]
    assert sorted(map(int, data.span_names(requests))) == list(range(100))


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("format", ["json", "proto"])
def test_a_file_that_a_crash_has_cut(gateway, clients, tmp_path, compression, format):
    """If it failed, nobody could read what follows a crash, or all of a compressed file."""
    path = tmp_path / "out"
    exporter = {"path": str(path), "append": True, "format": format, "compression": compression}
    for first in (0, 40):
        running = gateway(config({"file": exporter}, signals=["traces"]))
        for number in range(4):
            clients.grpc(running).export(data.spans(10, first=first + 10 * number))
            wait_until(
                lambda: running.metrics().sum("otelcol_exporter_sent_spans", exporter="file") == 10 * (number + 1),
                "the batch in the file",
            )
        running.stop()
        if first == 0:
            assert path.stat().st_mode & 0o777 == 0o600
            path.write_bytes(path.read_bytes()[:-25])
    rest = path.read_bytes()
    if compression == "gzip":
        rest = gzip.decompress(rest)
    if format == "json":
        lines = rest.decode().split("\n")
        assert lines.pop() == ""
        if compression == "none":
            with pytest.raises(json.JSONDecodeError):
                json.loads(lines.pop(3))
        found = [decode(line)[1] for line in lines]
    else:
        found = []
        while rest:
            count = int.from_bytes(rest[:4], "big")
            found.append(SIGNALS["traces"][1].FromString(rest[4 : 4 + count]))
            rest = rest[4 + count :]
    assert list(map(int, data.span_names(found))) == [*range(30), *range(40, 80)]


def test_a_file_that_cannot_be_had(gateway, tmp_path):
    """If it failed, a gateway would start that loses everything, or not say what to change."""
    missing = tmp_path / "missing" / "out.jsonl"
    for exporters, words in [
        ({"file": {"path": str(missing)}}, "set create_directory"),
        ({"file": {"path": str(tmp_path)}}, "Is a directory"),
        (
            {"file/a": {"path": str(tmp_path / "x")}, "file/b": {"path": str(tmp_path / "x")}},
            "is written by another exporter or process",
        ),
    ]:
        running = gateway(config(exporters), is_ready=False)
        assert running.wait() == 1
        assert words in running.log


def test_mistakes_are_shown():
    """If it failed, a file exporter that does nothing useful would pass for a good one."""
    yaml = "yaml:exporters: {file: {path: x, compression: lz4, max_days: 3}}"
    result = command("validate", "--config", yaml)
    assert result.returncode != 0
    assert "lz4" in result.stderr + result.stdout and "rotation" in result.stderr + result.stdout
