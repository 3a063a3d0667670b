"""Alert rules, Prometheus' and Alertmanager's configuration: promtool, amtool, and that every metric exists."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import yaml

from .findings import Finding, line_of, run
from .promql import metrics, values
from .yaml_lines import documents

RULES = "config/alerts/*.rules.yaml"
CONFIGURATION = "config/deploy/base/platform-02/prometheus.yml"
SEVERITIES = ("critical", "warning", "info")
# What promtool 2.42 of Debian does not know of Prometheus 3.
NEWER_KEYS = ("scrape_native_histograms",)


def check_rules(tree):
    """promtool checks and tests the rules; each alert says what it is and has its section in the runbook."""
    findings = []
    for path in tree.files(RULES):
        done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
        if done.returncode:
            findings += [at(tree, path, words) for words in done.stderr.splitlines() if words.strip(" :")][
                -1:
            ]
    for path in tree.files("config/alerts/tests/*.yaml"):
        done = run("promtool", "test", "rules", path.name, cwd=path.parent)
        if done.returncode:
            words = " ".join(done.stderr.split() + done.stdout.split())
            failed = re.search(r'alertname="(\w+)"', words)
            line = line_of(path.read_text(), f"name: {failed[1]}") if failed else 1
            findings.append(Finding(tree.name(path), line, "rules", words[:600]))
    for path in tree.files("config/alerts/generate", "config/dashboards/generate"):
        done = run(path, "--check")
        findings += [at(tree, path, words) for words in done.stdout.splitlines()]
        if done.returncode and not done.stdout:
            findings.append(Finding(tree.name(path), 1, "rules", done.stderr.strip()[-300:]))
    return findings + alerts(tree) + prometheus(tree) + alertmanager(tree)


def at(tree, path, words):
    """A finding from a program's words, at the line that they name."""
    named = re.match(r"(/\S+?):(\d+): (.*)", words)
    if named:
        return Finding(tree.name(named[1]), int(named[2]), "rules", named[3])
    line = re.search(r"line (\d+)|(\d+):\d+:", words)
    quoted = re.search(r'"([^"]+)"$', words.strip())
    if quoted and not line:
        return Finding(tree.name(path), line_of(path.read_text(), quoted[1]), "rules", words.strip()[:300])
    return Finding(tree.name(path), int(line[1] or line[2]) if line else 1, "rules", words.strip()[:300])


def each_rule(tree):
    """(path, rule) of every rule."""
    for path in tree.files(RULES):
        for document in documents(path.read_text()):
            for group in document["groups"]:
                for rule in group["rules"]:
                    yield path, rule


def alerts(tree):
    findings = []
    runbook = tree.path("config/alerts/README.md")
    sections = re.findall(r"^### (\w+)$", runbook.read_text(), re.M) if runbook.exists() else []
    tested = "\n".join(path.read_text() for path in tree.files("config/alerts/tests/*.yaml"))
    names = []
    for path, rule in each_rule(tree):
        name = rule.get("alert")
        if not name:
            continue
        names.append(name)
        notes, here = rule.get("annotations") or {}, rule.line
        if (rule.get("labels") or {}).get("severity") not in SEVERITIES:
            findings.append((path, here, f"{name} has no severity of {', '.join(SEVERITIES)}"))
        for key in ("summary", "description", "runbook_url"):
            if not notes.get(key):
                findings.append((path, here, f"{name} has no {key}"))
        if not str(notes.get("runbook_url", "")).endswith(f"config/alerts/README.md#{name.lower()}"):
            findings.append(
                (path, here, f"{name}'s runbook_url does not lead to its section of config/alerts/README.md")
            )
        if name not in sections:
            findings.append((path, here, f"{name} has no section in config/alerts/README.md"))
        if f'alertname="{name}"' not in tested:
            findings.append((path, here, f"{name} has no test in config/alerts/tests"))
    for name in sorted(set(sections) - set(names)):
        findings.append((runbook, line_of(runbook.read_text(), f"### {name}"), f"there is no alert {name}"))
    return [Finding(tree.name(path), line, "rules", text) for path, line, text in findings]


def prometheus(tree):
    """Each Prometheus configuration, less what Debian's promtool has not: discovery by Kubernetes, newer keys."""
    findings = []
    for path in tree.files("config/**/prometheus.yml"):
        content = yaml.safe_load(path.read_text())
        for key in NEWER_KEYS:
            content["global"].pop(key, None)
        for job in content["scrape_configs"]:
            job.pop("kubernetes_sd_configs", None)
            job.pop("authorization", None)
            job.get("tls_config", {}).pop("ca_file", None)
        content["rule_files"] = []
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "prometheus.yml")
            file.write_text(yaml.safe_dump(content))
            done = run("promtool", "check", "config", file)
        if done.returncode:
            words = " ".join(done.stderr.split())[-300:]
            findings.append(Finding(tree.name(path), quoted_line(path, words), "rules", words))
    return findings


