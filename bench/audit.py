"""What the audit log keeps, in SQLite and in PostgreSQL: rates, CPU, answers, and how fast it is verified."""

import json
import os
import re
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time

import harness
from harness import Bench, BenchError, free_ports, http_status, progress, wait_ready

ORIGIN = "audit.example.com/bench"
# What the gateway is to reach on two cores: events a second by store, and milliseconds of an answer at 100 a second.
EVENTS_A_SECOND = {"sqlite": 15_000, "postgresql": 10_000}
ANSWER_MS = 50
VERIFIED_A_SECOND = 200_000
SCRIPT = os.path.join(harness.REPOSITORY, "Tests", "postgresql")


# ---- events: OTLP logs in protobuf, of which only the ids differ ----


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(key, text):
    return field(6, field(1, key.encode()) + field(2, field(1, text.encode())))


def event(reason):
    """A LogRecord in the form of OpenTelemetry's draft, with a text in it; its id is 36 zeros."""
    texts = {
        "audit.record.id": "0" * 36,
        "audit.actor.id": "user-4711",
        "audit.actor.type": "user",
        "audit.action": "UPDATE",
        "audit.outcome": "success",
        "audit.target.type": "k8s.deployment",
        "audit.target.id": "platform-01-prod/api",
        "audit.decision": "approved",
        "audit.policy.version": "v2.1.0",
        "user.email": "admin@example.com",
    }
    record = b"\x09" + struct.pack("<Q", time.time_ns()) + field(12, b"deployment.update")
    return record + b"".join(attribute(*each) for each in [*texts.items(), ("audit.reason", reason)])


class Template:
    """A request of so many events, to be sent with new ids each time."""

    def __init__(self, items, bytes_of_event=1000):
        record = event(("scaling for peak load; " * 99)[: bytes_of_event - len(event("")) - 3])
        resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"platform-api"))))
        logs = field(2, field(2, record) * items)
        self.bytes = field(1, resource + logs)
        self.places = [found.start() for found in re.finditer(b"0{36}", self.bytes)]
        if len(self.places) != items:
            raise BenchError("an event's id is not where it was put")

    def request(self):
        digits = os.urandom(16 * len(self.places)).hex()
        body = bytearray(self.bytes)
        for index, place in enumerate(self.places):
            one = digits[32 * index : 32 * index + 32]
            text = f"{one[:8]}-{one[8:12]}-4{one[13:16]}-8{one[17:20]}-{one[20:]}"
            body[place : place + 36] = text.encode()
        return body


# ---- load ----


