"""What is made of whole traces: what connectors add to a span, and what tail sampling costs in time and memory.

Traces have 20 spans in four services; a request brings one service's spans of 20 traces.
"""

import statistics
import time

import harness
from harness import Bench, BenchError, progress, run_load
from pairs import TURN_SECONDS, turns
from throughput import RunningPath, path, shape_of, troubles

SERIES = 10_000
TRACE_SPANS = 20
WAITING_TRACES = 100_000
DECISION_SECONDS = 2
LIMIT_MIB = 8192
POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 5000}},
    {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": 10}},
]
CONNECTORS = [
    ("span_metrics, 10 000 series", {"span_metrics": {"metrics_flush_interval": "15s"}}, 150),
    (
        "span_metrics, 10 000 series, a dimension and exemplars",
        {
            "span_metrics": {
                "metrics_flush_interval": "15s",
                "dimensions": [{"name": "http.request.method"}],
                "exemplars": {"enabled": True},
            }
        },
        None,
    ),
    ("service_graph", {"service_graph": {"store": {"max_items": 100_000}}}, 250),
]


class Traces(RunningPath):
    """A gateway that gets new traces with each load."""

    seed = 1

    def load(self, seconds, *more):
        Traces.seed += 1
        extra = ["--whole-traces", "--series", str(SERIES), "--seed", str(Traces.seed), *more]
        report = run_load(
            self.bench, self.port, self.shape, seconds, affinity=self.options.load_cores, extra=extra
        )
        self.notes.update(troubles(report))
        self.accepted_items += report["items_ok"]
        return report

    def nanoseconds(self, seconds, rest=0.4):
        """CPU time of the gateway for a span of one load, with what it does `rest` seconds after."""
        cpu = self.gateway.program.cpu_seconds()
        spans = self.load(seconds)["items_ok"]
        time.sleep(rest)
        return 1e9 * (self.gateway.program.cpu_seconds() - cpu) / spans


def road(options, name, **more):
    each = {**path(name), **more}
    return each, shape_of(each, 100, options)


def started(bench, options, name, limit_mib=None, **more):
    each, shape = road(options, name, **more)
    if limit_mib:
        options = type(options)(**{**vars(options), "limit_mib": limit_mib})
    return Traces(bench, "sluice", options.gateway, each, shape, options)


def connector_cell(bench, options, name, connector, allowed):
    """One line: what the connector adds to a span, over pairs of turns."""
    running, runs = [], ([], [])
    try:
        for more in ({"connector": connector}, {"connector": {}}):
            running.append(started(bench, options, name, **more))
            running[-1].nanoseconds(options.warmup)
        for which in turns(max(2, round(options.seconds / TURN_SECONDS)) * options.repeat):
            runs[which].append(running[which].nanoseconds(TURN_SECONDS))
        memory = [one.gateway.program.memory_mib()[0] for one in running]
    finally:
        for one in running:
            one.stop()
    added = [a - b for a, b in zip(*runs)]
    row = {
        "what": f"{name}: added ns a span",
        "value": statistics.median(added),
        "error": 1.2533 * statistics.stdev(added) / len(added) ** 0.5,
        "limit": None if allowed is None else f"≤ {allowed}",
        "more": f"{statistics.median(runs[0]):.0f} with, {statistics.median(runs[1]):.0f} without; "
        f"{memory[0] - memory[1]:.0f} MiB more",
        "notes": sorted({note for one in running for note in one.notes}),
    }
    return row


def sampler(wait, traces):
    return {
        "tail_sampling": {
            "decision_wait": f"{wait}s",
            "num_traces": traces,
            "decision_cache": {"sampled_cache_size": 500_000, "non_sampled_cache_size": 500_000},
            "policies": POLICIES,
        }
    }


