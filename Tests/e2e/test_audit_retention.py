"""Months that leave an audit log, and the gateway's own events in it."""

import datetime
import http.server
import json
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import uuid

import pytest

import audit_verifier
from audit_verifier import Checkpoint
from conftest import otlp
from gateway import command, wait_until
from test_audit_exporter import Log as SQLiteLog
from test_audit_exporter import texts
from test_audit_exporter import request as events
from test_audit_postgresql import READER, Log, postgresql, request
from test_tls import certificates, https_export, identity

__all__ = ["certificates", "postgresql"]

# What a gateway of 45 days ago would see.
PAST = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int code = (int)syscall(SYS_clock_gettime, clock, time);
    if (code == 0 && clock == CLOCK_REALTIME) time->tv_sec -= 45 * 86400;
    return code;
}
"""


@pytest.fixture
def past(tmp_path):
    source, library = tmp_path / "past.c", tmp_path / "past.so"
    source.write_text(PAST)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


@pytest.fixture(params=["sqlite", "postgresql"])
def any_log(request, tmp_path, postgresql):
    return Log(tmp_path, postgresql if request.param == "postgresql" else None)


def detach(log, month, out):
    store = log.server.uri(log.database, "postgres") if log.server else log.store
    arguments = ("--month", month, "--key", log.key, "--origin", "audit.example.com/gateway-0", "--out", out)
    return command("audit", "detach", "--store", store, *arguments, timeout=60)


def test_a_month_is_given_away_and_the_rest_is_proven(gateway, clients, any_log, past):
    """If it failed, a log would grow for ever, or lose the proof of what is left with what is given away."""
    log = any_log
    old, new = [uuid.uuid4() for _ in range(700)], [uuid.uuid4() for _ in range(300)]
    running = gateway(log.config(), env=past)
    clients.grpc(running).export(request(old))
    running.stop()
    running = gateway(log.config())
    client = clients.grpc(running)
    client.export(request(new))
    wait_until(lambda: int(log.ok("checkpoint").split()[1]) == 1000, "the checkpoint")
    kept = log.folder / "kept"
    kept.write_text(log.ok("checkpoint"))
    now = datetime.datetime.now(datetime.timezone.utc)
    early = detach(log, f"{now:%Y-%m}", log.folder / "early")
    assert early.returncode == 1 and "is not over" in early.stderr, early.stderr
    month = f"{now - datetime.timedelta(days=45):%Y-%m}"
    out = log.folder / "out"
    done = detach(log, month, out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("detached the entries 1 to 700"), done.stdout
    verified = log.run("verify", "--keyring", log.keyring, "--checkpoint", kept)
    assert verified.returncode == 0, verified.stdout
    assert "700 entries were detached" in verified.stdout and "300 entries and" in verified.stdout
    # The files prove what they have by themselves.
    checkpoint = Checkpoint.of((out / "checkpoint").read_text(), log.keys)
    leaves = []
    for _, _, data in audit_verifier.read_tiles(out, 0, checkpoint.size):
        leaves += [data[at : at + 32] for at in range(0, len(data), 32)]
    assert audit_verifier.tree_root(leaves) == checkpoint.root
    entries = list(audit_verifier.read_bundles(out, 768))
    assert [audit_verifier.leaf_hash(entry) for entry in entries] == leaves[:768]
    ids = [audit_verifier.record_id(audit_verifier.read_entry(data, at)) for at, data in enumerate(entries)]
    assert ids[:700] == [str(each) for each in old]
    # The gateway goes on, and knows what is gone.
    again = request(old[:1])
    client.export(request([uuid.uuid4()]))
    with pytest.raises(Exception, match="with other content"):
        client.export(again)
    gone = log.run("prove", old[0])
    assert gone.returncode == 1 and "was detached" in gone.stderr
    assert log.ok("prove", new[0]).startswith("c2sp.org/tlog-proof@v1")
    running.stop()
    assert log.verify().returncode == 0


def test_who_may_only_read_detaches_nothing(gateway, clients, postgresql, tmp_path):
    """If it failed, whoever reads the log could take months out of it."""
    log = Log(tmp_path, postgresql)
    gateway(log.config()).stop()
    arguments = ("--key", log.key, "--origin", "audit.example.com/gateway-0", "--out", tmp_path / "out")
    refused = log.run("detach", "--month", "2020-01", *arguments)
    assert READER in log.store and refused.returncode == 1
    assert "member of sluice_audit_owner" in refused.stderr


def test_the_gateway_keeps_events_of_its_own(gateway, tmp_path):
    """If it failed, nobody could say later which configuration the gateway that kept the log had."""
    log = SQLiteLog(tmp_path)
    config = log.config()
    config["service"]["audit"] = {"exporter": "audit"}
    running = gateway(config)
    changed = json.loads(running.config_file.read_text())
    changed["exporters"]["audit"]["checkpoint_interval"] = "30s"
    changed["exporters"]["audit"]["max_commit_records"] = 10
    running.config_file.write_text(json.dumps(changed))
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "needs a restart" in running.log, "the answer to SIGHUP")
    running.config_file.write_text("exporters: [")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: running.log.count("needs a restart") == 2, "the answer to SIGHUP")
    running.stop()
    assert log.verify().returncode == 0
    entries = log.entries()
    names = [entry["record"]["event_name"] for entry in entries]
    reload = "sluice.config.reload"
    assert names == ["sluice.config.load", "sluice.gateway.start", reload, reload, "sluice.gateway.stop"]
    loaded, _, refused, broken, _ = map(texts, entries)
    assert "exporters::audit::origin" in loaded["sluice.config.keys"].split()
    assert len(loaded["sluice.config.hash"]) == 64
    added = "exporters::audit::checkpoint_interval exporters::audit::max_commit_records"
    assert refused["sluice.config.added"] == added and "sluice.config.removed" not in refused
    assert (refused["sluice.config.valid"], broken["sluice.config.valid"]) == ("true", "false")
    assert (refused["audit.outcome"], refused["audit.actor.type"]) == ("failure", "system")
    # A new key is said, too.
    old = log.key.rename(tmp_path / "old.pem")
    SQLiteLog(tmp_path)
    config = log.config(previous_key_file=str(old))
    config["service"]["audit"] = {"exporter": "audit"}
    gateway(config).stop()
    tail = log.run("tail", "--follow", "no", "--from", 6).stdout
    assert "audit.key.rotated system sluice: ROTATE" in tail, tail


def test_clients_that_are_turned_away_are_in_the_log(gateway, certificates, tmp_path):
    """If it failed, somebody could try to get in all night and nobody could see it later, or would fill the log with it."""
    log = SQLiteLog(tmp_path)
    settings = log.config()
    tls = {**identity(certificates, "server"), "client_ca_file": certificates.ca}
    settings["receivers"] = otlp(grpc={"tls": tls}, http={"tls": tls})
    settings["service"]["audit"] = {"exporter": "audit"}
    running = gateway(settings)
    known = (certificates.client, certificates.client_key)
    stranger = (certificates.stranger, certificates.stranger_key)
    port = running.http_port
    assert https_export(port, events([uuid.uuid4()]), client_context(certificates, known), "/v1/logs") == 200
    for _ in range(20):
        for nobody in ((), stranger):
            with pytest.raises(OSError):
                https_export(port, events([uuid.uuid4()]), client_context(certificates, nobody), "/v1/logs")
    refused = {"receiver": "otlp", "transport": "http"}
    wait_until(lambda: running.metrics().sum("sluice_receiver_refused_clients", **refused) == 40, "40 refusals")
    running.stop()
    assert log.verify().returncode == 0
    found = [texts(entry) for entry in log.entries() if entry["record"]["event_name"] == "sluice.client.authenticate"]
    assert sum(int(each["sluice.events"]) for each in found) == 40
    # The first one, the rest at the stop, and where that took long one each ten seconds.
    assert 1 < len(found) < 10
    assert {each["sluice.refusal.reason"] for each in found} <= {"no certificate", "certificate not trusted"}
    for each in found:
        assert (each["audit.outcome"], each["client.address"]) == ("failure", "127.0.0.1")
        assert (each["otelcol.component.kind"], each["otelcol.component.id"]) == ("receiver", "otlp")


def client_context(certificates, shown):
    context = ssl.create_default_context(cafile=certificates.ca)
    if shown:
        context.load_cert_chain(*shown)
    return context


def test_own_events_need_a_log(gateway, tmp_path):
    """If it failed, an operator would believe that the gateway's own events are kept."""
    config = SQLiteLog(tmp_path).config()
    config["service"]["audit"] = {"exporter": "nop"}
    refused = gateway(config, is_ready=False)
    assert refused.process.wait(20) == 1
    assert "must name an exporter of the type audit" in refused.log


