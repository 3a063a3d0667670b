"""Breaks a copy once for each kind of mistake and expects the finding: a check that finds nothing checks nothing."""

import concurrent.futures
import pathlib
import shutil
import tempfile
from dataclasses import dataclass

from .findings import Tree


@dataclass(frozen=True)
class Break:
    """What is done to one file of a copy, and the finding that it must give."""

    check: str
    file: str
    old: str
    new: str
    # The finding names `where` (the file itself, unless another is said) and has `text` in it.
    text: str
    where: str = ""
    line: bool = True


GATEWAY = "config/deploy/base/platform-01/deployment.yaml"
DEV = "config/deploy/overlays/dev/kustomization.yaml"
BREAKS = (
    Break(
        "yaml",
        GATEWAY,
        "  name: sluice\n  labels:",
        "  name: sluice\n  name: sluice\n  labels:",
        "duplication of key",
    ),
    Break("shell", "config/image/build", 'rm -rf "$output"', "rm -rf $output", "SC2086"),
    Break("kustomize", DEV, "labels:\n", "commonLabels:\n  a: b\nlabels:\n", "commonLabels"),
    Break("kustomize", DEV, "  - ../../base", "  - ../../base\n  - nowhere.yaml", "nowhere.yaml", line=False),
    Break("schemas", GATEWAY, "revisionHistoryLimit", "revisionHistoryLimits", "revisionHistoryLimits"),
    Break("schemas", GATEWAY, "maxSurge: 1", "maxSurge: []", "Kubernetes 1.34"),
    Break(
        "schemas",
        "config/deploy/argocd/dev.yaml",
        "  revisionHistoryLimit:",
        "  notification: []\n  revisionHistoryLimit:",
        "notification",
    ),
    Break(
        "schemas",
        "config/deploy/components/gateway-api/limits.yaml",
        "unit: Second",
        "unit: Fortnight",
        "Fortnight",
    ),
    Break(
        "schemas",
        "config/deploy/components/gateway-api/limits.yaml",
        "kind: Back",
        "kind: Front",
        "no schema",
    ),
    # A tag instead of a digest, and a digest that is none.
    Break("graph", DEV, "    digest: sha256:", "    newTag: v1 #", "not pinned by a digest", GATEWAY),
    Break("graph", DEV, "    digest: sha256:", "    digest: sha256:abc #", "not pinned by a digest", GATEWAY),
    # A volume that nothing declares; one that nothing mounts; a ConfigMap that nobody makes.
    Break(
        "graph",
        GATEWAY,
        "            - name: data\n",
        "            - name: store\n",
        '"store", which nothing declares',
    ),
    Break("graph", GATEWAY, "name: sluice-config", "name: sluice-konfig", "no ConfigMap sluice-konfig"),
    Break(
        "graph",
        "config/deploy/base/platform-02/alertmanager.yaml",
        "secretName: alert",
        "secretName: x-alert",
        "no Secret x-alert",
    ),
    # A grace that is shorter than the drain.
    Break(
        "graph",
        GATEWAY,
        "terminationGracePeriodSeconds: 45",
        "terminationGracePeriodSeconds: 30",
        "30 is less than preStop",
    ),
    Break(
        "graph", GATEWAY, "--shutdown-timeout=25", "--shutdown-timeout=60", "is less than preStop", line=False
    ),
    Break(
        "graph",
        GATEWAY,
        "              sleep:\n                seconds: 10",
        "              exec:\n                command: [sleep, '10']",
        "no shell",
    ),
    Break(
        "graph",
        GATEWAY,
        "              path: /health/live\n              port: health\n            periodSeconds: 10",
        "              path: /health/ready\n              port: health\n            periodSeconds: 10",
        "503 while",
    ),
    Break(
        "graph",
        GATEWAY,
        "port: health\n            periodSeconds: 5",
        "port: healthy\n            periodSeconds: 5",
        "asks the port healthy",
    ),
    Break(
        "graph",
        GATEWAY,
        "      app.kubernetes.io/name: sluice\n  template",
        "      app.kubernetes.io/name: gateway\n  template",
        "is not a label of its own pods",
    ),
    Break(
        "graph",
        "config/deploy/base/platform-01/services.yaml",
        "targetPort: otlp-grpc",
        "targetPort: grpc",
        "targetPort grpc",
    ),
    Break(
        "graph",
        "config/deploy/components/autoscaling/autoscaler.yaml",
        "    kind: Deployment\n    name: sluice",
        "    kind: Deployment\n    name: sluices",
        "scales",
    ),
    Break(
        "graph",
        "config/deploy/policies/network/platform-01.yaml",
        "port: otlp-http",
        "port: otlp",
        "port otlp is not",
    ),
    Break(
        "graph", "config/deploy/components/gateway-api/routes.yaml", "port: 4318", "port: 4319", "has no port"
    ),
    Break(
        "checkov",
        GATEWAY,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        "CKV_K8S_20",
        "config/deploy/overlays",
    ),
    Break(
        "policies",
        "config/deploy/policies/admission/images.yaml",
        "[0-9a-f]{64}$",
        "[0-9a-f]+$",
        "a digest that is none",
    ),
    Break(
        "gateway",
        "config/deploy/base/platform-01/autoecoops.yaml",
        "limit_percentage: 80\n",
        "limit_percent: 80\n",
        "limit_percent",
    ),
    # A rule and a panel with a metric that does not exist; a panel without a data source.
    Break(
        "metrics",
        "config/alerts/gateway.rules.yaml",
        "sluice_receiver_refused_requests(",
        "sluice_receiver_rejected_requests(",
        "sluice_receiver_rejected_requests is on no gateway",
    ),
    Break(
        "metrics",
        "config/alerts/platform.rules.yaml",
        'up{job="platform"} == 0',
        "rate(up) == 0",
        "expected type",
    ),
    Break(
        "metrics",
        "config/dashboards/gateway.json",
        "otelcol_process_uptime{",
        "otelcol_process_upthyme{",
        "otelcol_process_upthyme is on no gateway",
    ),
    Break(
        "dashboards",
        "config/dashboards/platform-01.json",
        '"datasource": {\n        "type": "prometheus",\n        "uid": "${datasource}"\n      },\n      "targets"',
        '"targets"',
        "no data source",
    ),
    Break("dashboards", "config/dashboards/gateway.json", '"x": 8,', '"x": 4,', "lies on", line=False),
    Break(
        "dashboards",
        "config/deploy/base/platform-03/grafana/datasources.yaml",
        "uid: tempo",
        "uid: tempi",
        "no data source tempo",
    ),
    Break("rules", "config/alerts/gateway.rules.yaml", "for: 2m", "for: 2 minutes", "duration"),
    Break(
        "rules",
        "config/alerts/gateway.rules.yaml",
        "> 0.8\n        for: 1m",
        "> 0.9\n        for: 1m",
        "SluiceQueueFilling",
        "config/alerts/tests/gateway.yaml",
    ),
    Break(
        "rules", "config/alerts/gateway.rules.yaml", "severity: info", "severity: notice", "has no severity"
    ),
    Break(
        "rules",
        "config/alerts/README.md",
        "### SluiceDown",
        "### SluiceGone",
        "SluiceDown has no section",
        "config/alerts/gateway.rules.yaml",
    ),
    Break(
        "rules",
        "config/deploy/base/platform-02/prometheus.yml",
        "action: keep",
        "action: kepp",
        "kepp",
        line=False,
    ),
    Break(
        "rules",
        "config/deploy/base/platform-02/alertmanager.yml",
        "receiver: pager",
        "receiver: pagers",
        "pagers",
        line=False,
    ),
    # An action that is not pinned; text of a stranger in a script.
    Break(
        "workflows",
        ".github/workflows/ci.yml",
        "checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd",
        "checkout@v6",
        "not pinned by a commit",
    ),
    Break(
        "workflows",
        ".github/workflows/ci.yml",
        "run: .ci/run",
        "run: echo ${{ github.head_ref }}",
        "template-injection",
    ),
    Break(
        "workflows",
        ".github/workflows/ci.yml",
        "runs-on: ubuntu-24.04",
        "runs-on: ubuntu-24.04\n    neds: x",
        "neds",
    ),
    Break("image", "config/image/Containerfile", "FROM scratch", "FROM debian:12", "not pinned by a digest"),
    Break("image", "config/image/Containerfile", "COPY rootfs/ /\n", "ADD rootfs/ /\n", "DL3020"),
    Break(
        "sbom", "config/sbom/make", '("zlib1g-dev", " deflateInit2_", "Zlib"),', "", "zlib1g-dev", line=False
    ),
    Break(
        "terraform",
        "config/terraform/modules/rules/main.tf",
        "var.replicas >= 3",
        "var.replicas >= 2",
        "Missing expected failure",
        "config/terraform/modules/rules",
        line=False,
    ),
    Break(
        "terraform",
        "config/terraform/environments/production/main.tf",
        "replicas       = 3",
        "replicas = 3",
        "not formatted",
        line=False,
    ),
    Break(
        "terraform",
        "config/terraform/environments/production/main.tf",
        "cpu_limit  ",
        "cpu_limits ",
        "no variable cpu_limits",
    ),
)


