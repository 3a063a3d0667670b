"""The audit exporter: what was acknowledged is in the log, once, whatever happens; and who changes the log is found."""

import base64
import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

import grpc
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from conftest import config, one_mount_at_a_time
from disk import SmallDisk
from gateway import BINARY, command, wait_until

ORIGIN = "audit.example.com/gateway-0"
# The event of the platform's guide, section 5.2.
EVENT = {
    "timestamp": "2026-02-12T10:30:45.123Z",
    "traceId": "550e8400-e29b-41d4-a716-446655440000",
    "spanId": "f9d56a78-5b1c-4a2e-9f1d-3c5e7b8a9c0d",
    "actor": {"type": "user", "id": "user-123", "email": "admin@example.com"},
    "resource": {
        "type": "deployment",
        "namespace": "platform-01-prod",
        "name": "api",
        "version": "v1.0.0",
    },
    "action": "update",
    "decision": "approved",
    "policyVersion": "v2.1.0",
    "complianceTags": ["SOC2", "ISO27001"],
    "details": {"oldReplicas": 2, "newReplicas": 3, "reason": "scaling for peak load"},
    "signature": "-----BEGIN SIGNATURE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END SIGNATURE-----",
}
# CI has no time for a hundred.
KILLS = int(os.environ.get("SLUICE_AUDIT_KILLS", "4"))


class Log:
    """A log's files, and what the command line says of it."""

    def __init__(self, folder):
        self.folder = folder
        self.store, self.key, self.keyring = folder / "audit.db", folder / "key.pem", folder / "keyring"
        made = command("audit", "keygen", "--origin", ORIGIN, "--key", self.key)
        assert made.returncode == 0, made.stderr
        self.keyring.write_text(made.stdout)

    def config(self, **keys):
        exporter = {"origin": ORIGIN, "key_file": str(self.key), "sqlite": {"path": str(self.store)}, **keys}
        return config({"audit": exporter}, signals=("logs",))

    def run(self, action, *arguments):
        return command("audit", action, "--store", self.store, *arguments, timeout=120)

    def verify(self, *arguments):
        return self.run("verify", "--keyring", self.keyring, *arguments)

    def entries(self):
        """Every entry as it comes out of an export, whose proofs the store vouches for."""
        lines = self.run("export", "--key", self.key, "--origin", ORIGIN)
        assert lines.returncode == 0, lines.stderr
        payloads = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines.stdout.splitlines()]
        return [json.loads(payload["entry"]) for payload in payloads]


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


def texts(entry):
    return {
        key: value["stringValue"]
        for key, value in entry["record"]["attributes"].items()
        if "stringValue" in value
    }


def request(ids, action="UPDATE", padding=0):
    """Records in the form of the OpenTelemetry draft."""
    sent = ExportLogsServiceRequest()
    scope = sent.resource_logs.add().scope_logs.add()
    for each in ids:
        record = scope.log_records.add(time_unix_nano=time.time_ns(), event_name="deployment.update")
        values = {
            "audit.record.id": str(each),
            "audit.actor.id": "user-1",
            "audit.actor.type": "user",
            "audit.action": action,
            "audit.outcome": "success",
            "text": "x" * padding,
        }
        for key, value in values.items():
            record.attributes.add(key=key).value.string_value = value
    return sent


def test_the_guides_event_comes_out_as_it_was_sent(gateway, log):
    """If it failed, an auditor would not find what the application recorded with a stock SDK."""
    running = gateway(log.config())
    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{running.grpc_port}", insecure=True)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("application").emit(
        timestamp=time.time_ns(), body=json.dumps(EVENT), severity_number=SeverityNumber.INFO
    )
    provider.shutdown()
    running.stop()
    assert log.verify().returncode == 0
    (entry,) = log.entries()
    found, record = texts(entry), entry["record"]
    assert json.loads(record["body"]["stringValue"]) == EVENT
    assert record["event_name"] == "deployment.update"
    assert record["timestamp"] == "1770892245123000000"
    assert record["trace_id"] == EVENT["traceId"].replace("-", "")
    assert found["audit.span.uuid"] == EVENT["spanId"]
    assert (found["audit.actor.type"], found["audit.actor.id"]) == ("user", "user-123")
    assert found["user.email"] == "admin@example.com"
    assert (found["audit.target.type"], found["audit.target.id"]) == ("k8s.deployment", "platform-01-prod/api")
    assert (found["audit.target.version"], found["audit.action"]) == ("v1.0.0", "UPDATE")
    assert (found["audit.decision"], found["audit.policy.version"]) == ("approved", "v2.1.0")
    assert found["audit.integrity.value"] == EVENT["signature"]
    tags = record["attributes"]["audit.compliance.tags"]["arrayValue"]["values"]
    assert [tag["stringValue"] for tag in tags] == EVENT["complianceTags"]
    assert found["k8s.namespace.name"] == "platform-01-prod"
    details = record["attributes"]["audit.details"]["kvlistValue"]["values"]
    assert {each["key"]: each["value"] for each in details} == {
        "oldReplicas": {"intValue": "2"},
        "newReplicas": {"intValue": "3"},
        "reason": {"stringValue": "scaling for peak load"},
    }
    followed = log.run("tail", "--follow", "no")
    assert "deployment.update user user-123: UPDATE platform-01-prod/api, unknown, approved" in followed.stdout


