"""The AutoEcoOps guide's load tests: capacity, a rollout and the loss of a node, with three gateways on this machine.

What the cluster does is done here by hand, in the order and with the times of config/deploy: endpoints that are ready get
new connections, a replica that goes is taken from them, waits out its preStop, gets SIGTERM and drains.
"""

import os
import signal
import tempfile
import threading
import time

import harness
from cluster_client import TIMEOUT, Clients, Endpoints
from harness import BenchError, Bench, Gateway, Sink, progress

REPLICAS = 3
# Of config/deploy, shortened where only waiting would be longer: preStop 10 s, readiness every 5 s.
PRESTOP_SECONDS = 3
PROPAGATION_SECONDS = 1
# The guide's limits.
P95_MS, ERROR_SHARE, CPU_SHARE, MEMORY_SHARE, DOWNTIME_SECONDS = 500, 0.001, 0.80, 0.85, 30
CPU_LIMIT, MEMORY_LIMIT_MIB = 1.0, 1024
PATH = {
    "protocol": "http1",
    "signal": "traces",
    "gzip": False,
    "exporter": "otlp_grpc",
    "compression": "none",
}


class Replica:
    """One gateway with a volume: what replaces it starts on the same one."""

    def __init__(self, bench, options, sink, volume, fsync):
        self.volume = volume
        storage = {"directory": volume, "create_directory": True, "fsync": fsync}
        queue = {"storage": "file_storage", "batch": {"flush_timeout": "200ms"}}
        # 80 % of the container's limit, as memory_limiter has it there.
        limit = int(MEMORY_LIMIT_MIB * 0.8)
        self.gateway = Gateway(
            bench, "sluice", options.gateway, PATH, sink.port, limit, queue=queue, storage=storage
        )
        self.address = ("127.0.0.1", self.gateway.port("http1"))

    def vanish(self):
        """Silence, as when a node loses its power: connections neither answer nor break."""
        self.gateway.program.process.send_signal(signal.SIGSTOP)

    def kill(self):
        """SIGKILL: the cluster has given the node up, and the volume is free. Returns once the process is gone."""
        self.gateway.program.process.kill()
        self.gateway.program.process.wait()
        self.gateway.bench.stop(self.gateway.program)


def volumes(folder):
    return [os.path.join(folder, f"volume-{number}") for number in range(REPLICAS)]


def check(rows, failures, name, value, limit, unit, better="below"):
    """A row of the report, and a failure when the guide's limit is not kept."""
    kept = value < limit if better == "below" else value == limit
    rows.append(
        (
            name,
            f"{value:.3g} {unit}".strip(),
            f"{'< ' if better == 'below' else ''}{limit:g} {unit}".strip(),
            "yes" if kept else "NO",
        )
    )
    if not kept:
        failures.append(name)


COLUMNS = ["<what", "measured", "to reach", "<reached"]


