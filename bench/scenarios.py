"""The measurements other than throughput: start-up, scaling, latency, overload, draining, scraping."""

import array
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time

import harness
import idle
from harness import Bench, BenchError, Gateway, Sink, progress, run_load, spread

MEMORY_TARGET_MIB = 300
IDS_A_SEED = 1 << 48


def grpc_path(exporter="nop", compression="none"):
    return {
        "protocol": "grpc",
        "signal": "traces",
        "gzip": False,
        "exporter": exporter,
        "compression": compression,
    }


def grpc_shape(options, items=100, connections=None, streams=None):
    return {
        "protocol": "grpc",
        "signal": "traces",
        "gzip": False,
        "items": items,
        "connections": connections or options.connections,
        "streams": streams or options.streams,
    }


def idle_connections(bench, options, count):
    """Resident MiB with `count` HTTP/2 connections open that have nothing to say, by what they have said before."""
    gateway = Gateway(bench, "sluice", options.gateway, grpc_path(), 0, options.limit_mib)
    body = subprocess.run([harness.PAYLOAD, "traces", "1"], check=True, capture_output=True).stdout
    crowd = idle.measure(gateway, gateway.port("grpc"), count, body)
    gateway.stop()
    return crowd


def startup(options, starts=9):
    """Milliseconds from spawn to the first ready answer, and resident memory when idle."""
    ready, resident, stop = [], [], []
    with Bench() as bench:
        for _ in range(starts):
            gateway = Gateway(bench, "sluice", options.gateway, grpc_path(), 0, options.limit_mib)
            ready.append(gateway.ready_ms)
            resident.append(gateway.idle_mib())
            stop.append(gateway.stop()[1] * 1000)
        count = options.idle_connections
        crowd = idle_connections(bench, options, count) if count else None
    result = {
        "ready_ms": spread(ready),
        "idle_mib": spread(resident),
        "stop_ms": spread(stop),
        "idle_connections": count,
        "idle_connections_mib": crowd,
    }
    rows = [
        (name, *(f"{result[key][part]:.1f}" for part in ("median", "low", "high")))
        for name, key in (
            ("spawn to ready, ms", "ready_ms"),
            ("idle resident, MiB", "idle_mib"),
            ("SIGTERM to exit when idle, ms", "stop_ms"),
        )
    ]
    if crowd is not None:
        for name, what in (
            ("silent", "that have sent nothing"),
            ("greeted", "that have sent their settings"),
            ("asked", "that have just made a request each"),
            ("idle", f"the same, {idle.IDLE_SECONDS} s later"),
        ):
            rows.append((f"resident with {count} connections {what}, MiB", f"{crowd[name]:.1f}", "", ""))
    return result, ["## Start and idle", "", *harness.table(["<what", "median", "low", "high"], rows)]


