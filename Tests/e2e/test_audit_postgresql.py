"""The audit log in PostgreSQL, and an independent verifier of what leaves a log, whatever its store."""

import base64
import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
import uuid

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import audit_verifier
from audit_verifier import Checkpoint, Refused, VerifierKey
from conftest import config
from gateway import BINARY, ROOT, command, in_namespace, wait_until
from postgresql import PostgreSQL

ORIGIN = "audit.example.com/gateway-0"
# CI has no time for a hundred.
KILLS = int(os.environ.get("SLUICE_AUDIT_KILLS", "4"))
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
READER, WRITER = "sluice_audit_reader", "sluice_audit_writer"


@pytest.fixture(scope="module")
def postgresql():
    return PostgreSQL()


def request(ids, padding=0):
    """Records in the form of the OpenTelemetry draft."""
    sent = ExportLogsServiceRequest()
    scope = sent.resource_logs.add().scope_logs.add()
    for each in ids:
        record = scope.log_records.add(time_unix_nano=time.time_ns(), event_name="deployment.update")
        values = {
            "audit.record.id": str(each),
            "audit.actor.id": "user-1",
            "audit.actor.type": "user",
            "audit.action": "UPDATE",
            "audit.outcome": "success",
            "text": "x" * padding,
        }
        for key, value in values.items():
            record.attributes.add(key=key).value.string_value = value
    return sent