class Client:
    """One connection, OTLP/HTTP, a request at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, body):
        lines = ["POST /v1/logs HTTP/1.1", "host: a", "content-type: application/x-protobuf"]
        lines += [f"content-length: {len(body)}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = self.socket.recv(65536)
            if not more:
                raise BenchError("the gateway closed a connection")
            answer += more
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE).group(1))
        while len(rest) < length:
            rest += self.socket.recv(65536)
        status = int(head.split()[1])
        if status != 200:
            raise BenchError(f"the gateway answered {status}: {rest[:200]!r}")


def closed_loop(port, seconds, connections=24, items=100):
    """Events a second that were acknowledged, sent as fast as they are."""
    template = Template(items)
    counts, problems = [0] * connections, []
    begin = time.monotonic()
    end = begin + seconds

    def run(number):
        try:
            client = Client(port)
            while time.monotonic() < end:
                client.send(template.request())
                counts[number] += items
        except (OSError, BenchError) as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise BenchError(f"load: {problems[0]}")
    return sum(counts), time.monotonic() - begin


def steady(port, seconds, rate=100, connections=4):
    """Milliseconds until the answer to each of single events at a rate, from when they were due."""
    template, waits = Template(1), []
    begin = time.monotonic() + 0.1

    def run(number):
        client = Client(port)
        for turn in range(number, int(seconds * rate), connections):
            due = begin + turn / rate
            time.sleep(max(0, due - time.monotonic()))
            client.send(template.request())
            waits.append((time.monotonic() - due) * 1000)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(waits) < int(seconds * rate):
        raise BenchError("a client of the steady load ended early")
    return sorted(waits)


# ---- stores ----


def sluice(options, *arguments, **more):
    done = subprocess.run(
        [options.gateway, "audit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        **more,
    )
    if done.returncode:
        raise BenchError(f"sluice audit {arguments[0]}: {done.stdout} {done.stderr}")
    return done.stdout


def checked(*arguments, **more):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120, **more)
    if done.returncode:
        raise BenchError(f"{arguments[0]}: {done.stderr}")


class Server:
    """A PostgreSQL server, which ends with this process."""

    def __init__(self, folder, options):
        # The server is another user; the path of its socket must be short.
        os.chmod(folder, 0o755)
        self.folder = os.path.join(folder, "pg")
        subprocess.run([SCRIPT, "start", self.folder, str(os.getpid())], check=True, timeout=120)
        checked("createdb", "-h", self.folder, "-U", "postgres", "audit")
        schema = sluice(options, "schema")
        login = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", "audit"]
        checked("psql", *login, input=schema)

    def settle(self):
        """What autovacuum does some time after rows were written: without it the first who reads them does its work."""
        checked("psql", "-X", "-q", "-h", self.folder, "-U", "postgres", "-d", "audit", "-c", "VACUUM ANALYZE")

    def uri(self, role):
        return f"postgresql:///audit?host={self.folder}&user={role}"


def configuration(folder, ports, store):
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{ports['http']}"}}}},
        "exporters": {
            "audit": {"origin": ORIGIN, "key_file": os.path.join(folder, "key.pem"), **store},
        },
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{ports['health']}"}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["audit"]}},
        },
    }


def measure_store(bench, options, kind, folder):
    keyring = os.path.join(folder, "keyring")
    server = None
    with open(keyring, "w", encoding="ascii") as file:
        file.write(sluice(options, "keygen", "--origin", ORIGIN, "--key", os.path.join(folder, "key.pem")))
    if kind == "sqlite":
        place = os.path.join(folder, "audit.db")
        store = {"sqlite": {"path": place}}
    else:
        server = Server(folder, options)
        place = server.uri("sluice_audit_reader")
        store = {"postgresql": {"connection": server.uri("sluice_audit_writer")}}
    ports = dict(zip(("http", "health"), free_ports(2)))
    file_name = os.path.join(folder, "gateway.yaml")
    with open(file_name, "w", encoding="ascii") as file:
        json.dump(configuration(folder, ports, store), file)
    gateway = bench.start("audit", [options.gateway, "--config", file_name])
    wait_ready(gateway, lambda: http_status(ports["health"], "/") == 200)
    waits = steady(ports["http"], options.seconds)
    closed_loop(ports["http"], options.warmup)
    rates, costs = [], []
    for _ in range(options.repeat):
        cpu = gateway.cpu_seconds()
        events, seconds = closed_loop(ports["http"], options.seconds)
        rates.append(events / seconds)
        costs.append(1e6 * (gateway.cpu_seconds() - cpu) / events)
    peak = gateway.memory_mib()[1]
    bench.stop(gateway)
    if server:
        server.settle()
    verify_rates = []
    for _ in range(options.repeat):
        begin = time.monotonic()
        verified = sluice(options, "verify", "--store", place, "--keyring", keyring)
        entries = int(verified.split()[0])
        verify_rates.append(entries / (time.monotonic() - begin))
    row = {
        "store": kind,
        "events_per_second": statistics.median(rates),
        "cpu_us": statistics.median(costs),
        "p50_ms": waits[len(waits) // 2],
        "p99_ms": waits[len(waits) * 99 // 100],
        "peak_mib": peak,
        "entries": entries,
        "verified_per_second": statistics.median(verify_rates),
    }
    progress(f"{kind}: {row}")
    return row


COLUMNS = [
    "<store",
    "events/s",
    "to reach",
    "CPU µs an event",
    "answer at 100/s, p50 ms",
    "p99 ms",
    "may take",
    "MiB at most",
    "entries",
    "verified/s",
    "to reach",
]


def audit(options):
    """The audit exporter in both stores."""
    rows = []
    for kind in EVENTS_A_SECOND:
        if options.paths and not any(wanted in kind for wanted in options.paths):
            continue
        with Bench() as bench, tempfile.TemporaryDirectory(prefix="slaudit-", dir=options.folder) as folder:
            rows.append(measure_store(bench, options, kind, folder))
    method = (
        "otlp (HTTP) → audit, events of 1 kB; a closed loop of 24 connections with 100 events a request, "
        f"{options.seconds:g} s, {options.repeat} runs, median; user and system time of the gateway (without the "
        "server's); answers to single events, 100 a second, from when each was due; sluice audit verify of the "
        "whole, from the start of the process, median, of PostgreSQL after VACUUM. Every answer is given after the disk has the event."
    )
    table = [
        [
            row["store"],
            f"{row['events_per_second']:.0f}",
            str(EVENTS_A_SECOND[row["store"]]),
            f"{row['cpu_us']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            str(ANSWER_MS),
            f"{row['peak_mib']:.0f}",
            str(row["entries"]),
            f"{row['verified_per_second']:.0f}",
            str(VERIFIED_A_SECOND),
        ]
        for row in rows
    ]
    return rows, ["## Audit log", "", method, ""] + harness.table(COLUMNS, table)