def quoted_line(path, words):
    """The line of a YAML file that holds what a program's words quote last; 1 where none does."""
    text = path.read_text()
    for word in reversed(re.findall(r'"([\w.-]+)"', words)):
        line = line_of(text, f": {word}")
        if line > 1:
            return line
    return 1


def alertmanager(tree):
    """Alertmanager's configuration; amtool 0.25 wants an address where newer ones take a file with it."""
    findings = []
    for path in tree.files("config/**/alertmanager.yml"):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "alertmanager.yml")
            file.write_text(re.sub(r"url_file: \S+", "url: http://127.0.0.1:1/", path.read_text()))
            done = run("amtool", "check-config", file)
        if done.returncode:
            words = " ".join((done.stdout + done.stderr).split())
            line = re.search(r"line (\d+)", words)
            line = int(line[1]) if line else quoted_line(path, words)
            findings.append(Finding(tree.name(path), line, "rules", words[-300:]))
        findings += inhibited(tree, path)
    return findings


def inhibited(tree, path):
    """Alerts that Alertmanager's configuration names are in the rules."""
    alerts = {rule["alert"] for _, rule in each_rule(tree) if "alert" in rule}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for names in re.findall(r'alertname=~?"([\w|]+)"', line):
            for name in names.split("|"):
                if name not in alerts:
                    yield Finding(tree.name(path), number, "rules", f"there is no alert {name}")


# ---- does every metric exist? ----


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port, page):
    """The page's text; OSError unless it is answered with 200."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
        return answer.read().decode()


def page_of(tree):
    """The names on the page of a running gateway that has one of everything."""
    config = pathlib.Path(__file__).parent / "every-metric.yaml"
    ports = {name: str(free_port()) for name in ("GRPC_PORT", "PAGE_PORT", "METRICS_PORT", "HEALTH_PORT")}
    with tempfile.TemporaryDirectory() as folder:
        run(tree.binary, "audit", "keygen", "--origin", "check", "--key", f"{folder}/audit.pem")
        gateway = subprocess.Popen(
            [
                tree.binary,
                "run",
                "--config",
                config,
                "--health-endpoint",
                f"127.0.0.1:{ports['HEALTH_PORT']}",
            ],
            env={**os.environ, **ports, "FOLDER": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    # Before it is ready a part of the page is missing.
                    fetch(ports["HEALTH_PORT"], "/health/ready")
                    text = fetch(ports["METRICS_PORT"], "/metrics")
                    break
                except OSError as error:
                    if gateway.poll() is not None or time.monotonic() > deadline:
                        gateway.kill()
                        words = gateway.communicate()[0].decode(errors="replace")
                        raise RuntimeError(f"the gateway shows no page of metrics: {words[-500:]}") from error
                    time.sleep(0.05)
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.communicate(timeout=30)
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line and not line.startswith("#")}


def known_metrics(tree):
    """What rules and panels may read: the page, what the rules record, and what others show."""
    listed = yaml.safe_load((pathlib.Path(__file__).parent / "metrics.yaml").read_text())
    recorded = {rule["record"] for _, rule in each_rule(tree) if "record" in rule}
    return page_of(tree) | recorded | {name for group in listed.values() for name in group["metrics"]}


def scrape_jobs(tree):
    content = yaml.safe_load(tree.path(CONFIGURATION).read_text())
    return {each["job_name"] for each in content["scrape_configs"]}


def check_metrics(tree):
    """Each expression of a rule or a panel parses as PromQL 3; each of its metrics and jobs exists."""
    from .dashboards import expressions

    known, jobs, findings = known_metrics(tree), scrape_jobs(tree), []
    queries = [(path, rule.lines["expr"], rule["expr"]) for path, rule in each_rule(tree)]
    queries += expressions(tree)
    for path, line, query in queries:
        text = path.read_text()
        try:
            missing = sorted(metrics(query) - known)
            strangers = sorted(values(query, "job") - jobs)
        except ValueError as error:
            findings.append(Finding(tree.name(path), line, "metrics", f"{query!r}: {error}"))
            continue
        for name in missing:
            words = f"the metric {name} is on no gateway's page, is not recorded, and is not in config/checks/metrics.yaml"
            findings.append(Finding(tree.name(path), line_of(text, name, line), "metrics", words))
        for name in strangers:
            words = f"no scrape of config/deploy's prometheus.yml is the job {name}"
            findings.append(Finding(tree.name(path), line_of(text, name, line), "metrics", words))
    return findings