def scaling(options):
    """The cost of an item on one core and on all; what sharing costs shows in their ratio."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("scaling needs two cores")
    results, rows = [], []
    with Bench() as bench:
        for items in (1, 100):
            shape, costs = grpc_shape(options, items), {}
            for label, affinity in (("one", {cores[0]}), ("all", None)):
                runs = []
                for _ in range(options.repeat):
                    gateway = Gateway(
                        bench, "sluice", options.gateway, grpc_path(), 0, options.limit_mib, affinity
                    )
                    result = harness.measure(
                        bench, gateway.program, gateway.port("grpc"), shape, options.seconds, options.warmup
                    )
                    runs.append(result["kitems_per_cpu_second"])
                    gateway.stop()
                costs[label] = spread(runs)
            factor = len(cores) * costs["all"]["median"] / costs["one"]["median"]
            results.append({"items": items, "cores": len(cores), **costs, "factor": factor})
            rows.append(
                (items, f"{costs['one']['median']:.0f}", f"{costs['all']['median']:.0f}", f"{factor:.2f}")
            )
    method = (
        f"gRPC → nop. The factor is {len(cores)} × (k items / CPU s on all cores ÷ on one): what "
        f"{len(cores)} cores do when nothing else wants them."
    )
    columns = ["items a request", "k items / CPU s on one core", f"on {len(cores)}", "factor"]
    return results, ["## Scaling", "", method, "", *harness.table(columns, rows)]


def latency(options):
    """Call latency at half of what a closed loop reaches, from the intended time of each call."""
    results, rows = [], []
    with Bench() as bench:
        for name, exporter in (("gRPC → nop", "nop"), ("gRPC → otlp gRPC", "otlp_grpc")):
            for items in (1, 100):
                sink = Sink(bench)
                gateway = Gateway(
                    bench, "sluice", options.gateway, grpc_path(exporter), sink.port, options.limit_mib
                )
                shape = grpc_shape(options, items)
                run_load(bench, gateway.port("grpc"), shape, options.warmup)
                peak = run_load(bench, gateway.port("grpc"), shape, options.seconds)["requests_per_second"]
                if not peak:
                    raise BenchError(f"no request was accepted on {name}")
                half = run_load(bench, gateway.port("grpc"), shape, options.seconds, rate=peak / 2)
                gateway.stop()
                sink.stop()
                results.append({"path": name, "items": items, "peak_requests_per_second": peak, "half": half})
                times = half["latency_ms"]
                rows.append(
                    (
                        name,
                        items,
                        f"{peak:.0f}",
                        f"{half['requests_per_second']:.0f}",
                        *(f"{times[key]:.2f}" for key in ("p50", "p90", "p99", "p99.9", "max")),
                    )
                )
                progress(f"{name}, {items}: p50 {times['p50']:.2f} ms, p99 {times['p99']:.2f} ms")
    columns = [
        "<path",
        "items a request",
        "peak requests/s",
        "half of it offered, answered",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "max",
    ]
    return results, ["## Latency at half load", "", *harness.table(columns, rows)]


def storage(options):
    """What a queue on disk costs, in CPU seconds, beside the same one in memory."""
    variants = [("in memory", None), ("on disk", {"fsync": False}), ("on disk, fsync", {"fsync": True})]
    results, rows, floor = [], [], {}
    for gzip in (False, True):
        for name, settings in variants:
            runs = []
            with Bench() as bench:
                for _ in range(options.repeat):
                    with tempfile.TemporaryDirectory(prefix="sluice-queue-", dir=options.folder) as folder:
                        runs.append(storage_once(bench, options, gzip, settings, folder))
            cost = spread([one["kitems_per_cpu_second"] for one in runs])
            rate = spread([one["mb_per_second"] for one in runs])
            floor.setdefault(gzip, cost["median"])
            results.append({"gzip": gzip, "queue": name, "cost": cost, "mb_per_second": rate})
            rows.append(
                (
                    "gzip" if gzip else "plain",
                    name,
                    f"{cost['median']:.0f}",
                    f"{floor[gzip] / cost['median']:.2f}",
                    f"{rate['median']:.0f}",
                )
            )
            progress(f"{'gzip' if gzip else 'plain'}, {name}: {cost['median']:.0f}, {rate['median']:.0f} MB/s")
    method = (
        "gRPC, 100 spans a request → sending_queue with batch → otlp gRPC, as it came; MB/s of requests before "
        "compression. To reach with fsync: 1.5 times the CPU of the queue in memory, 150 MB/s."
    )
    columns = ["<requests", "<queue", "k items / CPU s", "CPU ÷ in memory", "MB/s"]
    return results, ["## Queue on disk", "", method, "", *harness.table(columns, rows)]


def storage_once(bench, options, gzip, settings, folder):
    sink = Sink(bench)
    path = grpc_path("otlp_grpc", "gzip" if gzip else "none")
    queue = {"batch": {}, "queue_size": 100_000}
    if settings:
        queue["storage"] = "file_storage"
        settings = {"directory": folder, "max_size_mib": 4096, **settings}
    gateway = Gateway(
        bench, "sluice", options.gateway, path, sink.port, options.limit_mib, queue=queue, storage=settings
    )
    shape = dict(grpc_shape(options, 100, streams=64), gzip=gzip)
    try:
        one = harness.measure(
            bench, gateway.program, gateway.port("grpc"), shape, options.seconds, options.warmup
        )
    finally:
        gateway.stop()
        sink.stop()
    one["mb_per_second"] = one["load"]["items_ok"] * 456 / one["load"]["seconds"] / 1e6
    return one


# ---- overload ----


class MemoryWatch:
    """Samples a program's resident memory every 50 ms in a thread of its own."""

    def __init__(self, program):
        self.program, self.samples, self.done = program, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(0.05):
            try:
                self.samples.append(self.program.memory_mib()[0])
            except OSError:
                return  # it ended; the caller sees that

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()