def capacity(options):
    """Three gateways, clients round robin over them, at a rate that a platform would plan for."""
    rate, items, seconds = options.rate, 100, max(options.seconds, 10)
    with Bench() as bench, tempfile.TemporaryDirectory(
        prefix="sluice-capacity-", dir=options.folder
    ) as folder:
        sink = Sink(bench, "--count")
        replicas = [Replica(bench, options, sink, volume, False) for volume in volumes(folder)]
        shape = {
            "protocol": "grpc",
            "signal": "traces",
            "gzip": False,
            "items": items,
            "connections": 4,
            "streams": 16,
        }
        ports = [replica.gateway.port("grpc") for replica in replicas]
        for port in ports:
            harness.run_load(bench, port, shape, 1, rate=rate / REPLICAS)
        time.sleep(1)  # what warmed up is delivered
        cpu = [replica.gateway.program.cpu_seconds() for replica in replicas]
        for replica in replicas:
            replica.gateway.program.reset_peak()
        before = sink.snapshot()["items"]
        loads = [harness.start_load(bench, port, shape, seconds, rate=rate / REPLICAS) for port in ports]
        reports = [harness.finish_load(bench, load) for load in loads]
        time.sleep(1)
        cpu = [replica.gateway.program.cpu_seconds() - begun for replica, begun in zip(replicas, cpu)]
        peak = [replica.gateway.program.memory_mib()[1] for replica in replicas]
        delivered = sink.snapshot()["items"] - before
        for replica in replicas:
            replica.gateway.stop()
        sink.stop()
    sent = sum(
        report["ok"]
        + report["refused_retryable"]
        + report["failed"]
        + report["transport_errors"]
        + report["unanswered"]
        for report in reports
    )
    accepted = sum(report["items_ok"] for report in reports)
    if not accepted:
        raise BenchError(f"no request was accepted: {reports[0]['first_error']}")
    worst = {key: max(report["latency_ms"][key] for report in reports) for key in ("p50", "p95", "p99")}
    rows, failures = [], []
    check(rows, failures, "P95 of a call, the worst gateway", worst["p95"], P95_MS, "ms")
    check(
        rows,
        failures,
        "share of failed calls",
        1 - sum(each["ok"] for each in reports) / sent,
        ERROR_SHARE,
        "",
    )
    check(
        rows,
        failures,
        "CPU of the busiest gateway ÷ its limit",
        max(cpu) / seconds / CPU_LIMIT,
        CPU_SHARE,
        "",
    )
    check(rows, failures, "memory of the largest ÷ its limit", max(peak) / MEMORY_LIMIT_MIB, MEMORY_SHARE, "")
    check(rows, failures, "items accepted and not delivered", float(accepted - delivered), 0, "", "equal")
    method = (
        f"{REPLICAS} gateways with queues on disk, limits {CPU_LIMIT:g} CPU and {MEMORY_LIMIT_MIB} MiB each, gRPC, {rate:g} "
        f"calls of {items} spans a second in all, open loop, {seconds:g} s; generators, gateways and sink share this "
        f"machine. P50 {worst['p50']:.2f} ms, P99 {worst['p99']:.2f} ms, {accepted} spans."
    )
    result = {
        "reports": reports,
        "cpu_seconds": cpu,
        "peak_mib": peak,
        "delivered": delivered,
        "failed": bool(failures),
    }
    return [result], ["## Capacity", "", method, "", *harness.table(COLUMNS, rows)]


def retire(replica, endpoints):
    """What happens to a replica that is replaced: out of the endpoints, preStop, SIGTERM, drain. Its exit code."""
    # The endpoints' change is on its way while preStop waits.
    threading.Timer(PROPAGATION_SECONDS, endpoints.remove, [replica.address]).start()
    time.sleep(PRESTOP_SECONDS)
    return replica.gateway.stop()


def outcome(clients, sink, recorded, seconds):
    """Stops the clients and waits until the sink has all that was acknowledged: (acknowledged, lost, twice)."""
    clients.stop()
    deadline = time.monotonic() + seconds
    while True:
        sink.snapshot()  # writes out what it recorded
        acknowledged, lost, twice = clients.compare(recorded)
        if not lost or time.monotonic() > deadline:
            return acknowledged, lost, twice
        time.sleep(0.5)


def rollout(options):
    """Each gateway is replaced under load, one more than three at a time, never one less."""
    with Bench() as bench, tempfile.TemporaryDirectory(
        prefix="sluice-rollout-", dir=options.folder
    ) as folder:
        recorded = os.path.join(bench.folder, "recorded")
        sink = Sink(bench, "--record", recorded)
        replicas = [Replica(bench, options, sink, volume, True) for volume in volumes(folder)]
        endpoints = Endpoints(replica.address for replica in replicas)
        clients = Clients(endpoints, options.clients)
        time.sleep(max(options.seconds, 3))
        codes, drains = [], []
        for number in range(REPLICAS):
            # Surge 1: the new one is ready before the old one goes. A Deployment's new pod has a new volume.
            new = Replica(bench, options, sink, os.path.join(folder, f"surge-{number}"), True)
            endpoints.add(new.address)
            code, drain = retire(replicas[number], endpoints)
            replicas[number] = new
            codes.append(code)
            drains.append(drain)
            time.sleep(2)
        acknowledged, lost, twice = outcome(clients, sink, recorded, 20)
        for replica in replicas:
            replica.gateway.stop()
        sink.stop()
        summary = clients.summary()
    rows, failures = [], []
    check(
        rows, failures, "requests that failed after their retries", float(summary["failed"]), 0, "", "equal"
    )
    check(rows, failures, "spans acknowledged and lost", float(lost), 0, "", "equal")
    check(
        rows,
        failures,
        "replicas that left something behind",
        float(sum(code != 0 for code in codes)),
        0,
        "",
        "equal",
    )
    check(rows, failures, "longest time without an answered request", summary["longest_gap"], 1, "s")
    method = (
        f"{REPLICAS} gateways replaced one after the other (surge 1, unavailable 0, preStop {PRESTOP_SECONDS} s, "
        f"endpoints follow after {PROPAGATION_SECONDS} s), {options.clients} clients over OTLP/HTTP that try again as OTLP says. "
        f"{summary['requests']} requests, {acknowledged} spans acknowledged, {twice} came twice, "
        f"{summary['retried']} attempts were repeated, drains took at most {max(drains):.2f} s, "
        f"P95 {summary['p95_ms']:.1f} ms."
    )
    result = {
        **summary,
        "acknowledged": acknowledged,
        "lost": lost,
        "twice": twice,
        "exit_codes": codes,
        "failed": bool(failures),
    }
    return [result], ["## Rollout", "", method, "", *harness.table(COLUMNS, rows)]