def copy_of(root, folder):
    for name in ("config", ".github"):
        shutil.copytree(
            root / name,
            pathlib.Path(folder, name),
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    # What the SBOM is made of besides the binary.
    for name in ("Package.resolved",):
        if (root / name).exists():
            shutil.copy(root / name, folder)


def one(root, binary, checks, broken):
    """None when the check finds it where it should, else words."""
    with tempfile.TemporaryDirectory(prefix="sluice-broken-") as folder:
        copy_of(root, folder)
        path = pathlib.Path(folder, broken.file)
        text = path.read_text()
        if broken.old not in text:
            return f"{broken.file} does not hold {broken.old!r} any more"
        changed = text.replace(broken.old, broken.new, 1)
        path.write_text(changed)
        findings = checks[broken.check](Tree(folder, binary))
    where = broken.where or broken.file
    line = text[: text.index(broken.old)].count("\n") + 1
    # The place may be some lines further on in what was replaced.
    last = line + max(broken.old.count("\n"), broken.new.count("\n")) + 3
    for finding in findings:
        if finding.file.startswith(where) and broken.text in finding.text:
            if not broken.line or broken.where or line - 12 <= finding.line <= last:
                return None
    return (
        f"line {line}: not found; the check says: {[str(each)[:240] for each in findings[:3]] or 'nothing'}"
    )


def main(root, binary, checks):
    """Every case, two at a time, in order."""
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as pool:
        outcomes = [pool.submit(one, root, binary, checks, broken) for broken in BREAKS]
        for broken, outcome in zip(BREAKS, outcomes, strict=True):
            words = outcome.result()
            failed += words is not None
            begin = f"{'ok' if words is None else 'MISSED'}: {broken.check}: {broken.file}: {broken.new.strip()[:60]!r}"
            print(begin if words is None else f"{begin}: {words}", flush=True)
    missing = set(checks) - {broken.check for broken in BREAKS}
    for name in sorted(missing):
        print(f"MISSED: no case for the check {name}")
    print(f"{len(BREAKS) - failed} passed, {failed + len(missing)} failed")
    return 1 if failed or missing else 0
