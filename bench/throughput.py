"""Throughput: what an item costs on every path, beside the bare sink under the same load."""

import json

import harness
from harness import Bench, BenchError, Gateway, NotBuilt, Sink, progress, run_load, spread


def path(name, protocol="grpc", signal="traces", gzip=False, exporter="nop", compression="none", series=0):
    return {
        "name": name,
        "protocol": protocol,
        "signal": signal,
        "gzip": gzip,
        "exporter": exporter,
        "compression": compression,
        "series": series,
    }


PATHS = [
    path("gRPC → nop"),
    path("gRPC → otlp gRPC", exporter="otlp_grpc"),
    path("gRPC gzip → nop", gzip=True),
    path("gRPC gzip → otlp gRPC gzip", gzip=True, exporter="otlp_grpc", compression="gzip"),
    path("gRPC → otlp gRPC gzip", exporter="otlp_grpc", compression="gzip"),
    path("HTTP/1.1 → nop", protocol="http1"),
    path("HTTP/1.1 → otlp gRPC", protocol="http1", exporter="otlp_grpc"),
    path("HTTP/2 → nop", protocol="http2"),
    path("gRPC → otlp HTTP", exporter="otlp_http"),
    path("gRPC → loadbalancing, 2 backends", exporter="loadbalancing"),
    path("metrics gRPC → nop", signal="metrics"),
    path("metrics gRPC → prometheus, 5000 series", signal="metrics", exporter="prometheus", series=5000),
    path("logs gRPC → nop", signal="logs"),
    path("logs gRPC → otlp HTTP", signal="logs", exporter="otlp_http"),
    path("logs gRPC → Loki", signal="logs", exporter="loki"),
]