def test_another_content_is_a_conflict_over_http(gateway, tmp_path):
    """If it failed, a client of OTLP/HTTP could not tell a record that is there already from one that is none."""
    running = gateway(SQLiteLog(tmp_path).config())
    one = uuid.uuid4()

    def post(action):
        sent = events([one], action=action)
        headers = {"Content-Type": "application/x-protobuf"}
        url = f"http://127.0.0.1:{running.http_port}/v1/logs"
        return urllib.request.urlopen(urllib.request.Request(url, sent.SerializeToString(), headers))

    assert post("UPDATE").status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        post("DELETE")
    assert refused.value.code == 409


class TimestampService:
    """An RFC 3161 service by `openssl ts`, which refuses while `refuses` is set."""

    def __init__(self, folder):
        self.folder, self.refuses, self.asked = folder, False, 0
        self.certificate = folder / "tsa.pem"
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", folder / "tsa.key", "-out", self.certificate]
        usage = ["-addext", "extendedKeyUsage=critical,timeStamping"]
        self.openssl("req", "-x509", *key, "-subj", "/CN=tsa", "-days", "2", *usage)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(
            f"[tsa]\ndefault_tsa = t\n[t]\nserial = {folder}/serial\nsigner_cert = {self.certificate}\n"
            f"signer_key = {folder}/tsa.key\ndefault_policy = 1.2.3.4\ndigests = sha256\nsigner_digest = sha256\n"
        )
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                service.asked += 1
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                answer = b"no" if service.refuses else service.reply(query)
                self.send_response(500 if service.refuses else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/tsr"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def openssl(*arguments):
        return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)

    def reply(self, query):
        (self.folder / "query").write_bytes(query)
        files = ["-queryfile", self.folder / "query", "-out", self.folder / "reply"]
        self.openssl("ts", "-reply", "-config", self.folder / "tsa.cnf", *files)
        return (self.folder / "reply").read_bytes()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_checkpoints_are_timestamped(gateway, clients, tmp_path, owned):
    """If it failed, whoever has the log's key could write another past, and nobody could say when it was written."""
    (tmp_path / "tsa").mkdir()
    service = TimestampService(tmp_path / "tsa")
    owned.callback(service.stop)
    service.refuses = True
    log, stamps = SQLiteLog(tmp_path), tmp_path / "stamps"
    stamps.mkdir()
    keys = {"endpoint": service.endpoint, "folder": str(stamps), "interval": "1s"}
    last = tmp_path / "last"
    running = gateway(
        log.config(timestamp=keys, checkpoint_interval="100ms", checkpoint_file=str(last))
    )
    clients.grpc(running).export(events([uuid.uuid4() for _ in range(5)]))
    wait_until(lambda: service.asked > 0, "the first question")
    assert not list(stamps.iterdir())
    service.refuses = False
    answer = stamps / "5.tsr"
    wait_until(answer.exists, "the timestamp")
    running.stop()
    note = stamps / "5.checkpoint"
    # The file that always has the last checkpoint has it, too.
    assert note.read_text() == last.read_text() == log.run("checkpoint").stdout
    trust = ["-CAfile", service.certificate]
    checked = service.openssl("ts", "-verify", "-data", note, "-in", answer, *trust)
    assert "Verification: OK" in checked.stdout + checked.stderr
    other = tmp_path / "other"
    other.write_text(note.read_text().replace("\n5\n", "\n6\n"))
    with pytest.raises(subprocess.CalledProcessError):
        service.openssl("ts", "-verify", "-data", other, "-in", answer, *trust)
    assert log.verify("--checkpoint", note).returncode == 0