def test_what_is_no_event_is_refused_by_name(gateway, clients, log):
    """If it failed, a sender would not learn what its event lacks, or would lose the others of its request."""
    running = gateway(log.config())
    client = clients.grpc(running)
    one = uuid.uuid4()
    sent = request([one])
    client.export(sent)
    client.export(sent)
    with pytest.raises(grpc.RpcError) as refused:
        client.export(request([uuid.uuid4()], action="update"))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert 'audit.action is "update"; must be upper-case' in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        client.export(request([one], action="DELETE"))
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    large = request([uuid.uuid4()], padding=3 << 20)
    with pytest.raises(grpc.RpcError) as refused:
        client.export(large)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "more than 65535" in refused.value.details()
    # Of ten megabytes: gRPC has a limit of its own, HTTP takes it in.
    large = request([uuid.uuid4()], padding=10 << 20)
    with pytest.raises(grpc.RpcError) as refused:
        client.export(large)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "max_recv_msg_size_mib" in refused.value.details()
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(running, large)
    assert refused.value.code == 400
    answer = refused.value.read().decode(errors="replace")
    assert "more than 65535; keep large data elsewhere and put its hash into the event" in answer
    running.stop()
    assert len(log.entries()) == 1


def test_what_is_no_event_goes_to_another_exporter(gateway, clients, log):
    """If it failed, an event with a mistake in it would be lost, or an operator could not look at it."""
    letters = log.folder / "letters.json"
    settings = log.config(on_permanent_failure="file")
    settings["exporters"]["file"] = {"path": str(letters)}
    running = gateway(settings)
    good, bad = uuid.uuid4(), uuid.uuid4()
    sent = request([good, bad])
    sent.resource_logs[0].scope_logs[0].log_records[1].attributes[2].value.string_value = "robot"
    answer = clients.grpc(running).export(sent)
    assert answer.partial_success.rejected_log_records == 1
    assert 'audit.actor.type is "robot"; must be user, service or system' in answer.partial_success.error_message
    running.stop()
    assert [texts(entry)["audit.record.id"] for entry in log.entries()] == [str(good)]
    assert str(bad) in letters.read_text() and str(good) not in letters.read_text()


def post(running, sent):
    headers = {"Content-Type": "application/x-protobuf"}
    url = f"http://127.0.0.1:{running.http_port}/v1/logs"
    return urllib.request.urlopen(urllib.request.Request(url, sent.SerializeToString(), headers))


def test_every_acknowledged_event_survives_kills(gateway, clients, log):
    """If it failed, a machine that loses its power would lose evidence that was promised, or have it twice."""
    dice = random.Random(17)
    acknowledged, sent = set(), set()
    for _ in range(KILLS):
        running = gateway(log.config(checkpoint_interval="100ms"))
        stop = threading.Event()

        def load():
            client = clients.grpc(running)
            while not stop.is_set():
                ids = [uuid.uuid4() for _ in range(dice.randint(1, 40))]
                sent.update(ids)
                try:
                    client.export(request(ids, padding=600), timeout=5)
                except grpc.RpcError:
                    return
                acknowledged.update(ids)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(dice.uniform(0.2, 1.0))
        running.process.kill()
        stop.set()
        for thread in threads:
            thread.join()
        running.process.wait()
    gateway(log.config()).stop()
    verified = log.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    # Of which verify has just said that they are those of the entries.
    with contextlib.closing(sqlite3.connect(log.store)) as database:
        kept = [uuid.UUID(bytes=each) for (each,) in database.execute("SELECT record_id FROM audit_entries")]
    assert len(kept) == len(set(kept))
    assert len(acknowledged) > 0
    assert acknowledged <= set(kept) <= sent


def test_who_changes_the_log_is_found(gateway, clients, log):
    """If it failed, whoever may write the file could change the past."""
    running = gateway(log.config())
    client = clients.grpc(running)
    ids = [uuid.uuid4() for _ in range(300)]
    client.export(request(ids))
    running.stop()
    kept = log.folder / "checkpoint"
    kept.write_text(log.run("checkpoint").stdout)
    proof = log.run("prove", ids[7])
    assert proof.returncode == 0 and proof.stdout.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert log.verify("--checkpoint", kept).returncode == 0
    tiles = log.folder / "tiles"
    assert log.run("export", "--as", "tiles", "--out", tiles).returncode == 0
    assert (tiles / "checkpoint").read_text() == kept.read_text()
    assert (tiles / "tile/0/000").stat().st_size == 8192
    assert (tiles / "tile/0/001.p/44").stat().st_size == 44 * 32
    assert (tiles / "tile/1/000.p/1").stat().st_size == 32
    database = sqlite3.connect(log.store)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("UPDATE audit_entries SET entry = x'00' WHERE sequence = 8")
    database.rollback()
    database.execute("DROP TRIGGER audit_entries_no_update")
    database.execute(
        "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), 'user-1', 'user-2') AS BLOB) "
        "WHERE sequence = 8"
    )
    database.commit()
    database.close()
    found = log.verify()
    assert found.returncode == 1
    assert "FAILED: the first wrong entry is 8" in found.stdout, found.stdout


