"""Debian's Prometheus as the gateway's scraper, and the lint of its promtool."""

import json
import pathlib
import re
import subprocess
import urllib.parse

from gateway import LOOPBACK, fetch, free_port, wait_until


def lint(page):
    """What promtool has to say about a page in the text format; empty when it is well."""
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


class Prometheus:
    """Started by the constructor, scraping one target a second; `url` is the target's page. A whole configuration may be
    given instead."""

    def __init__(self, folder, url="", features=(), interval="1s", configuration=None):
        target = urllib.parse.urlsplit(url)
        self.port = free_port()
        folder = pathlib.Path(folder) / f"prometheus-{self.port}"
        folder.mkdir()
        scrape = {
            "job_name": "gateway",
            "metrics_path": target.path,
            "honor_labels": True,
            "static_configs": [{"targets": [target.netloc]}],
        }
        configuration = configuration or {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yaml").write_text(json.dumps(configuration))
        self._log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                f"--enable-feature={','.join(features)}",
                "--storage.tsdb.retention.time=1h",
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.log_file = folder / "log"
        wait_until(self._is_ready, lambda: f"Prometheus is ready; its log:\n{self.log}", 30)

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    def _is_ready(self):
        assert self.process.poll() is None, self.log
        try:
            return fetch(f"http://{LOOPBACK}:{self.port}/-/ready")[0] == 200
        except OSError:
            return False

    def api(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        status, text = fetch(f"http://{LOOPBACK}:{self.port}/api/v1/{path}?{query}", timeout=30)
        assert status == 200, text
        return json.loads(text)["data"]

    def query(self, expression):
        """Pairs of labels and value of an instant query; the value of a native histogram is a dictionary."""
        return [
            (row["metric"], float(row["value"][1]) if "value" in row else row["histogram"][1])
            for row in self.api("query", query=expression)["result"]
        ]

    def value(self, expression):
        """The value of a query with one result; None without a result."""
        rows = self.query(expression)
        assert len(rows) <= 1, f"{expression}: {rows}"
        return rows[0][1] if rows else None

    def wait_for(self, expression, is_right=lambda value: value is not None, timeout=30):
        """The value of a query, when it is right."""
        seen = []

        def check():
            seen.append(self.value(expression))
            return seen[-1] is not None and is_right(seen[-1])

        wait_until(check, lambda: f"{expression}, which is {seen[-1]}; {self.target()}", timeout, 0.1)
        return seen[-1]

    def target(self):
        """How the last scrape went."""
        return self.api("targets")["activeTargets"][0]

    def scrapes(self):
        """How many scrapes were stored, and how many of them failed."""
        rows = self.query("count_over_time(up[1h])"), self.query("sum_over_time(up[1h])")
        total, good = (int(row[0][1]) if row else 0 for row in rows)
        return total, total - good

    def wait_for_scrapes(self, count=2, timeout=30):
        """Waits until so many more scrapes have been stored."""
        begin = self.scrapes()[0]
        enough = lambda: self.scrapes()[0] >= begin + count
        wait_until(enough, lambda: f"scrapes; {self.target()}", timeout, 0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


class Page:
    """A page in the text format or OpenMetrics, taken apart."""

    SAMPLE = re.compile(
        r'^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (?P<value>\S+)'
        r"(?: (?P<time>[0-9.]+))?(?: # (?P<exemplar>.*))?$"
    )
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.text = text
        self.types = {}
        self.samples = {}
        self.exemplars = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two types"
                self.types[name] = kind
            if line.startswith("#") or not line:
                continue
            match = self.SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            key = (match["name"], frozenset(self.LABEL.findall(match["labels"] or "")))
            assert key not in self.samples, f"the series {line!r} comes twice"
            self.samples[key] = float(match["value"])
            if match["exemplar"]:
                self.exemplars[key] = match["exemplar"]

    def find(self, name, **labels):
        """Values by the labels that were not asked for, of all series with this name and these labels."""
        wanted = set(labels.items())
        return {
            frozenset(have - wanted): value
            for (series, have), value in self.samples.items()
            if series == name and wanted <= have
        }

    def value(self, name, **labels):
        """The value of the one series with this name and these labels."""
        found = self.find(name, **labels)
        assert len(found) == 1, f"{name} {labels}: {found}"
        return next(iter(found.values()))

    def names(self):
        return {name for name, _ in self.samples}