def shape_of(each, items, options):
    """What the load generator sends; few streams for large requests, so as many bytes are in flight."""
    return {
        "protocol": each["protocol"],
        "signal": each["signal"],
        "gzip": each["gzip"],
        "items": items,
        "connections": options.connections,
        "streams": options.streams if items < 1000 else max(1, options.streams // 4),
        "series": each["series"],
    }


def bare_sink(bench, shape, options, known):
    """The floor: a C sink that copies each body once, under the same load. Measured once a shape and run."""
    key = json.dumps(shape, sort_keys=True)
    if key not in known:
        runs = []
        for _ in range(options.repeat):
            sink = Sink(bench, "--copy", affinity=options.gateway_cores)
            runs.append(
                harness.measure(
                    bench, sink.program, sink.port, shape, options.seconds, options.warmup, options.load_cores
                )["kitems_per_cpu_second"]
            )
            sink.stop()
        known[key] = spread(runs)
    return known[key]


def troubles(load):
    """Requests of a load that were not accepted, in words; empty when there were none."""
    keys = ("failed", "transport_errors", "unanswered", "refused_retryable")
    return [f"{load[key]} {key.replace('_', ' ')}" for key in keys if load[key]]


def differences(sink_report, accepted_items):
    """What the destination got otherwise than it was accepted, in words."""
    notes = []
    if sink_report["items"] is not None and sink_report["items"] != accepted_items:
        difference = accepted_items - sink_report["items"]
        notes.append(
            f"{abs(difference):.0f} items {'lost' if difference > 0 else 'too many'} at the destination"
        )
    if sink_report["malformed"]:
        notes.append(f"{sink_report['malformed']} malformed requests at the destination")
    return notes


class RunningPath:
    """A gateway, and the sink behind it when the path has one; its first request was accepted."""

    def __init__(self, bench, kind, binary, each, shape, options):
        self.bench, self.kind, self.shape, self.options = bench, kind, shape, options
        self.sink = self.gateway = None
        self.accepted_items, self.notes = 0, set()
        count = [] if each["compression"] == "gzip" else ["--count"]
        try:
            if each["exporter"] not in ("nop", "prometheus"):
                self.sink = Sink(bench, *count, affinity=options.load_cores)
            destination = self.sink.port if self.sink else 0
            self.gateway = Gateway(
                bench, kind, binary, each, destination, options.limit_mib, options.gateway_cores
            )
            self.idle_mib = self.gateway.program.memory_mib()[0]
            probe = run_load(bench, self.port, shape, 5, extra=["--requests", "1", "--grace", "5"])
            if not probe["ok"]:
                reason = probe["not_ok_by_status"] or probe["first_error"] or "no answer in time"
                raise NotBuilt(f"the first request was answered with {reason}")
            self.accepted_items = probe["items_ok"]
        except BaseException:
            self.stop()
            raise

    @property
    def port(self):
        return self.gateway.port(self.shape["protocol"])

    def measure(self, seconds, warmup=0):
        """One load of so many seconds; what makes its figures doubtful is in the notes."""
        result = harness.measure(
            self.bench, self.gateway.program, self.port, self.shape, seconds, warmup, self.options.load_cores
        )
        self.accepted_items += result["accepted_items"]
        self.notes.update(troubles(result["load"]))
        return result

    def stop(self):
        """Ends both; returns the seconds that the gateway took."""
        seconds = None
        if self.gateway:
            code, seconds = self.gateway.stop()
            self.gateway = None
            if self.kind == "sluice" and code:
                self.notes.add(f"exit code {code}")
        if self.sink:
            self.notes.update(differences(self.sink.stop(), self.accepted_items))
            self.sink = None
        return seconds


def one_run(bench, each, shape, options):
    """One start, warm-up, measurement and stop of the gateway on one path."""
    running = RunningPath(bench, "sluice", options.gateway, each, shape, options)
    try:
        result = running.measure(options.seconds, options.warmup)
    finally:
        stop_seconds = running.stop()
    result["idle_mib"], result["stop_seconds"] = running.idle_mib, stop_seconds
    result["notes"] = sorted(running.notes)
    return result


def cell(bench, each, items, options, known):
    """One line of the table: `repeat` runs on one path with one request size."""
    shape = shape_of(each, items, options)
    row = {"path": each["name"], "items": items, "shape": shape}
    try:
        runs = [one_run(bench, each, shape, options) for _ in range(options.repeat)]
    except NotBuilt as error:
        row["not_built"] = str(error)
        progress(f"{each['name']}, {items}: not built ({error})")
        return row
    except BenchError as error:
        row["error"] = str(error)
        progress(f"{each['name']}, {items}: {error}")
        return row
    row["runs"] = runs
    row["kitems_per_cpu_second"] = spread([run["kitems_per_cpu_second"] for run in runs])
    row["bare_sink"] = bare_sink(bench, shape, options, known)
    row["notes"] = sorted({note for run in runs for note in run["notes"]})
    progress(
        f"{each['name']}, {items}: {row['kitems_per_cpu_second']['median']:.0f} k items/CPU s"
        f"{' (' + ', '.join(row['notes']) + ')' if row['notes'] else ''}"
    )
    return row


THROUGHPUT_COLUMNS = [
    "<path",
    "items a request",
    "k items / CPU s",
    "bare sink",
    "ratio",
    "k items / s",
    "p99 ms",
    "MiB idle / after / peak",
    "<notes",
]


def throughput_row(row):
    begin = [row["path"], row["items"]]
    if "not_built" in row or "error" in row:
        what = "not built: " + row["not_built"] if "not_built" in row else "error: " + row["error"]
        return begin + [""] * (len(THROUGHPUT_COLUMNS) - 4) + [what[:160]]
    middle = sorted(row["runs"], key=lambda run: run["kitems_per_cpu_second"])[len(row["runs"]) // 2]
    cost, floor, load = row["kitems_per_cpu_second"]["median"], row["bare_sink"]["median"], middle["load"]
    peak = max(run["peak_mib"] for run in row["runs"])
    return begin + [
        f"{cost:.0f}",
        f"{floor:.0f}",
        f"{cost / floor if floor else 0:.2f}",
        f"{load['items_per_second'] / 1000:.0f}",
        f"{load['latency_ms']['p99']:.2f}",
        f"{middle['idle_mib']:.0f} / {middle['resident_mib']:.0f} / {peak:.0f}",
        ", ".join(row["notes"]),
    ]


def cells(options):
    """The paths and sizes of requests that were asked for."""
    for each in PATHS:
        if not options.paths or any(wanted.lower() in each["name"].lower() for wanted in options.paths):
            yield from ((each, items) for items in options.items)


def throughput(options):
    """Items a CPU second on every path, next to the bare sink under the same load."""
    known = {}
    with Bench() as bench:
        rows = [
            cell(bench, each, items, options, known) for each, items in cells(options)
        ]
    method = (
        f"Closed loop, {options.connections} connections, {options.streams} streams each (a quarter of "
        f"them at 1000 items), {options.seconds:g} s after {options.warmup:g} s of warm-up, "
        f"median of {options.repeat}."
    )
    lines = harness.table(THROUGHPUT_COLUMNS, [throughput_row(row) for row in rows])
    return rows, ["## Throughput", "", method, ""] + lines
