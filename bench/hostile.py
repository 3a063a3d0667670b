"""bench/run hostile: what the worst clients cost the gateway's memory, and a polite client's answers."""

import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import harness
from harness import Bench, BenchError, Gateway, progress
from hostile_client import ATTACKS
from scenarios import MEMORY_TARGET_MIB, grpc_path

RATE = 20
P99_TARGET_MS = 50
# What a polite client's p99 may be of what it is beside the same attackers aimed at another process.
P99_RATIO = 3
BODY = os.path.join(harness.BENCH, "bin", "payload")


class Polite(threading.Thread):
    """One span twenty times a second over one kept connection; calls are timed from when they were due."""

    def __init__(self, port, body, seconds):
        super().__init__(daemon=True)
        self.port, self.body, self.seconds = port, body, seconds
        self.milliseconds, self.lost = [], []
        self.start()

    def run(self):
        connection = None
        begin = time.monotonic()
        for index in range(int(RATE * self.seconds)):
            due = begin + index / RATE
            time.sleep(max(0, due - time.monotonic()))
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("POST", "/v1/traces", self.body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise http.client.HTTPException(f"status {answer.status}")
                self.milliseconds.append((time.monotonic() - due) * 1000)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{type(error).__name__} {error}")
                connection = None

    def result(self):
        self.join()
        values = sorted(self.milliseconds) or [float("inf")]
        return {
            "lost": len(self.lost),
            "why": sorted(set(self.lost))[:3],
            "p50_ms": statistics.median(values),
            "p99_ms": values[min(len(values) - 1, len(values) * 99 // 100)],
        }


class Peak(threading.Thread):
    """The largest resident size of a program, sampled."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program, self.mib, self.is_over = program, 0, threading.Event()
        self.start()

    def run(self):
        while not self.is_over.wait(0.05) and self.program.alive():
            self.mib = max(self.mib, self.program.memory_mib()[0])

    def end(self):
        self.is_over.set()
        self.join()
        return self.mib


def ended_connections(gateway):
    """How many connections the gateway has ended, by reason."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{gateway.ports['telemetry']}/metrics", timeout=10).read().decode()
    counts = {}
    for line in page.splitlines():
        found = re.match(r'sluice_receiver_ended_connections.*reason="(\w+)".* (\d+)$', line)
        if found and found[2] != "0":
            counts[found[1]] = counts.get(found[1], 0) + int(found[2])
    return counts


def attackers(bench, names, gateway, options):
    """Starts them; each has its part of the connections."""
    count = max(1, options.hostile_connections // len(names))
    script = os.path.join(harness.BENCH, "hostile_client.py")
    ports = [str(gateway.ports["grpc"]), str(gateway.ports["http"])]
    return [
        bench.start("hostile", [sys.executable, script, name, *ports, str(options.hostile_seconds), str(count)])
        for name in names
    ]


def finish(bench, programs):
    results = []
    for program in programs:
        program.process.wait(timeout=120)
        with open(program.stdout_path, encoding="ascii") as file:
            text = file.read()
        if program.process.returncode or not text:
            raise BenchError(f"an attacker failed: {program.last_words()}")
        results.append(json.loads(text))
        bench.stop(program)
    return {key: round(sum(one[key] for one in results), 1) for key in results[0]}


def attack(bench, names, options, body):
    """One row: the attack with a polite client beside it; when that waited for long, the same with the attackers aimed
    elsewhere."""
    path = dict(grpc_path(), include_metadata=True)
    target = Gateway(bench, "sluice", options.gateway, path, 0, options.limit_mib)
    peak = Peak(target.program)
    programs = attackers(bench, names, target, options)
    polite = Polite(target.port("http"), body, options.hostile_seconds).result()
    sent = finish(bench, programs)
    row = {
        "attack": " + ".join(names),
        "peak_mib": peak.end(),
        "alive": target.program.alive(),
        "gateway_cpu_s": target.program.cpu_seconds(),
        **polite,
        **{f"attackers_{key}": value for key, value in sent.items()},
        "by_reason": ended_connections(target),
        "p99_ms_beside": None,
    }
    slow = row["p99_ms"] > P99_TARGET_MS
    if slow and row["alive"]:
        other = Gateway(bench, "sluice", options.gateway, path, 0, options.limit_mib)
        programs = attackers(bench, names, target, options)
        row["p99_ms_beside"] = Polite(other.port("http"), body, options.hostile_seconds).result()["p99_ms"]
        finish(bench, programs)
        other.stop()
        slow = row["p99_ms"] > P99_RATIO * row["p99_ms_beside"]
    target.stop()
    row["failed"] = not row["alive"] or row["peak_mib"] > MEMORY_TARGET_MIB or row["lost"] > 0 or slow
    return row


def beside(row):
    return "" if row["p99_ms_beside"] is None else f"{row['p99_ms_beside']:.1f}"


def hostile(options):
    """Each attack alone, and in random threes."""
    names = [name for name in ATTACKS if not options.paths or any(part in name for part in options.paths)]
    if not names:
        raise BenchError(f"no attack's name contains {options.paths}")
    shuffled = random.Random(1).sample(names, len(names))
    runs = [[name] for name in names] + [shuffled[at : at + 3] for at in range(0, len(names) - 2, 3)]
    body = subprocess.run([BODY, "traces", "1"], stdout=subprocess.PIPE, check=True).stdout
    rows = []
    with Bench() as bench:
        for run in runs:
            row = attack(bench, run, options, body)
            rows.append(row)
            progress(
                f"{row['attack']}: {row['peak_mib']:.0f} MiB, lost {row['lost']} {row['why']}, p99 {row['p99_ms']:.1f} ms"
                f" (beside {beside(row) or '-'}), {row['attackers_sent_mib']} MiB sent,"
                f" {row['by_reason']}{' FAILED' if row['failed'] else ''}"
            )
    columns = ["<attack", "peak MiB", "lost", "p99 ms", "p99 ms beside", "attackers' MiB", "<ended", "<held"]
    cells = [
        (
            row["attack"],
            f"{row['peak_mib']:.0f}",
            str(row["lost"]),
            f"{row['p99_ms']:.1f}",
            beside(row),
            f"{row['attackers_sent_mib']}",
            ", ".join(f"{count} {reason}" for reason, count in row["by_reason"].items()),
            "no" if row["failed"] else "yes",
        )
        for row in rows
    ]
    lines = [
        "## Hostile clients",
        "",
        f"limit_mib {options.limit_mib}, {options.hostile_connections} connections, {options.hostile_seconds:.0f} s each; a polite client at"
        f" {RATE} requests/s. Held: at most {MEMORY_TARGET_MIB} MiB, nothing lost, p99 at most {P99_TARGET_MS} ms or"
        f" {P99_RATIO} times what it is beside the same attackers aimed at another process.",
        "",
        *harness.table(columns, cells),
    ]
    return rows, lines