class Log:
    """A log in one of the stores, its key, and what the command line says of it."""

    def __init__(self, folder, postgresql=None):
        self.folder, self.server = folder, postgresql
        self.key, self.keyring = folder / "key.pem", folder / "keyring"
        made = command("audit", "keygen", "--origin", ORIGIN, "--key", self.key)
        assert made.returncode == 0, made.stderr
        self.keyring.write_text(made.stdout)
        self.keys = [VerifierKey(made.stdout.split()[0])]
        if postgresql:
            self.database = postgresql.audit_log()
            self.store = postgresql.uri(self.database, READER)
            self.store_keys = {"postgresql": {"connection": postgresql.uri(self.database, WRITER)}}
        else:
            self.store = folder / "audit.db"
            self.store_keys = {"sqlite": {"path": str(self.store)}}

    def config(self, **keys):
        exporter = {"origin": ORIGIN, "key_file": str(self.key), **self.store_keys, **keys}
        return config({"audit": exporter}, signals=("logs",))

    def run(self, action, *arguments):
        return command("audit", action, "--store", self.store, *arguments, timeout=120)

    def ok(self, action, *arguments):
        done = self.run(action, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def verify(self):
        return self.run("verify", "--keyring", self.keyring)

    def tiles(self, name="tiles"):
        self.ok("export", "--as", "tiles", "--out", self.folder / name)
        return self.folder / name


@pytest.fixture
def log(tmp_path, postgresql):
    return Log(tmp_path, postgresql)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_log(request, tmp_path, postgresql):
    return Log(tmp_path, postgresql if request.param == "postgresql" else None)


def filled(gateway, clients, log, counts=(300, 1, 400)):
    """Events with a checkpoint after each of the counts; returns their ids and the checkpoints."""
    ids, notes = [], []
    for count in counts:
        running = gateway(log.config())
        new = [uuid.uuid4() for _ in range(count)]
        clients.grpc(running).export(request(new))
        running.stop()
        ids += new
        notes.append(log.ok("checkpoint"))
    return ids, notes


def edited(path, change):
    """Writes a file's bytes after a change, and gives what puts it back."""
    before = path.read_bytes()
    path.write_bytes(change(before))
    return lambda: path.write_bytes(before)


def flipped(data, at=None):
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_an_independent_verifier_accepts_what_leaves_the_log(gateway, clients, any_log):
    """If it failed, auditors would have to trust the gateway's own tool, or could not read the evidence at all."""
    ids, notes = filled(gateway, clients, any_log)
    checkpoint, entries = audit_verifier.check_tiles(any_log.tiles(), any_log.keys, notes)
    assert checkpoint.size == 701 and checkpoint.origin == ORIGIN
    assert [audit_verifier.record_id(entry) for entry in entries] == [str(each) for each in ids]
    lines = any_log.ok("export", "--key", any_log.key, "--origin", ORIGIN).splitlines()
    assert [audit_verifier.check_dsse(line, any_log.keys) for line in lines] == entries
    for at in (0, 1, 255, 256, 300, 511, 512, 700):
        proof = any_log.ok("prove", ids[at])
        assert audit_verifier.check_proof(proof, any_log.keys) == entries[at]


def test_an_independent_verifier_refuses_what_was_changed(gateway, clients, any_log, tmp_path):
    """If it failed, the test above would prove nothing: a verifier that takes everything."""
    ids, notes = filled(gateway, clients, any_log)
    keys, tiles = any_log.keys, any_log.tiles()
    for name in (
        "checkpoint",
        "tile/0/000",
        "tile/0/002.p/189",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/002.p/189",
    ):
        for at in (0, None, -2):
            restore = edited(
                tiles / name, lambda data, at=at: flipped(data, at if at is None or at >= 0 else len(data) + at)
            )
            with pytest.raises((Refused, UnicodeDecodeError)):
                audit_verifier.check_tiles(tiles, keys)
            restore()
    # A log that was cut, and its own older checkpoint beside it: whole in itself, and yet.
    restore = edited(tiles / "checkpoint", lambda _: notes[0].encode())
    with pytest.raises(Refused):
        audit_verifier.check_tiles(tiles, keys, notes)
    restore()
    audit_verifier.check_tiles(tiles, keys, notes)
    # Somebody else's key.
    other = command("audit", "keygen", "--origin", ORIGIN, "--key", tmp_path / "other.pem").stdout
    with pytest.raises(Refused, match="no signature"):
        audit_verifier.check_tiles(tiles, [VerifierKey(other.split()[0])])
    proof = any_log.ok("prove", ids[300])
    lines = proof.split("\n")
    for changed in (
        proof.replace("index 300", "index 301"),
        "\n".join(lines[:3] + lines[4:]),
        "\n".join([*lines[:4], lines[3], *lines[4:]]),
        proof.replace("\n701\n", "\n702\n"),
        any_log.ok("prove", ids[299]).replace("index 299", "index 300"),
    ):
        with pytest.raises(Refused):
            audit_verifier.check_proof(changed, keys)
    line = any_log.ok("export", "--key", any_log.key, "--origin", ORIGIN, "--to", 1).strip()
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"]).replace(b"user-1", b"user-2")
    with pytest.raises(Refused, match="signature"):
        audit_verifier.check_dsse(
            json.dumps({**envelope, "payload": base64.b64encode(payload).decode()}), keys
        )
    older, newer = (Checkpoint.of(notes[0], keys), Checkpoint.of(notes[2], keys))
    leaves = [
        audit_verifier.leaf_hash(data) for data in audit_verifier.read_bundles(tiles, newer.size)
    ]
    hashes = audit_verifier.consistency_proof(leaves, older.size)
    audit_verifier.check_consistency(older, newer, hashes)
    for changed in (hashes[1:], hashes[:-1], hashes[::-1], [flipped(hashes[0]), *hashes[1:]], hashes + hashes[:1]):
        with pytest.raises(Refused):
            audit_verifier.check_consistency(older, newer, changed)


# What somebody with the database does behind the gateway's back to 701 entries with checkpoints after 300, 301 and 701; the first record
# that verify must name; and whether it needs a checkpoint from elsewhere for it, since what is left is whole in itself.
TAMPERINGS = {
    "changed": ("UPDATE audit_entries SET entry = {changed} WHERE sequence = 8", 8, False),
    "removed": ("DELETE FROM audit_entries WHERE sequence = 9", 9, False),
    "added": (
        "INSERT INTO audit_entries SELECT 702, {other_id}, {rest} FROM audit_entries WHERE sequence = 701",
        702,
        False,
    ),
    "reordered": (
        "UPDATE audit_entries SET sequence = 9999 WHERE sequence = 40;"
        "UPDATE audit_entries SET sequence = 40 WHERE sequence = 41;"
        "UPDATE audit_entries SET sequence = 41 WHERE sequence = 9999",
        40,
        False,
    ),
    "tail cut": (
        "DELETE FROM audit_entries WHERE sequence > 650; DELETE FROM audit_checkpoints WHERE size > 650;{cut_ids}",
        651,
        True,
    ),
    "rolled back": (
        "DELETE FROM audit_entries WHERE sequence > 301; DELETE FROM audit_checkpoints WHERE size > 301;"
        "DELETE FROM audit_tiles WHERE tile > 0;{cut_ids}",
        302,
        True,
    ),
}
COLUMNS = 'content_hash, recorded, created_at, "timestamp", trace_id, span_id, event_name, actor, actor_type, resource, '
COLUMNS += "resource_type, action, outcome, decision, policy_version, compliance_tags, entry"


def tampered(log, name, sql):
    """A copy of the log in which somebody with all rights did this; its store."""
    if log.server:
        database = f"{log.database}_{name.replace(' ', '_')}"
        login = ["-h", log.server.folder, "-U", "postgres"]
        subprocess.run(["createdb", *login, "-T", log.database, database], check=True)
        tables = "SELECT oid FROM pg_class WHERE relnamespace = 'sluice_audit'::regnamespace AND relkind IN ('r', 'p')"
        off = f"FOR t IN {tables} LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', t); END LOOP;"
        sql = sql.format(
            changed="convert_to(replace(convert_from(entry, 'UTF8'), 'user-1', 'user-2'), 'UTF8')",
            other_id="decode(repeat('00', 16), 'hex')",
            rest=COLUMNS,
            cut_ids="DELETE FROM audit_ids WHERE sequence > (SELECT max(sequence) FROM audit_entries)",
        )
        log.server.psql(
            database, f"SET search_path = sluice_audit; DO $$ DECLARE t regclass; BEGIN {off} END $$; {sql}"
        )
        return log.server.uri(database, READER)
    store = log.folder / f"{name}.db"
    shutil.copy(log.store, store)
    with contextlib.closing(sqlite3.connect(store)) as database:
        for table in ("audit_entries", "audit_checkpoints", "audit_tiles"):
            database.executescript(f"DROP TRIGGER {table}_no_update; DROP TRIGGER {table}_no_delete")
        database.executescript(
            sql.format(
                changed="CAST(replace(CAST(entry AS TEXT), 'user-1', 'user-2') AS BLOB)",
                other_id="zeroblob(16)",
                rest="content_hash, recorded, entry",
                cut_ids="",
            )
        )
    return store


def test_every_tampering_is_found_against_a_checkpoint_kept_elsewhere(gateway, clients, any_log):
    """If it failed, whoever has the database could change the past, and the auditor's copy of a checkpoint would say that all is well."""
    _, notes = filled(gateway, clients, any_log)
    kept = any_log.folder / "kept"
    kept.write_text(notes[-1])

    def verify(store, *arguments):
        return command("audit", "verify", "--store", store, "--keyring", any_log.keyring, *arguments, timeout=120)

    assert verify(tampered(any_log, "same", ""), "--checkpoint", kept).returncode == 0
    for name, (sql, first, needs_checkpoint) in TAMPERINGS.items():
        store = tampered(any_log, name, sql)
        found = verify(store, "--checkpoint", kept)
        assert found.returncode == 1, name
        assert f"FAILED: the first wrong entry is {first}\nKeep the store as it is" in found.stdout, (name, found.stdout)
        assert verify(store).returncode == (0 if needs_checkpoint else 1), name


def test_a_person_sees_how_far_it_is(gateway, clients, log):
    """If it failed, who verifies a log of a year would not know whether it takes a minute or a day."""
    filled(gateway, clients, log, (300,))
    options = ["-X", "-q", "-h", log.server.folder, "-U", "postgres", "-d", log.database]
    holder = subprocess.Popen(["psql", *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    holder.stdin.write("BEGIN; LOCK TABLE sluice_audit.audit_entries;\n")
    holder.stdin.flush()
    held = "SELECT count(*) FROM pg_locks WHERE relation = 'sluice_audit.audit_entries'::regclass AND "
    wait_until(lambda: log.server.psql(log.database, held + "granted").strip() != "0", "the lock")
    terminal, end = os.openpty()
    arguments = ["audit", "verify", "--store", log.store, "--keyring", log.keyring]
    verifying = subprocess.Popen([BINARY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=end, text=True)
    os.close(end)
    # Longer than what is done at once.
    wait_until(lambda: log.server.psql(log.database, held + "NOT granted").strip() != "0", "verify waits")
    time.sleep(0.2)
    holder.communicate("COMMIT;\n")
    assert "ok: size 300" in verifying.communicate(timeout=60)[0]
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert re.search(r"\r\[#{30}\] 100% 300 of 300 entries, \d+/s", shown), shown
    # Removed at the end.
    assert shown.endswith("\r\x1b[K"), shown


class Load:
    """Clients that send events until they are stopped, and remember what they sent and what was acknowledged."""

    def __init__(self, dice):
        self.dice = dice
        self.sent, self.acknowledged = {}, set()
        self._stop = threading.Event()
        self._threads = []

    def start(self, make_client):
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run, args=(make_client(),)) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, client):
        while not self._stop.is_set():
            batch = request([uuid.uuid4() for _ in range(self.dice.randint(1, 40))], padding=600)
            ids = [
                uuid.UUID(record.attributes[0].value.string_value)
                for record in batch.resource_logs[0].scope_logs[0].log_records
            ]
            self.sent.update(dict.fromkeys(ids, batch))
            try:
                client.export(batch, timeout=5)
            except grpc.RpcError:
                time.sleep(0.05)
                continue
            self.acknowledged.update(ids)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def check(self, log):
        """What was acknowledged is there, once; the tree verifies, by the gateway's verifier and by the other one."""
        verified = log.verify()
        assert verified.returncode == 0, verified.stdout + verified.stderr
        _, entries = audit_verifier.check_tiles(log.tiles("after"), log.keys)
        kept = [uuid.UUID(audit_verifier.record_id(entry)) for entry in entries]
        assert len(kept) == len(set(kept))
        assert len(self.acknowledged) > 0
        assert self.acknowledged <= set(kept) <= set(self.sent)


def test_every_acknowledged_event_survives_kills_of_the_gateway(gateway, clients, log):
    """If it failed, a gateway that is killed would lose evidence that was promised, or have it twice."""
    dice = random.Random(17)
    load = Load(dice)
    for _ in range(KILLS):
        running = gateway(log.config(checkpoint_interval="100ms"))
        load.start(lambda running=running: clients.grpc(running))
        time.sleep(dice.uniform(0.2, 1.0))
        running.process.kill()
        load.stop()
        running.process.wait()
        # The server gives the lock back when it sees the end of the connection.
        wait_until(
            lambda: log.server.psql("postgres", LOCKS).strip() == "0",
            "the lock is free",
        )
    gateway(log.config()).stop()
    load.check(log)


def test_every_acknowledged_event_survives_crashes_of_the_server(gateway, clients, log):
    """If it failed, a database that goes away in the middle of a COPY would lose events, or have them twice."""
    dice = random.Random(18)
    load = Load(dice)
    running = gateway(log.config(checkpoint_interval="100ms"))
    for _ in range(KILLS):
        load.start(lambda: clients.grpc(running))
        time.sleep(dice.uniform(0.3, 1.2))
        log.server.crash()
        time.sleep(0.1)
        log.server.restart()
        before = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > before, lambda: f"goes on; its log:\n{running.log[-2000:]}")
        load.stop()
    # What was sent and not acknowledged comes again.
    client = clients.grpc(running)
    for batch in {id(batch): batch for batch in load.sent.values()}.values():
        client.export(batch)
    load.acknowledged.update(load.sent)
    running.stop()
    load.check(log)


def test_a_stolen_role_changes_nothing_and_an_owner_is_found(gateway, clients, log):
    """If it failed, whoever has the gateway's password, or the database, could change the past."""
    filled(gateway, clients, log, (300,))
    month = time.strftime("%Y_%m", time.gmtime())
    for sql in (
        "UPDATE sluice_audit.audit_entries SET actor = 'x'",
        "DELETE FROM sluice_audit.audit_entries",
        "TRUNCATE sluice_audit.audit_entries",
        f"TRUNCATE sluice_audit.audit_entries_{month}",
        "ALTER TABLE sluice_audit.audit_entries DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(AssertionError, match="permission denied|must be owner|append-only"):
            log.server.psql(log.database, sql, role=WRITER)
    assert log.verify().returncode == 0
    log.server.psql(
        log.database,
        f"""SET search_path = sluice_audit;
        ALTER TABLE audit_entries_{month} DISABLE TRIGGER audit_no_change;
        UPDATE audit_entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'user-1', 'user-2'), 'UTF8')
        WHERE sequence = 8;""",
    )
    found = log.verify()
    assert found.returncode == 1
    assert "FAILED: the first wrong entry is 8" in found.stdout, found.stdout
    running = gateway(log.config(), is_ready=False)
    assert running.process.wait(20) == 1
    assert f"triggers that keep the audit log as it is are gone or off for audit_entries_{month}" in running.log


def test_a_second_gateway_on_one_database_does_not_start(gateway, log):
    """If it failed, two gateways would give two records one number."""
    gateway(log.config())
    second = gateway(log.config(), is_ready=False)
    assert second.process.wait(20) == 1
    assert "another gateway writes the audit log in this PostgreSQL database (backend " in second.log


def test_libpq_is_needed_by_those_who_use_it_only(gateway, log):
    """If it failed, gateways on machines without PostgreSQL's library would not start, or would not say what is missing."""
    library = next(
        line.split()[-1]
        for line in subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout.splitlines()
        if "libpq.so.5 " in line
    )
    without = in_namespace('mount --bind /dev/null "$0"', os.path.realpath(library))
    if without is None:
        pytest.skip("no mount namespaces here")
    started = gateway(log.config(), is_ready=False, launcher=without)
    assert started.process.wait(20) == 1
    assert "needs libpq (Debian: apt-get install libpq5)" in started.log
    gateway(config({"nop": {}}), launcher=without).stop()


def test_the_scripts_are_those_that_are_deployed():
    """If it failed, the command would make other tables than those that were reviewed."""
    printed = command("audit", "schema").stdout
    for name in ("roles", "schema"):
        assert (ROOT / f"config/deploy/audit/{name}.sql").read_text() in printed