def delivered_rate(sink, seconds):
    """Items a second that reach the sink in the next `seconds`."""
    before, begin = sink.snapshot(), time.monotonic()
    time.sleep(seconds)
    after, end = sink.snapshot(), time.monotonic()
    return (after["items"] - before["items"]) / (end - begin)


def offer(bench, gateway, sink, shape, seconds, settle, rate=None):
    """Load of `seconds`; goodput is what reaches the sink after the first `settle` seconds of it."""
    cpu = gateway.program.cpu_seconds()
    with MemoryWatch(gateway.program) as watch:
        load = harness.start_load(
            bench, gateway.port("grpc"), shape, seconds, rate=rate, extra=["--grace", "10"]
        )
        time.sleep(settle)
        goodput = delivered_rate(sink, seconds - settle - 0.3)
        report = harness.finish_load(bench, load)
    if not gateway.program.alive():
        raise BenchError(f"the gateway ended under load: {gateway.program.last_words()}")
    return {
        "load": report,
        "goodput": goodput,
        "peak_mib": max(watch.samples, default=0.0),
        "cpu_seconds": gateway.program.cpu_seconds() - cpu,
    }


def overload_once(bench, options, name, sink_options, queue):
    sink = Sink(bench, "--count", *sink_options)
    gateway = Gateway(
        bench, "sluice", options.gateway, grpc_path("otlp_grpc"), sink.port, options.limit_mib, queue=queue
    )
    shape = grpc_shape(options, 100, connections=8, streams=64)
    # What is sustained is taken with as much in flight as the overload has, before it and after it: this machine's speed
    # drifts by more within a minute than what is looked for.
    seconds = max(options.seconds, 10) + 2
    offer(bench, gateway, sink, shape, options.warmup + 1, 0.5)
    before = offer(bench, gateway, sink, shape, seconds, 2)
    if not before["goodput"]:
        raise BenchError("nothing reached the destination while the sustainable rate was looked for")
    rate = 3 * before["goodput"] / shape["items"]
    progress(f"{name}: sustains {before['goodput']:.0f} items/s, offering {rate:.0f} requests/s")
    over = offer(bench, gateway, sink, shape, options.overload_seconds, 2, rate=rate)
    time.sleep(1)
    after = offer(bench, gateway, sink, shape, seconds, 2)
    code, stop_seconds = gateway.stop()
    sink.stop()
    load = over["load"]
    answered = load["ok"] + load["refused_retryable"] + load["failed"] + load["transport_errors"]
    sustained = (before["goodput"] + after["goodput"]) / 2
    return {
        "destination": name,
        "before": before,
        "over": over,
        "after": after,
        "sustained": sustained,
        "exit_code": code,
        "stop_seconds": stop_seconds,
        "goodput_ratio": over["goodput"] / sustained,
        "answered_ratio": answered * shape["items"] / load["seconds"] / sustained,
        "all_retryable": load["failed"] == 0 and load["transport_errors"] == 0,
    }