def test_the_last_checkpoint_is_timestamped_at_the_stop(gateway, clients, tmp_path, owned):
    """If it failed, what came in the last minutes before a stop would be under no timestamp until the gateway is back."""
    (tmp_path / "tsa").mkdir()
    service = TimestampService(tmp_path / "tsa")
    owned.callback(service.stop)
    log, stamps = SQLiteLog(tmp_path), tmp_path / "stamps"
    stamps.mkdir()
    keys = {"endpoint": service.endpoint, "folder": str(stamps), "interval": "1h"}
    running = gateway(log.config(timestamp=keys, checkpoint_interval="1h", checkpoint_records=5))
    client = clients.grpc(running)
    client.export(events([uuid.uuid4() for _ in range(5)]))
    wait_until((stamps / "5.tsr").exists, "the first timestamp")
    client.export(events([uuid.uuid4() for _ in range(2)]))
    running.stop()
    trust = ["-CAfile", service.certificate]
    service.openssl("ts", "-verify", "-data", stamps / "7.checkpoint", "-in", stamps / "7.tsr", *trust)
    assert log.verify("--checkpoint", stamps / "7.checkpoint").returncode == 0
    # A service that is away does not hold up the stop.
    service.refuses = True
    running = gateway(log.config(timestamp=keys, checkpoint_interval="1h"))
    clients.grpc(running).export(events([uuid.uuid4()]))
    running.stop()
    assert "An audit checkpoint was not timestamped." in running.log
    assert not (stamps / "8.tsr").exists()


def test_checkpoints_go_to_another_exporter(gateway, clients, tmp_path):
    """If it failed, an operator would believe that checkpoints leave the machine, and a log written anew would pass."""
    log, kept = SQLiteLog(tmp_path), tmp_path / "checkpoints.json"
    settings = log.config(checkpoint_exporter="file", checkpoint_interval="1h")
    settings["exporters"]["file"] = {"path": str(kept)}
    running = gateway(settings)
    clients.grpc(running).export(events([uuid.uuid4() for _ in range(5)]))
    running.stop()
    (line,) = kept.read_text().splitlines()
    (record,) = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record["eventName"] == "sluice.audit.checkpoint"
    assert record["body"]["stringValue"] == log.run("checkpoint").stdout
    assert {each["key"]: each["value"] for each in record["attributes"]} == {
        "sluice.audit.origin": {"stringValue": "audit.example.com/gateway-0"},
        "sluice.audit.size": {"intValue": "5"},
    }
    note = tmp_path / "note"
    note.write_text(record["body"]["stringValue"])
    assert log.verify("--checkpoint", note).returncode == 0