def test_what_cannot_be_kept_does_not_start(gateway, log):
    """If it failed, two gateways would write one log, or with a key that others can read or no keyring knows."""
    first = gateway(log.config())
    assert "another process writes the audit log" in refused_start(gateway, log)
    first.stop()
    log.key.chmod(0o644)
    assert "chmod 600" in refused_start(gateway, log)
    log.key.rename(log.folder / "old.pem")
    assert command("audit", "keygen", "--origin", ORIGIN, "--key", log.key).returncode == 0
    assert "was signed by another key; to change keys, name the old one in previous_key_file" in refused_start(
        gateway, log
    )
    log.key.write_text("no key")
    log.key.chmod(0o600)
    assert "sluice audit keygen makes one" in refused_start(gateway, log)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be another user")
def test_a_secret_of_kubernetes_is_a_key(owned):
    """If it failed, a gateway in a pod that is not root could not have its key from a secret, or would take one that all can read."""
    folder = pathlib.Path(tempfile.mkdtemp())
    owned.callback(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    # The build's own folder may be closed to others.
    binary = shutil.copy(BINARY, folder / "sluice")
    key = folder / "key.pem"
    assert command("audit", "keygen", "--origin", ORIGIN, "--key", key).returncode == 0
    nobody = pwd.getpwnam("nobody")

    def said(mode, owner):
        os.chown(key, owner, nobody.pw_gid)
        key.chmod(mode)
        arguments = ["export", "--store", folder / "none", "--key", key, "--origin", ORIGIN]
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        done = subprocess.run([binary, "audit", *map(str, arguments)], capture_output=True, text=True, **user)
        assert done.returncode == 1
        return done.stderr

    for mode, owner in ((0o440, 0), (0o640, 0), (0o400, nobody.pw_uid)):
        assert "there is no audit log" in said(mode, owner)
    for mode, owner in ((0o444, 0), (0o460, 0), (0o440, nobody.pw_uid)):
        assert "chmod 600" in said(mode, owner)


def test_a_store_that_was_put_back_does_not_start(gateway, clients, log):
    """If it failed, a machine restored from yesterday's disk would give today's numbers to other events."""
    kept = log.folder / "kept"
    settings = log.config(checkpoint_file=str(kept))
    old = log.folder / "old.db"
    for count in (300, 20):
        running = gateway(settings)
        clients.grpc(running).export(request([uuid.uuid4() for _ in range(count)]))
        running.stop()
        if not old.exists():
            shutil.copy(log.store, old)
    shutil.copy(old, log.store)
    said = refused_start(gateway, log, checkpoint_file=str(kept))
    assert "has 320 entries and the store 300, it was rolled back or is another one" in said
    found = log.verify("--checkpoint", kept)
    assert found.returncode == 1 and "FAILED: the first wrong entry is 301" in found.stdout
    kept.unlink()
    gateway(settings).stop()


def refused_start(gateway, log, **keys):
    """The log of a gateway that does not start."""
    refused = gateway(log.config(**keys), is_ready=False)
    assert refused.process.wait(20) == 1
    return refused.log


@one_mount_at_a_time
def test_a_full_disk_refuses_and_loses_nothing(gateway, clients, log, owned):
    """If it failed, a full disk would end in an event that was promised and is not there, or in a gateway that is stuck."""
    disk = SmallDisk(log.folder / "disk", "tmpfs", 8)
    owned.callback(disk.stop)
    running = gateway(log.config(sqlite={"path": str(disk.path / "audit.db")}), launcher=disk.launcher)
    client = clients.grpc(running)
    kept = [uuid.uuid4() for _ in range(10)]
    client.export(request(kept))
    disk.fill()
    late = request([uuid.uuid4() for _ in range(40)], padding=30_000)
    with pytest.raises(grpc.RpcError) as refused:
        for _ in range(10):
            client.export(late)
            late = request([uuid.uuid4() for _ in range(40)], padding=30_000)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "make room on its disk" in refused.value.details()
    disk.free()
    wait_until(lambda: taken(client, late), "taken again")
    # Not a second time.
    client.export(late)
    running.stop()
    # SQLite opens no file through /proc.
    shutil.copy(disk.folder / "audit.db", log.store)
    verified = log.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    ids = [texts(entry)["audit.record.id"] for entry in log.entries()]
    assert len(ids) == len(set(ids))
    sent = {record.attributes[0].value.string_value for record in late.resource_logs[0].scope_logs[0].log_records}
    assert {*map(str, kept), *sent} <= set(ids)


def taken(client, sent):
    try:
        client.export(sent)
        return True
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return False