def overload(options):
    """Three times what the gateway sustains, open loop, memory bounded: what still gets through?"""
    # The slow destination takes 4 batches each 100 ms: the queue fills, and memory decides what is refused.
    variants = [("fast", [], None), ("slow", ["--delay", "100"], {"num_consumers": 4, "queue_size": 10000})]
    results, rows = [], []
    with Bench() as bench:
        for name, sink_options, queue in variants:
            one = overload_once(bench, options, name, sink_options, queue)
            load = one["over"]["load"]
            results.append(one)
            rows.append(
                (
                    name,
                    f"{one['before']['goodput'] / 1000:.0f}",
                    f"{one['after']['goodput'] / 1000:.0f}",
                    f"{one['answered_ratio']:.1f}",
                    f"{one['over']['goodput'] / 1000:.0f}",
                    f"{100 * one['goodput_ratio']:.1f} %",
                    f"{one['over']['peak_mib']:.0f}",
                    load["ok"],
                    load["refused_retryable"],
                    load["failed"] + load["transport_errors"],
                    load["unanswered"],
                )
            )
            progress(
                f"{name}: {100 * one['goodput_ratio']:.1f} % of goodput, {one['over']['peak_mib']:.0f} MiB"
            )
    method = (
        f"gRPC → otlp gRPC, limit_mib {options.limit_mib}, three times the sustained rate offered open "
        f"loop for {options.overload_seconds:g} s. To reach: under {MEMORY_TARGET_MIB} MiB, at least 98 % of "
        "goodput (÷ the mean of what is sustained before and after), every refusal retryable."
    )
    columns = [
        "<destination",
        "sustained before, k items/s",
        "sustained after",
        "answered ÷ sustained",
        "goodput k items/s",
        "goodput",
        "peak MiB",
        "accepted",
        "refused, retryable",
        "otherwise failed",
        "unanswered",
    ]
    return results, ["## Overload", "", method, "", *harness.table(columns, rows)]


# ---- drain ----


def numbers(path, big_endian):
    values = array.array("Q")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    if big_endian == (sys.byteorder == "little"):
        values.byteswap()
    return values


def compare(acked_path, recorded_path, seed):
    """How many items were acknowledged, how many of them are missing at the sink, how many came twice."""
    first = (seed + 1) * IDS_A_SEED
    seen, twice = bytearray(), 0
    for number in numbers(recorded_path, True):
        index = number - first
        if not 0 <= index < 1 << 40:
            raise BenchError(f"the sink recorded the span id {number:016x}, which was never sent")
        if index >= len(seen):
            seen.extend(bytes(max(index + 1 - len(seen), 1 << 20)))
        twice += seen[index]
        seen[index] = 1
    pairs, acked, missing = numbers(acked_path, False), 0, 0
    for i in range(0, len(pairs), 2):
        begin, count = pairs[i] - first, pairs[i + 1]
        acked += count
        missing += count - sum(seen[begin : begin + count])
    return acked, missing, twice


def drain(options, rate=2000, seed=7):
    """SIGTERM under load: every span that was acknowledged must reach the destination."""
    results, rows = [], []
    with Bench() as bench:
        for protocol in ("grpc", "http1"):
            acked_path, recorded_path = (
                os.path.join(bench.folder, f"{protocol}.{n}") for n in ("acked", "recorded")
            )
            sink = Sink(bench, "--record", recorded_path, "--delay", "20")
            gateway = Gateway(
                bench, "sluice", options.gateway, grpc_path("otlp_grpc"), sink.port, options.limit_mib
            )
            shape = dict(grpc_shape(options, 100), protocol=protocol)
            if protocol == "http1":
                shape["connections"] = 32
            load = harness.start_load(
                bench,
                gateway.port(protocol),
                shape,
                60,
                rate=rate,
                extra=["--acked", acked_path, "--seed", str(seed), "--grace", "2"],
            )
            time.sleep(max(options.seconds, 2))
            code, seconds = gateway.stop()
            load.process.terminate()
            report = harness.finish_load(bench, load)
            sink.stop()
            acked, missing, twice = compare(acked_path, recorded_path, seed)
            results.append(
                {
                    "protocol": protocol,
                    "acked": acked,
                    "missing": missing,
                    "twice": twice,
                    "exit_code": code,
                    "stop_seconds": seconds,
                    "load": report,
                    "failed": bool(missing or code),
                }
            )
            rows.append(
                (
                    protocol,
                    acked,
                    missing,
                    twice,
                    f"{seconds:.2f}",
                    code,
                    report["refused_retryable"],
                    report["failed"],
                    report["transport_errors"],
                )
            )
            progress(
                f"{protocol}: {acked} spans acknowledged, {missing} missing, {twice} twice, exit code {code}"
            )
            if not acked:
                raise BenchError(f"no request was accepted over {protocol}: {report['first_error']}")
    method = (
        f"{rate} requests/s of 100 spans, gRPC export to a sink that answers after 20 ms, SIGTERM in the "
        "midst of it. To reach: nothing missing, exit code 0."
    )
    columns = [
        "<protocol",
        "spans acknowledged",
        "missing",
        "twice",
        "s to exit",
        "exit code",
        "refused",
        "failed",
        "transport errors",
    ]
    return results, ["## Draining on SIGTERM", "", method, "", *harness.table(columns, rows)]