def sampling_cell(bench, options):
    """Spans a CPU second, from the receiver to the decision."""
    name = "tail_sampling"
    running = started(bench, options, name, LIMIT_MIB, processors=sampler(DECISION_SECONDS, 1_000_000))
    rest = DECISION_SECONDS + 1.5
    try:
        running.nanoseconds(options.warmup, rest)
        # The first loads go into memory that the kernel has to clear; what a burst needed is used again by the next one.
        fresh = running.nanoseconds(options.seconds, rest)
        running.nanoseconds(options.seconds, rest)
        runs = [running.nanoseconds(options.seconds, rest) for _ in range(max(3, options.repeat))]
    finally:
        running.stop()
    rates = [1e6 / each for each in runs]
    return {
        "what": "tail_sampling, three policies: thousand spans a CPU second",
        "value": statistics.median(rates),
        "error": 1.2533 * statistics.stdev(rates) / len(rates) ** 0.5,
        "limit": "≥ 1000",
        "more": f"{statistics.median(runs):.0f} ns a span, the receiver's share with it; {fresh:.0f} into fresh memory",
        "notes": sorted(running.notes),
    }


def waiting_cell(bench, options):
    """What traces take that wait for their decision."""
    running = started(bench, options, "waiting", LIMIT_MIB, processors=sampler(600, 2 * WAITING_TRACES))
    requests = WAITING_TRACES * TRACE_SPANS // running.shape["items"]
    try:
        running.load(1, "--requests", "64")
        time.sleep(1)
        before = running.gateway.program.memory_mib()[0]
        # No faster than the sampler works: what piles up before it would be measured with what waits in it.
        report = running.load(60, "--requests", str(requests), "--rate", "1500")
        time.sleep(1)
        grown = running.gateway.program.memory_mib()[0] - before
    finally:
        running.gateway.program.process.kill()  # a stop would decide them all
        running.gateway.program.process.wait()
        running.stop()
    wire = report["bytes_sent"] / 2**20
    return {
        "what": f"{WAITING_TRACES} waiting traces of {TRACE_SPANS} spans: MB beyond their wire bytes",
        "value": (grown - wire) * 2**20 / 1e6,
        "error": 0,
        "limit": "≤ 30",
        "more": f"{grown:.0f} MiB resident for {wire:.0f} MiB of requests, {report['items_ok']:.0f} spans",
        "notes": [note for note in sorted(running.notes) if "exit code" not in note],
    }


COLUMNS = ["<what", "measured", "±", "limit", "<more", "<notes"]


def traces(options):
    """Connectors and tail sampling, as far as --paths names them."""
    cells = [
        (name, lambda bench, each=(name, connector, allowed): connector_cell(bench, options, *each))
        for name, connector, allowed in CONNECTORS
    ]
    cells += [
        ("tail_sampling", lambda bench: sampling_cell(bench, options)),
        ("waiting", lambda bench: waiting_cell(bench, options)),
    ]
    rows = []
    with Bench() as bench:
        for name, measure in cells:
            if options.paths and not any(wanted.lower() in name for wanted in options.paths):
                continue
            try:
                rows.append(measure(bench))
                progress(f"{rows[-1]['what']}: {rows[-1]['value']:.0f} ({rows[-1]['more']})")
            except BenchError as error:
                rows.append({"what": name, "error_text": str(error), "failed": True})
                progress(f"{name}: {error}")
    lines = []
    for row in rows:
        if "error_text" in row:
            lines.append([row["what"], "", "", "", row["error_text"][:160], ""])
            continue
        lines.append(
            [
                row["what"],
                f"{row['value']:.0f}",
                f"{row['error']:.0f}",
                row["limit"] or "–",
                row["more"],
                ", ".join(row["notes"]),
            ]
        )
    method = (
        "otlp (gRPC) → nop, 100 spans a request: a service's five spans of each of 20 traces, four requests for a "
        f"trace of {TRACE_SPANS}. Connectors: the same road with and without them by turns of {TURN_SECONDS} s. Tail "
        f"sampling: user and system time of the gateway until all traces are decided, {DECISION_SECONDS} s after their "
        "first spans."
    )
    return rows, ["## Whole traces", "", method, ""] + harness.table(COLUMNS, lines)
