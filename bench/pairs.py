"""Two gateways side by side: ours and an older binary of it, a Collector or Rotel, under the same load.

Both run all the time and get their load by turns of a second: what else the machine does disturbs both.
"""

import statistics

import harness
from harness import Bench, BenchError, Gateway, progress, spread
from scenarios import grpc_path
from throughput import RunningPath, cells, shape_of

TURN_SECONDS = 1


def turns(count):
    """Who comes first changes every time: ours, the other, the other, ours, ours, …"""
    for turn in range(count):
        yield from ((0, 1) if turn % 2 == 0 else (1, 0))


def take_turns(bench, other, each, shape, options):
    """One start of both gateways on one path: their runs, in order, and what was odd."""
    running, runs = [], ([], [])
    try:
        for kind, binary in (("sluice", options.gateway), other):
            running.append(RunningPath(bench, kind, binary, each, shape, options))
            running[-1].measure(options.warmup)
        for which in turns(max(2, round(options.seconds / TURN_SECONDS))):
            runs[which].append(running[which].measure(TURN_SECONDS))
    finally:
        for one in running:
            one.stop()
    notes = [f"{name}: {note}" for name, one in zip(("ours", "other"), running) for note in one.notes]
    return runs, notes


def pair_cell(bench, other, each, items, options):
    """One line of the table: both gateways on one path with one size of requests, started `repeat` times."""
    shape = shape_of(each, items, options)
    row = {"path": each["name"], "items": items, "other": other[0], "shape": shape}
    runs, notes = ([], []), set()
    try:
        for _ in range(options.repeat):
            more, odd = take_turns(bench, other, each, shape, options)
            notes.update(odd)
            for side, added in zip(runs, more):
                side += added
    except BenchError as error:
        row["error"] = str(error)
        progress(f"{each['name']}, {items}, {other[0]}: {error}")
        return row
    row["runs"] = runs
    row["ours"], row["others"] = (spread([run["kitems_per_cpu_second"] for run in side]) for side in runs)
    ratios = [a["kitems_per_cpu_second"] / b["kitems_per_cpu_second"] for a, b in zip(*runs)]
    # Of the median, if the ratios were spread normally: 1.25 standard deviations ÷ √n.
    error = 1.2533 * statistics.stdev(ratios) / len(ratios) ** 0.5
    row["ratio"] = {**spread(ratios), "error": error}
    row["peak_mib"] = [max(run["peak_mib"] for run in side) for side in runs]
    row["notes"] = sorted(notes)
    progress(
        f"{each['name']}, {items}, {other[0]}: {row['ratio']['median']:.3f} ± {error:.3f}"
        f"{' (' + ', '.join(row['notes']) + ')' if row['notes'] else ''}"
    )
    return row


PAIR_COLUMNS = [
    "<path",
    "items a request",
    "ours, k items / CPU s",
    "other",
    "ratio",
    "±",
    "peak MiB, ours",
    "other",
    "<notes",
]


def pair_row(row):
    begin = [row["path"], row["items"]]
    if "error" in row:
        return begin + [""] * (len(PAIR_COLUMNS) - 3) + [row["error"][:160]]
    return begin + [
        f"{row['ours']['median']:.0f}",
        f"{row['others']['median']:.0f}",
        *(f"{row['ratio'][key]:.3f}" for key in ("median", "error")),
        *(f"{peak:.0f}" for peak in row["peak_mib"]),
        ", ".join(row["notes"]),
    ]


def pairs(options):
    """Items a CPU second on every path: ours ÷ the other's."""
    results, lines = [], []
    for other in options.others:
        with Bench() as bench:
            rows = [pair_cell(bench, other, each, items, options) for each, items in cells(options)]
        results += rows
        ratios = [row["ratio"]["median"] for row in rows if "ratio" in row]
        method = (
            f"Closed loop, {options.connections} connections, {options.streams} streams each (a quarter of "
            f"them at 1000 items), turns of {TURN_SECONDS} s, {options.seconds:g} s each after "
            f"{options.warmup:g} s of warm-up, both started {options.repeat} times. The ratio is the median over "
            "pairs of turns, with its standard error."
        )
        lines += [f"## Ours ÷ {other[0]}, {other[1]}", "", method, ""]
        lines += harness.table(PAIR_COLUMNS, [pair_row(row) for row in rows]) + [""]
        if ratios:
            lines += [
                f"Of {len(rows)} cells, {len(ratios)} measured: median {statistics.median(ratios):.3f}, "
                f"lowest {min(ratios):.3f}.",
                "",
            ]
    return results, lines


def pair_startup(options, starts=15):
    """Start, idle memory and stop of both, by turns."""
    results, lines = [], []
    for other in options.others:
        programs = (("sluice", options.gateway), other)
        sides = [{"ready_ms": [], "idle_mib": [], "stop_ms": []} for _ in programs]
        with Bench() as bench:
            for which in turns(starts):
                kind, binary = programs[which]
                gateway = Gateway(bench, kind, binary, grpc_path(), 0, options.limit_mib)
                sides[which]["ready_ms"].append(gateway.ready_ms)
                sides[which]["idle_mib"].append(gateway.idle_mib())
                sides[which]["stop_ms"].append(gateway.stop()[1] * 1000)
        results.append({"other": other[0], "ours": sides[0], "others": sides[1]})
        rows = []
        for name, key in (
            ("spawn to ready, ms", "ready_ms"),
            ("idle resident, MiB", "idle_mib"),
            ("SIGTERM to exit when idle, ms", "stop_ms"),
        ):
            middle = [statistics.median(side[key]) for side in sides]
            rows.append((name, *(f"{value:.1f}" for value in middle), f"{middle[0] / middle[1]:.3f}"))
        method = f"Medians of {starts} starts each, by turns."
        lines += [f"## Start and idle, ours and {other[0]}, {other[1]}", "", method, ""]
        lines += harness.table(["<what", "ours", "other", "ratio"], rows) + [""]
    return results, lines