# ---- scraping ----


def fill_shape(options, series, items):
    return {
        "protocol": "grpc",
        "signal": "metrics",
        "gzip": False,
        "items": items,
        "connections": options.connections,
        "streams": options.streams,
        "series": series,
    }


def scrape_once(gateway, headers):
    """CPU seconds of the gateway, bytes and lines of one page."""
    cpu = gateway.program.cpu_seconds()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.ports["page"], timeout=120)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise BenchError(f"the page was answered with {answer.status}")
    return gateway.program.cpu_seconds() - cpu, len(body), body.count(b"\n")


SCRAPES = [
    ("text", {}),
    ("text, gzip", {"Accept-Encoding": "gzip"}),
    ("OpenMetrics", {"Accept": "application/openmetrics-text; version=1.0.0"}),
    (
        "protobuf",
        {
            "Accept": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
            "encoding=delimited"
        },
    ),
]


def held_series(gateway):
    """What the exporter says that it holds."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.ports["telemetry"], timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("sluice_exporter_prometheus_series{"))


def fill(bench, gateway, shape, series, rate=0):
    """Makes so many series and returns how many are held. More at a time than can be made is refused; what is missing
    comes with the next round."""
    for _ in range(5):
        requests = ["--requests", str(series // shape["items"] + (1000 if shape["items"] == 1 else 0))]
        run_load(bench, gateway.port("grpc"), shape, 600, rate=rate, extra=requests)
        time.sleep(1)
        # target_info is one, too.
        if (held := held_series(gateway)) > series:
            return held
    raise BenchError(f"only {held} of {series} series could be made")


def scrape(options, scrapes=5):
    """What a page costs, and what series take in memory."""
    results, rows = [], []
    limits = {"max_series": 2_000_000, "max_series_per_metric": 2_000_000}
    path = {**grpc_path("prometheus"), "signal": "metrics", "page": limits}
    with Bench() as bench:
        # A request of one point is a sum; of a hundred, half are histograms of 11 buckets.
        for what, series, items in (
            ("100 000 sums", 100_000, 1),
            ("100 000, half histograms", 100_000, 100),
            ("1 000 000 sums", 1_000_000, 1),
        ):
            gateway = Gateway(bench, "sluice", options.gateway, path, 0, 4096)
            idle = gateway.program.memory_mib()[0]
            shape = fill_shape(options, series, items)
            held = fill(bench, gateway, shape, series)
            resident = gateway.program.memory_mib()[0]
            for form, headers in SCRAPES:
                costs = []
                for _ in range(scrapes):
                    cpu, size, lines = scrape_once(gateway, headers)
                    costs.append(cpu * 1000)
                results.append({"series": what, "form": form, "cpu_ms": spread(costs), "bytes": size})
                middle = spread(costs)
                rows.append((what, form, f"{middle['median']:.0f}", f"{size / 1e6:.1f}", lines if not headers else ""))
                progress(f"{what}, {form}: {middle['median']:.0f} ms of CPU, {size / 1e6:.1f} MB")
            peak = gateway.program.memory_mib()[1]
            results.append(
                {"series": what, "held": held, "idle_mib": idle, "resident_mib": resident, "peak_mib": peak}
            )
            rows.append((what, f"resident {resident:.0f} MiB, while scraped {peak:.0f} MiB", "", "", ""))
            gateway.stop()
    columns = ["<series", "<page", "CPU ms", "MB", "lines"]
    return results, ["## Scraping", "", *harness.table(columns, rows)]


# ---- a million series ----


def stream_page(gateway, headers):
    """Seconds and bytes of one page, which is read as it comes and not kept."""
    begin, size = time.monotonic(), 0
    connection = http.client.HTTPConnection("127.0.0.1", gateway.ports["page"], timeout=120)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise BenchError(f"the page was answered with {answer.status}")
    while part := answer.read(1 << 20):
        size += len(part)
    connection.close()
    return time.monotonic() - begin, size


def at_once(gateway, headers, scrapers):
    """CPU milliseconds for so many scrapers that ask at the same time."""
    failures = []

    def one():
        try:
            stream_page(gateway, headers)
        except (BenchError, OSError) as error:
            failures.append(error)

    cpu = gateway.program.cpu_seconds()
    threads = [threading.Thread(target=one) for _ in range(scrapers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchError(f"{len(failures)} of {scrapers} scrapers at once got no page: {failures[0]}")
    return (gateway.program.cpu_seconds() - cpu) * 1000


def million(options, series=1_000_000, limit_mib=600, rate=1000):
    """A million series, half histograms of 11 buckets: held, updated and scraped at the same time."""
    limits = {"max_series": 2_000_000, "max_series_per_metric": 2_000_000}
    path = {**grpc_path("prometheus"), "signal": "metrics", "page": limits}
    shape = fill_shape(options, series, 100)
    results, rows = [], []
    with Bench() as bench:
        gateway = Gateway(bench, "sluice", options.gateway, path, 0, 4096)
        held = fill(bench, gateway, shape, series, rate=500)
        resident = gateway.program.memory_mib()[0]
        rows.append(("held", f"{held} series", f"{resident:.0f}", "", "", "", ""))
        peaks = []
        for form, headers in SCRAPES:
            gateway.program.reset_peak()
            load = harness.start_load(bench, gateway.port("grpc"), shape, 10, rate=rate)
            time.sleep(1)
            pages = [stream_page(gateway, headers) for _ in range(2)]
            report = harness.finish_load(bench, load)
            peak = gateway.program.memory_mib()[1]
            peaks.append(peak)
            seconds, size = max(page[0] for page in pages), pages[-1][1]
            latency = report["latency_ms"]["p99"]
            lost = report["refused_retryable"] + report["failed"] + report["unanswered"] + report["unsent"]
            results.append(
                {"form": form, "peak_mib": peak, "seconds": seconds, "bytes": size, "load": report}
            )
            rows.append(
                (
                    form,
                    "scraped while updated",
                    f"{peak:.0f}",
                    f"{size / 1e6:.0f}",
                    f"{seconds:.1f}",
                    f"{report['items_per_second'] / 1000:.0f}, {lost} requests lost",
                    f"{latency:.1f}",
                )
            )
            progress(f"{form}: peak {peak:.0f} MiB, {seconds:.1f} s, p99 of updates {latency:.1f} ms")
        one, ten = (at_once(gateway, dict(SCRAPES)["text, gzip"], scrapers) for scrapers in (1, 10))
        rows.append(("text, gzip", f"one scraper {one:.0f}, ten at once {ten:.0f} ms of CPU", "", "", "", "", ""))
        gateway.stop()
    results.append(
        {"held": held, "resident_mib": resident, "one_ms": one, "ten_ms": ten, "failed": max(peaks) > limit_mib}
    )
    method = (
        f"{series:,} series, half histograms of 11 buckets, updated with {rate * 100:,} data points a second, open loop, "
        f"while they are scraped. To reach: at most {limit_mib} MiB resident in every case."
    )
    columns = ["<page", "<what", "peak MiB", "MB", "s", "k points / s", "p99 ms"]
    return results, ["## A million series", "", method, "", *harness.table(columns, rows)]
