"""Starts and stops the programs of a benchmark, writes their configurations, reads what they cost.

Everything is a child process that this module started and ends by its own pid. Needs nothing
but Python's standard library.
"""

import json
import os
import platform
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(BENCH)
LOAD = os.path.join(BENCH, "bin", "load")
PAYLOAD = os.path.join(BENCH, "bin", "payload")
SINK = os.path.join(BENCH, "bin", "sink")
READY_SECONDS = 15
STOP_SECONDS = 40


class BenchError(Exception):
    """Something that makes a measurement impossible; its text says what and where to look."""


class NotBuilt(BenchError):
    """The gateway refuses a configuration because it lacks a component or a setting."""


# ---- processes ----


class Program:
    """One running child, its output in files, its costs read from /proc."""

    def __init__(self, name, argv, folder, affinity=None):
        self.name = name
        self.stdout_path = os.path.join(folder, f"{name}.out")
        self.stderr_path = os.path.join(folder, f"{name}.err")
        self.started = time.monotonic()
        environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            before = (lambda: os.sched_setaffinity(0, affinity)) if affinity else None
            self.process = subprocess.Popen(
                argv, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment, preexec_fn=before
            )
        self.pid = self.process.pid

    def cpu_seconds(self):
        """User + system seconds so far, of all threads."""
        # As clock_getcpuclockid() names the clock of a process: nanoseconds, where /proc/PID/stat has hundredths.
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory_mib(self):
        """(resident now, highest since the start or since reset_peak), in MiB."""
        values = {}
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key in ("VmRSS", "VmHWM"):
                    values[key] = int(value.split()[0]) / 1024
        return values.get("VmRSS", 0.0), values.get("VmHWM", 0.0)

    def reset_peak(self):
        """Lets VmHWM start again from what is resident now."""
        try:
            with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass  # not permitted everywhere: then the peak also covers the start and the warm-up

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.process.poll() is None

    def last_words(self, lines=3):
        """The end of what it printed, for error messages."""
        text = ""
        for path in (self.stderr_path, self.stdout_path):
            with open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()[-4000:]
        return (
            " | ".join([line for line in text.splitlines() if line.strip()][-lines:])
            or "(it printed nothing)"
        )

    def stop(self):
        """SIGTERM, then SIGKILL after STOP_SECONDS. Returns (exit code, seconds it took)."""
        begin = time.monotonic()
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.wait(begin)

    def wait(self, begin):
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, time.monotonic() - begin


class Bench:
    """All programs of one run; as a context manager it ends every one of them, also after an error."""

    def __init__(self):
        self.folder = None
        self.programs = []

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="sluice-bench-")
        self.folder = self.temporary.name
        return self

    def __exit__(self, kind, error, traceback):
        for program in reversed(self.programs):
            program.stop()
        self.temporary.cleanup()

    def start(self, name, argv, affinity=None):
        program = Program(f"{len(self.programs):04d}-{name}", argv, self.folder, affinity)
        self.programs.append(program)
        return program

    def stop(self, *programs):
        for program in programs:
            program.stop()
            if program in self.programs:
                self.programs.remove(program)