def node_failure(options):
    """One gateway falls silent under load, as its node would; what replaces it has its volume."""
    with Bench() as bench, tempfile.TemporaryDirectory(prefix="sluice-node-", dir=options.folder) as folder:
        recorded = os.path.join(bench.folder, "recorded")
        sink = Sink(bench, "--record", recorded, "--delay", "20")
        replicas = [Replica(bench, options, sink, volume, True) for volume in volumes(folder)]
        endpoints = Endpoints(replica.address for replica in replicas)
        clients = Clients(endpoints, options.clients)
        time.sleep(max(options.seconds, 3))
        before = clients.rate(2)
        begin = time.monotonic()
        replicas[0].vanish()
        during = clients.rate(2)
        # Readiness notices, as long as it takes there with periodSeconds 5 and failureThreshold 2.
        time.sleep(max(0, options.detection_seconds - (time.monotonic() - begin)))
        endpoints.remove(replicas[0].address)
        replicas[0].kill()
        replicas[0] = Replica(bench, options, sink, replicas[0].volume, True)
        endpoints.add(replicas[0].address)
        whole = time.monotonic() - begin
        # Until the last attempt at the one that is gone has run out of time.
        time.sleep(TIMEOUT)
        after = clients.rate(2)
        acknowledged, lost, twice = outcome(clients, sink, recorded, 20)
        for replica in replicas:
            replica.gateway.stop()
        sink.stop()
        summary = clients.summary()
    rows, failures = [], []
    check(
        rows, failures, "requests that failed after their retries", float(summary["failed"]), 0, "", "equal"
    )
    check(rows, failures, "spans acknowledged and lost", float(lost), 0, "", "equal")
    check(
        rows,
        failures,
        "longest time without an answered request",
        summary["longest_gap"],
        DOWNTIME_SECONDS,
        "s",
    )
    check(rows, failures, "time to three replicas again", whole, DOWNTIME_SECONDS, "s")
    method = (
        f"One of {REPLICAS} gateways stops answering (SIGSTOP) under the load of {options.clients} clients, whose attempts last "
        f"{TIMEOUT} s at most; after {options.detection_seconds:g} s its endpoint goes, it is killed (SIGKILL), and its "
        f"replacement starts on the same volume (fsync). Requests a second before "
        f"{before:.0f}, in the two seconds after {during:.0f}, with three again {after:.0f}. {acknowledged} spans acknowledged, "
        f"{twice} came twice, {summary['retried']} attempts were repeated. A cluster adds the time until it gives the node up "
        "(about 50 s) and the 30 s of config/deploy's tolerations before the pod is replaced: until then two replicas serve."
    )
    result = {
        **summary,
        "acknowledged": acknowledged,
        "lost": lost,
        "twice": twice,
        "whole": whole,
        "failed": bool(failures),
    }
    return [result], ["## Node failure", "", method, "", *harness.table(COLUMNS, rows)]


def arguments(parser):
    """The options of these three."""
    parser.add_argument("--rate", type=float, default=600, help="calls a second for capacity (default 600)")
    parser.add_argument("--clients", type=int, default=12, help="for rollout and node-failure (default 12)")
    parser.add_argument(
        "--detection-seconds",
        type=float,
        default=10,
        help="until a lost gateway's endpoint goes (default 10)",
    )


COMMANDS = {"capacity": capacity, "rollout": rollout, "node-failure": node_failure}
