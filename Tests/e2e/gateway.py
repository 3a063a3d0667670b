"""The gateway under test: one process with its own ports, watched from its start to its end."""

import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SLUICE_BINARY", str(ROOT / ".build/release/sluice"))
LOOPBACK = "127.0.0.1"


# Below the range from which the system takes ports for clients: one of those could get the port before its
# server. Workers of one test run never try the same ones; several test runs begin in different places.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_ports = itertools.cycle(range(10_000 + _worker, 30_000, _workers))
for _ in range(os.getpid() * 97 % (20_000 // _workers)):
    next(_ports)


def free_port():
    """A port that nobody listens on, and that is not given out again soon."""
    for port in itertools.islice(_ports, 1000):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def wait_until(condition, what, timeout=60.0, interval=0.01):
    """Polls until the condition is truthy and returns its value; fails with `what` when time runs out."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(interval)


def fetch(url, timeout=5.0):
    """Status and body of a GET; errors of HTTP are answers too."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def with_names(hosts_file):
    """What starts a gateway for which this is /etc/hosts; None where that is not allowed."""
    return in_namespace('mount --bind "$0" /etc/hosts', hosts_file)


def in_pod(account_folder):
    """What starts a gateway that has these files as its service account's; None where that is not allowed."""
    place = "/run/secrets/kubernetes.io/serviceaccount"
    script = f'mount -t tmpfs run /run && mkdir -p {place} && mount --bind "$0" {place}'
    return in_namespace(script, account_folder)


def in_namespace(script, path):
    """What runs a command after a script, for which `path` is $0, in a mount namespace of its own; None where that is not
    allowed."""
    launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", script + ' && exec "$@"', str(path)]
    is_allowed = subprocess.run([*launcher, "true"], capture_output=True).returncode == 0
    return launcher if is_allowed else None


def command(*arguments, env=None, timeout=20):
    """Runs a subcommand to its end."""
    environment = dict(os.environ, SWIFT_BACKTRACE="enable=no", **(env or {}))
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment
    )


class Metrics:
    """One page of the gateway's own metrics."""

    LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if line.startswith("#") or not line:
                continue
            match = self.LINE.match(line)
            assert match, f"not a line of the Prometheus text format: {line!r}"
            name, labels, value = match.groups()
            self.samples.append((name, dict(self.LABEL.findall(labels or "")), float(value)))

    def sum(self, name, **labels):
        """The sum over all series of the name that have these labels."""
        wanted = labels.items()
        return int(sum(v for n, have, v in self.samples if n == name and wanted <= have.items()))


class Gateway:
    """Started by the constructor and ready when it returns.

    The configuration is a dictionary (JSON is YAML), or what makes the text of a file of two ports. `launcher` is what
    comes before the command.
    """

    def __init__(self, folder, config, arguments=(), env=None, is_ready=True, launcher=()):
        self.config_file = pathlib.Path(folder) / f"gateway-{free_port()}.yaml"
        self.log_file = self.config_file.with_suffix(".log")
        self.health_port = free_port()
        self.grpc_port = self.http_port = self.metrics_port = None
        if callable(config):
            self.grpc_port, self.http_port = free_port(), free_port()
            self.config_file.write_text(config(self.grpc_port, self.http_port))
        else:
            self.config_file.write_text(json.dumps(self._with_ports(config), indent=2))
        self.started = time.monotonic()
        self._log = open(self.log_file, "wb")
        self.process = subprocess.Popen(
            [
                *launcher,
                BINARY,
                "run",
                "--config",
                str(self.config_file),
                "--health-endpoint",
                f"{LOOPBACK}:{self.health_port}",
                *map(str, arguments),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, SWIFT_BACKTRACE="enable=no", **(env or {})),
        )
        if is_ready:
            try:
                wait_until(self.is_ready, lambda: f"ready; its log:\n{self.log}", interval=0.002)
            except BaseException:
                self.kill()
                raise
        self.seconds_to_ready = time.monotonic() - self.started

    def _with_ports(self, config):
        """Puts free ports where the configuration leaves them open."""
        config = json.loads(json.dumps(config))
        protocols = config["receivers"]["otlp"]["protocols"]
        if "grpc" in protocols:
            self.grpc_port = free_port()
            protocols["grpc"] = {"endpoint": f"{LOOPBACK}:{self.grpc_port}", **(protocols["grpc"] or {})}
        if "http" in protocols:
            self.http_port = free_port()
            protocols["http"] = {"endpoint": f"{LOOPBACK}:{self.http_port}", **(protocols["http"] or {})}
        self.metrics_port = free_port()
        reader = {"pull": {"exporter": {"prometheus": {"host": LOOPBACK, "port": self.metrics_port}}}}
        telemetry = config["service"].setdefault("telemetry", {})
        telemetry.setdefault("metrics", {}).setdefault("readers", [reader])
        return config

    # What it says about itself

    def health(self, page):
        return fetch(f"http://{LOOPBACK}:{self.health_port}/health/{page}")

    def is_ready(self):
        assert self.process.poll() is None, f"the gateway ended with {self.process.poll()}:\n{self.log}"
        try:
            return self.health("ready")[0] == 200
        except OSError:
            return False

    def metrics(self):
        status, text = fetch(f"http://{LOOPBACK}:{self.metrics_port}/metrics")
        assert status == 200, text
        return Metrics(text)

    def long_looks(self, most):
        """How often a loop was busy for longer between two looks at its sockets, in processor time: level detailed."""
        samples = [s for s in self.metrics().samples if s[0] == "sluice_event_loop_busy_seconds_bucket"]
        below = {float(labels["le"]): value for _, labels, value in samples}
        return int(below[float("inf")] - below[most])

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self):
        """The most that has been resident since the start, or since `forget_peak`."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as clear:
            clear.write("5")

    # Its end

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout=30):
        """The exit code; the process must not have crashed."""
        code = self.process.wait(timeout)
        self._log.close()
        for word in ("Fatal error", "Crash", "Sanitizer"):
            assert word not in self.log, self.log
        assert code >= 0, f"ended by signal {-code}:\n{self.log}"
        return code

    def stop(self, timeout=30):
        """SIGTERM and an orderly end."""
        if self.process.poll() is None:
            self.terminate()
        code = self.wait(timeout)
        assert code == 0, f"exit code {code}:\n{self.log}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()


class Balance:
    """Scrapes in a loop and checks on every page that nothing is unaccounted for."""

    NOUNS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}

    def __init__(self, gateway, exporters, signal="traces"):
        self.gateway, self.exporters, self.signal = gateway, exporters, signal
        self.pages = 0
        # Seconds between two pages.
        self.pause = 0
        self.fault = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def check(self, page):
        noun = self.NOUNS[self.signal]
        accepted = page.sum(f"otelcol_receiver_accepted_{noun}")
        for exporter in self.exporters:
            labels = {"exporter": exporter}
            parts = {
                name: page.sum(f"otelcol_exporter_{name}_{noun}", **labels)
                for name in ("sent", "send_failed", "enqueue_failed")
            }
            parts["pending"] = page.sum("sluice_exporter_pending_items", data_type=self.signal, **labels)
            assert min(parts.values()) >= 0, f"{exporter}: {parts}"
            assert accepted == sum(parts.values()), f"{exporter}: accepted {accepted}, {parts}"
        return accepted

    def _run(self):
        try:
            while not self._stop.is_set():
                self.check(self.gateway.metrics())
                self.pages += 1
                self._stop.wait(self.pause)
        except Exception as error:
            self.fault = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self.fault is None, self.fault
        assert self.pages > 0