def raise_file_limit():
    """As many open files as this user may have, for this process and those it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_ports(count):
    """Ports that nobody listens on now. All are held at once, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def http_status(port, path):
    """The status of GET path, 0 when nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = connection.recv(64).split()
            return int(answer[1]) if len(answer) > 1 else 0
    except (OSError, ValueError):
        return 0


def wait_ready(program, ready, seconds=READY_SECONDS):
    """Waits until ready() holds; returns milliseconds since the program was spawned."""
    while not ready():
        if not program.alive():
            raise NotBuilt(
                f"{program.name} ended with code {program.process.returncode}: {program.last_words()}"
            )
        if time.monotonic() - program.started > seconds:
            raise BenchError(f"{program.name} was not ready after {seconds} s: {program.last_words()}")
        time.sleep(0.0005)
    return (time.monotonic() - program.started) * 1000


def listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- sink and load ----


class Sink:
    """A running sink; `port` takes gRPC as well as OTLP/HTTP."""

    def __init__(self, bench, *options, affinity=None):
        (self.port,) = free_ports(1)
        self.program = bench.start("sink", [SINK, "--listen", f"127.0.0.1:{self.port}", *options], affinity)
        self.bench = bench
        wait_ready(self.program, lambda: listening(self.port))

    def reports(self):
        with open(self.program.stdout_path, encoding="ascii") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def snapshot(self):
        """What it has counted so far; it goes on."""
        before = len(self.reports())
        self.program.process.send_signal(signal.SIGUSR1)
        for _ in range(4000):
            reports = self.reports()
            if len(reports) > before:
                return reports[-1]
            time.sleep(0.0005)
        raise BenchError("the sink did not answer SIGUSR1")

    def stop(self):
        self.bench.stop(self.program)
        return self.reports()[-1]


def load_arguments(port, shape, duration, rate=None, extra=()):
    """The command line of the load generator for a shape: a dict with protocol, signal, items, gzip, …"""
    argv = [
        LOAD,
        f"127.0.0.1:{port}",
        "--protocol",
        shape["protocol"],
        "--signal",
        shape["signal"],
        "--items",
        str(shape["items"]),
        "--duration",
        str(duration),
        "--connections",
        str(shape["connections"]),
        "--streams",
        str(shape["streams"]),
    ]
    if shape["gzip"]:
        argv.append("--gzip")
    if shape.get("series"):
        argv += ["--series", str(shape["series"])]
    if rate:
        argv += ["--rate", str(rate)]
    return argv + list(extra)


def start_load(bench, *arguments, affinity=None, **named):
    return bench.start("load", load_arguments(*arguments, **named), affinity)


def finish_load(bench, program):
    """Waits for a started load and returns its report."""
    program.process.wait()
    bench.stop(program)
    with open(program.stdout_path, encoding="ascii") as file:
        text = file.read()
    if not text:
        raise BenchError(f"load gave no report: {program.last_words()}")
    return json.loads(text)


def run_load(bench, *arguments, affinity=None, **named):
    return finish_load(bench, start_load(bench, *arguments, affinity=affinity, **named))


def measure(bench, program, port, shape, seconds, warmup, affinity=None):
    """Warms up if so told, then a closed loop of `seconds`: what it cost `program`. Only accepted items count."""
    warm = run_load(bench, port, shape, warmup, affinity=affinity)["items_ok"] if warmup else 0
    program.reset_peak()
    cpu = program.cpu_seconds()
    report = run_load(bench, port, shape, seconds, affinity=affinity)
    time.sleep(0.4)  # the batch timeout: what was accepted last is worked off and counted too
    if not program.alive():
        raise BenchError(f"{program.name} ended under load: {program.last_words()}")
    cpu = program.cpu_seconds() - cpu
    resident, peak = program.memory_mib()
    return {
        "load": report,
        "cpu_seconds": cpu,
        "resident_mib": resident,
        "peak_mib": peak,
        "kitems_per_cpu_second": report["items_ok"] / cpu / 1000 if cpu > 0 else 0.0,
        "accepted_items": warm + report["items_ok"],
    }


# ---- the gateway and its peers ----


def gateway_config(
    ports,
    signal_name,
    exporter,
    compression,
    destination,
    limit_mib,
    queue=None,
    storage=None,
    page=None,
    more_processors=None,
    connector=None,
):
    """A configuration in the Collector's own format. Written as JSON, which is YAML. With `queue` batches gather in
    the queue instead of the batch processor if it says so; `storage` configures file_storage; `more_processors` stand
    between memory_limiter and batch; `connector` makes metrics beside the exporter, which nobody takes."""
    otlp_grpc = {
        "endpoint": f"127.0.0.1:{destination}",
        "tls": {"insecure": True},
        "compression": compression,
    }
    if queue:
        otlp_grpc["sending_queue"] = queue
    otlp_http = {"endpoint": f"http://127.0.0.1:{destination}", "compression": compression}
    prometheus = {"endpoint": f"127.0.0.1:{ports['page']}", "enable_open_metrics": True, **(page or {})}
    loki = {"endpoint": f"http://127.0.0.1:{destination}"}
    # Two backends that are one sink under two names, so that it counts everything.
    loadbalancing = {
        "protocol": {"otlp": {key: value for key, value in otlp_grpc.items() if key != "endpoint"}},
        "resolver": {"static": {"hostnames": [f"127.0.0.1:{destination}", f"localhost:{destination}"]}},
    }
    known = {
        "otlp_grpc": otlp_grpc,
        "otlp_http": otlp_http,
        "prometheus": prometheus,
        "loki": loki,
        "loadbalancing": loadbalancing,
    }
    exporters = {exporter: known.get(exporter, {})}
    # What connectors make metrics of, and traces that wait, need no batches.
    is_batched = connector is None and not (queue and "batch" in queue) and "tail_sampling" not in (more_processors or {})
    processors = ["memory_limiter", "batch"] if is_batched else ["memory_limiter"]
    processors[1:1] = more_processors or {}
    pipelines = {
        signal_name: {
            "receivers": ["otlp"],
            "processors": processors,
            "exporters": list(exporters) + list(connector or {}),
        }
    }
    if connector:
        exporters["nop"] = {}
        pipelines["metrics"] = {"receivers": list(connector), "exporters": ["nop"]}
    pull = {"exporter": {"prometheus": {"host": "127.0.0.1", "port": ports["telemetry"]}}}
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{ports['grpc']}", "max_recv_msg_size_mib": 16},
                    "http": {"endpoint": f"127.0.0.1:{ports['http']}"},
                }
            }
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": limit_mib},
            "batch": {},
            **(more_processors or {}),
        },
        "exporters": exporters,
        "connectors": connector or {},
        "extensions": {
            "health_check": {"endpoint": f"127.0.0.1:{ports['health']}"},
            **({"file_storage": storage} if storage else {}),
        },
        "service": {
            "extensions": ["health_check", *(["file_storage"] if storage else [])],
            "telemetry": {"metrics": {"readers": [{"pull": pull}]}},
            "pipelines": pipelines,
        },
    }


class Gateway:
    """A running gateway (or peer) for one path. `ready_ms`: from spawn to the first ready answer."""

    def __init__(
        self,
        bench,
        kind,
        binary,
        path,
        destination,
        limit_mib=256,
        affinity=None,
        queue=None,
        storage=None,
    ):
        names = ("grpc", "http", "health", "telemetry", "page")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.bench = bench
        if kind == "rotel":
            argv = self.rotel(binary, path, destination)
            ready = lambda: listening(self.ports["grpc"]) and listening(self.ports["http"])
        else:
            argv = self.collector_like(bench, kind, binary, path, destination, limit_mib, queue, storage)
            ready = lambda: http_status(self.ports["health"], "/") == 200
        self.program = bench.start(kind, argv, affinity)
        self.ready_ms = wait_ready(self.program, ready)

    def collector_like(self, bench, kind, binary, path, destination, limit_mib, queue, storage):
        config = gateway_config(
            self.ports,
            path["signal"],
            path["exporter"],
            path["compression"],
            destination,
            limit_mib,
            queue,
            storage,
            path.get("page"),
            path.get("processors"),
            path.get("connector"),
        )
        if path.get("include_metadata"):
            for protocol in config["receivers"]["otlp"]["protocols"].values():
                protocol["include_metadata"] = True
        file_name = os.path.join(bench.folder, f"{path['signal']}-{self.ports['grpc']}.yaml")
        with open(file_name, "w", encoding="ascii") as file:
            json.dump(config, file, indent=1)
        if kind == "otelcol":
            return [binary, "--config", file_name]
        checked = subprocess.run(
            [binary, "validate", "--config", file_name],
            stdin=subprocess.DEVNULL,
            timeout=30,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        if checked.returncode:
            raise NotBuilt(" ".join(checked.stdout.split())[:200])
        cluster = path.get("cluster")
        if not cluster:
            return [binary, "run", "--config", file_name]
        variables = [f"{name}={value}" for name, value in cluster.environment.items()]
        return [*cluster.launcher, "env", *variables, binary, "run", "--config", file_name]

    def rotel(self, binary, path, destination):
        argv = [
            binary,
            "start",
            "--otlp-grpc-endpoint",
            f"127.0.0.1:{self.ports['grpc']}",
            "--otlp-http-endpoint",
            f"127.0.0.1:{self.ports['http']}",
            "--otlp-grpc-max-recv-msg-size-mib",
            "16",
        ]
        if path["exporter"] == "nop":
            return argv + ["--exporter", "blackhole"]
        if path["compression"] != "gzip":
            raise NotBuilt("rotel always compresses what it sends")
        return argv + ["--exporter", "otlp", "--otlp-exporter-endpoint", f"http://127.0.0.1:{destination}"]

    def port(self, protocol):
        return self.ports["grpc" if protocol == "grpc" else "http"]

    def idle_mib(self):
        """Resident a second after the start, when nothing came."""
        time.sleep(1)
        return self.program.memory_mib()[0]

    def stop(self):
        code, seconds = self.program.stop()
        self.bench.stop(self.program)
        return code, seconds


# ---- the machine ----


def command_output(*argv):
    done = subprocess.run(
        argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def machine(gateway):
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    commit = command_output("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    if command_output("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "system": platform.system(),
        "commit": commit,
        "gateway": gateway,
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "load_average": os.getloadavg()[0],
    }


def spread(values):
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "runs": len(values)}


def progress(text):
    print(text, file=sys.stderr, flush=True)


def table(columns, rows):
    """Markdown lines. A column whose name starts with "<" is text, the others are right-aligned numbers."""
    lines = ["| " + " | ".join(name.lstrip("<") for name in columns) + " |"]
    lines.append("|" + "|".join("---" if name.startswith("<") else "--:" for name in columns) + "|")
    return lines + ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
