"""Each kind of mistake once: what is done to a file, and the finding that it must give."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """What is done to one file of a copy, and the finding that it must give."""

    check: str
    file: str
    old: str
    new: str
    # The finding has `text` in it, and names the file and a line that was changed; or `where`, another file, and a line
    # that has `at` in it.
    text: str
    where: str = ""
    at: str = ""


GATEWAY = "config/deploy/base/platform-01/deployment.yaml"
DEV = "config/deploy/overlays/dev/kustomization.yaml"
BASE = "config/deploy/base/platform"
ROUTES = "config/deploy/components/gateway-api"
SCALING = "config/deploy/components/autoscaling"
POLICIES = "config/deploy/policies"
ARGOCD = "config/deploy/argocd"
RULES = "config/alerts/gateway.rules.yaml"
PANELS = "config/dashboards/gateway.json"
CI = ".github/workflows/ci.yml"
COMPOSE = "config/compose/compose.yaml"
PRODUCTION = "config/terraform/environments/production/main.tf"
BREAKS = (
    # Files by themselves.
    Break(
        "yaml",
        GATEWAY,
        "  name: sluice\n  labels:",
        "  name: sluice\n  name: slouse\n  labels:",
        "duplication of key",
    ),
    Break("shell", "config/image/build", 'rm -rf "$output"', "rm -rf $output", "SC2086"),
    Break("kustomize", DEV, "labels:\n", "commonLabels:\n  a: b\nlabels:\n", "commonLabels"),
    Break("kustomize", DEV, "  - ../../base", "  - ../../base\n  - nowhere.yaml", "nowhere.yaml"),
    Break("schemas", GATEWAY, "revisionHistoryLimit", "revisionHistoryLimits", "revisionHistoryLimits"),
    Break("schemas", GATEWAY, "maxSurge: 1", "maxSurge: []", "Kubernetes 1.34"),
    Break(
        "schemas",
        f"{ARGOCD}/dev.yaml",
        "  revisionHistoryLimit:",
        "  notification: []\n  revisionHistoryLimit:",
        "notification",
    ),
    Break("schemas", f"{ROUTES}/limits.yaml", "unit: Second", "unit: Fortnight", "Fortnight"),
    Break("schemas", f"{ROUTES}/limits.yaml", "kind: Back", "kind: Front", "no schema"),
    # A tag instead of a digest, and a digest that is none: of the gateway, of another workload, of one that no
    # kustomization knows.
    Break("graph", DEV, "    digest: sha256:", "    newTag: v1 #", "not pinned by a digest"),
    Break("graph", DEV, "    digest: sha256:", "    digest: sha256:abc #", "not pinned by a digest"),
    Break(
        "graph",
        "config/deploy/base/kustomization.yaml",
        "digest: sha256:1107",
        "newTag: 3.7.8 # 1107",
        "docker.io/grafana/loki:3.7.8 is not pinned by a digest",
    ),
    Break(
        "graph",
        f"{BASE}-03/grafana.yaml",
        "image: docker.io/grafana/grafana",
        "image: docker.io/grafana/grafana-oss:13.2.2",
        "grafana-oss:13.2.2 is not pinned",
    ),
    # A volume that nothing declares; one that nothing mounts; what is mounted and is not there.
    Break(
        "graph",
        GATEWAY,
        "            - name: data\n",
        "            - name: store\n",
        '"store", which nothing declares',
    ),
    Break(
        "graph",
        f"{BASE}-03/loki.yaml",
        "- name: storage\n   ",
        "- name: store\n   ",
        '"store", which nothing declares',
    ),
    Break(
        "graph",
        f"{BASE}-03/grafana.yaml",
        "        - name: tmp\n          emptyDir:",
        "        - name: temp\n          emptyDir:",
        'the volume "temp" is not mounted',
    ),
    Break("graph", GATEWAY, "name: sluice-config", "name: sluice-konfig", "no ConfigMap sluice-konfig"),
    Break("graph", GATEWAY, "=/etc/sluice/auto", "=/etc/sluice/autu", "has no autuecoops.yaml"),
    Break(
        "graph",
        f"{BASE}-03/grafana.yaml",
        "- key: datasources.yaml",
        "- key: sources.yaml",
        "has no sources.yaml",
    ),
    Break(
        "graph",
        f"{BASE}-02/alertmanager.yaml",
        "secretName: alert",
        "secretName: x-alert",
        "no Secret x-alert",
    ),
    # A grace that is shorter than the drain.
    Break("graph", GATEWAY, "GracePeriodSeconds: 45", "GracePeriodSeconds: 30", "30 is less than preStop"),
    Break(
        "graph",
        GATEWAY,
        "--shutdown-timeout=25",
        "--shutdown-timeout=60",
        "less than preStop",
        GATEWAY,
        "Seconds: 45",
    ),
    Break("graph", GATEWAY, "seconds: 10\n", "seconds: 20\n", "less than preStop", GATEWAY, "Seconds: 45"),
    Break(
        "graph",
        GATEWAY,
        "              sleep:\n                seconds: 10",
        "              exec:\n                command: [sleep, '10']",
        "no shell",
    ),
    # Probes and ports.
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
        f"{BASE}-03/tempo.yaml",
        "port: http\n            periodSeconds: 10",
        "port: 3201\n            periodSeconds: 10",
        "readinessProbe asks the port 3201",
    ),
    Break(
        "graph",
        f"{BASE}-02/prometheus.yaml",
        "          readinessProbe:",
        "          readyProbe:",
        "has no readinessProbe",
        f"{BASE}-02/prometheus.yaml",
        "- name: prometheus",
    ),
    Break(
        "graph", f"{BASE}-01/services.yaml", "targetPort: otlp-grpc", "targetPort: grpc", "targetPort grpc"
    ),
    Break("graph", f"{BASE}-02/prometheus.yaml", "targetPort: http", "targetPort: web", "targetPort web"),
    Break("graph", f"{ROUTES}/routes.yaml", "port: 4318", "port: 4319", "has no port"),
    Break(
        "graph",
        "config/deploy/components/ingress/ingress.yaml",
        "name: otlp-http\n---",
        "name: http\n---",
        "has no port",
    ),
    # Selectors that match nothing.
    Break(
        "graph",
        GATEWAY,
        "      app.kubernetes.io/name: sluice\n  template",
        "      app.kubernetes.io/name: gateway\n  template",
        "is not a label of its own pods",
    ),
    Break(
        "graph",
        f"{BASE}-03/tempo.yaml",
        "  selector:\n    app.kubernetes.io/name: tempo\n",
        "  selector:\n    app.kubernetes.io/name: tempos\n",
        "matches no pods",
    ),
    Break("graph", f"{BASE}-01/disruption.yaml", "io/name: sluice", "io/name: slice", "matches no pods"),
    Break(
        "graph",
        f"{POLICIES}/network/platform-03.yaml",
        "    matchLabels:\n      app.kubernetes.io/name: grafana",
        "    matchLabels:\n      app.kubernetes.io/name: graphana",
        "matches no pods",
    ),
    # A rollout that hangs on three nodes.
    Break(
        "graph",
        GATEWAY,
        "ScheduleAnyway\n          labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: sluice\n"
        "          matchLabelKeys: [pod-template-hash]",
        "DoNotSchedule\n          labelSelector:\n            matchLabels:\n              app.kubernetes.io/name: sluice",
        "the surge pod has no node",
    ),
    # An autoscaler and somebody else own the replicas.
    Break(
        "graph", f"{SCALING}/autoscaler.yaml", "    name: sluice\n  min", "    name: sluices\n  min", "scales"
    ),
    Break(
        "graph",
        f"{SCALING}/kustomization.yaml",
        "      - op: remove\n        path: /spec/replicas",
        "      - op: test\n        path: /spec/replicas\n        value: 3",
        "has replicas, and HorizontalPodAutoscaler",
        GATEWAY,
        "replicas: 3",
    ),
    Break(
        "graph",
        f"{ARGOCD}/production.yaml",
        "- /spec/replicas",
        "- /spec/replica",
        "to be ignored",
        f"{ARGOCD}/production.yaml",
        "ignoreDifferences:",
    ),
    # NetworkPolicies: a port that nobody has; out, but not in.
    Break(
        "graph", f"{POLICIES}/network/platform-01.yaml", "port: otlp-http", "port: otlp", "port otlp is not"
    ),
    Break(
        "graph",
        f"{POLICIES}/network/platform-01.yaml",
        "port: 3100",
        "port: 3101",
        "3101 is not a port of loki",
    ),
    Break(
        "graph",
        f"{POLICIES}/network/platform-03.yaml",
        "              app.kubernetes.io/name: sluice",
        "              app.kubernetes.io/name: prometheus",
        "sluice → loki:3100 is let out here",
        f"{POLICIES}/network/platform-01.yaml",
        "port: 3100",
    ),
    # Names that lead nowhere.
    Break(
        "graph",
        f"{BASE}-02/prometheus.yaml",
        "AccountName: prometheus",
        "AccountName: prom",
        "no ServiceAccount prom",
    ),
    Break(
        "graph",
        f"{POLICIES}/rbac.yaml",
        "  kind: ClusterRole\n  name: a",
        "  kind: ClusterRole\n  name: b",
        "no ClusterRole b",
    ),
    Break(
        "graph",
        f"{POLICIES}/admission/images.yaml",
        "policyName: auto",
        "policyName: otto",
        "no ValidatingAdmissionPolicy",
    ),
    Break(
        "graph",
        f"{ROUTES}/gateway.yaml",
        "            name: telemetry",
        "            name: telegraph",
        "nothing makes",
    ),
    Break("graph", f"{ROUTES}/routes.yaml", "sectionName: grpc", "sectionName: http", "takes HTTPRoute only"),
    Break("graph", f"{ROUTES}/routes.yaml", "hostnames: [otlp.", "hostnames: [otlq.", "not for otlq"),
    Break("graph", f"{ROUTES}/limits.yaml", "name: otlp-http", "name: otlp-https", "no HTTPRoute otlp-https"),
    Break(
        "graph",
        "config/deploy/overlays/staging/kustomization.yaml",
        "  - ../../components/tls-behind-gateway\n",
        "",
        "without a BackendTLSPolicy",
        f"{ROUTES}/routes.yaml",
        "name: sluice",
    ),
    Break(
        "graph",
        f"{BASE}-03/loki.yaml",
        "serviceName: loki-replicas",
        "serviceName: loki-peers",
        "is no Service",
    ),
    Break(
        "graph",
        f"{ARGOCD}/staging.yaml",
        "overlays/staging",
        "overlays/stage",
        "there is no config/deploy/overlays/stage",
    ),
    Break(
        "graph",
        f"{ARGOCD}/project.yaml",
        "kind: ClusterRole\n",
        "kind: ClusterRoles\n",
        "does not allow ClusterRole ",
        f"{ARGOCD}/dev.yaml",
        "project:",
    ),
    Break(
        "graph",
        f"{BASE}-01/autoecoops.yaml",
        "tempo.platform-03:4317",
        "tempo.platform-03:4318",
        "no Service tempo",
    ),
    Break(
        "graph",
        f"{BASE}-02/prometheus.yml",
        "alertmanager-2.alertmanager-peers",
        "alertmanager-2.alertmanagers",
        "no Service alertmanagers",
    ),
    # Resources.
    Break(
        "graph",
        f"{BASE}-03/loki.yaml",
        "memory: 2Gi\n          startup",
        "memory: 4Gi\n          startup",
        "memory limit and request",
    ),
    Break("graph", GATEWAY, 'cpu: "2"', "cpu: 1500m", "not whole CPUs"),
    Break(
        "checkov",
        GATEWAY,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        "CKV_K8S_20",
    ),
    Break(
        "policies",
        f"{POLICIES}/admission/images.yaml",
        "[0-9a-f]{64}$",
        "[0-9a-f]+$",
        "a digest that is none",
        f"{POLICIES}/admission/images.yaml",
        "pinned by its digest",
    ),
    Break(
        "policies",
        "config/deploy/base/kustomization.yaml",
        "- name: docker.io/grafana/grafana #",
        "- name: docker.io/grafana/grafana\n    newName: quay.io/grafana/grafana #",
        "Images come from",
        f"{BASE}-03/grafana.yaml",
        "containers:",
    ),
    Break(
        "policies",
        f"{BASE}-03/loki.yaml",
        "runAsNonRoot: true",
        "runAsNonRoot: false",
        "must run with runAsNonRoot",
        f"{BASE}-03/loki.yaml",
        "securityContext:",
    ),
    Break(
        "gateway",
        f"{BASE}-01/autoecoops.yaml",
        "limit_percentage: 80\n",
        "limit_percent: 80\n",
        "limit_percent",
    ),
    # A rule and a panel with a metric that does not exist, a job that nobody scrapes, PromQL that does not parse.
    Break(
        "metrics",
        RULES,
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
        "config/alerts/platform.rules.yaml",
        'up{job="platform"}',
        'up{job="plattform"}',
        "is the job plattform",
    ),
    Break(
        "metrics",
        RULES,
        "sluice:queue_fill:ratio > 0.8",
        "sluice:queue_fill:ratio > > 0.8",
        "sluice:queue_fill:ratio > >",
    ),
    Break(
        "metrics",
        PANELS,
        "otelcol_process_uptime{",
        "otelcol_process_upthyme{",
        "otelcol_process_upthyme is on no gateway",
    ),
    Break(
        "metrics",
        PANELS,
        '"expr": "sluice:queue_fill:ratio"',
        '"expr": "sluice:queue_fill:ratio ("',
        "'sluice:queue_fill:ratio ('",
    ),
    # A panel without a data source; one on another; a variable that is none.
    Break(
        "dashboards",
        "config/dashboards/platform-01.json",
        '"datasource": {\n        "type": "prometheus",\n        "uid": "${datasource}"\n      },\n      "targets"',
        '"targets"',
        "no data source",
        "config/dashboards/platform-01.json",
        '"title": "Request rate"',
    ),
    Break("dashboards", PANELS, '"x": 8,', '"x": 4,', "lies on", PANELS, '"title": '),
    Break("dashboards", PANELS, '"gridPos": {', '"gridposition": {', "Grafana's schema has no .panels"),
    Break("dashboards", PANELS, 'pod=~\\"$pod\\"', 'pod=~\\"$pods\\"', "$pods is no variable"),
    Break(
        "dashboards", "config/dashboards/platform-01.json", "[$__rate_interval]", "[5m]", "$__rate_interval"
    ),
    Break(
        "dashboards",
        f"{BASE}-03/grafana/datasources.yaml",
        "uid: tempo",
        "uid: tempi",
        "no data source tempo",
        f"{BASE}-03/grafana/datasources.yaml",
        "datasourceUid: tempo",
    ),
    # Rules.
    Break("rules", RULES, "for: 2m", "for: 2 minutes", "duration"),
    Break(
        "rules",
        RULES,
        "> 0.8\n        for: 1m",
        "> 0.9\n        for: 1m",
        "SluiceQueueFilling",
        "config/alerts/tests/gateway.yaml",
        "name: SluiceQueueFilling",
    ),
    Break("rules", RULES, "severity: info", "severity: notice", "has no severity", RULES, "- alert: "),
    Break("rules", RULES, "- alert: SluiceTooLarge", "- alert: SluiceTooBig", "SluiceTooBig has no test"),
    Break("rules", RULES, "- alert: SluiceTooLarge", "- alert: SluiceTooBig", "SluiceTooBig has no section"),
    Break(
        "rules",
        "config/alerts/README.md",
        "### SluiceDown",
        "### SluiceGone",
        "SluiceDown has no section",
        RULES,
        "- alert: SluiceDown",
    ),
    Break(
        "rules",
        RULES,
        "#sluiceabsent",
        "#sluicepresent",
        "runbook_url does not lead",
        RULES,
        "- alert: SluiceAbsent",
    ),
    Break(
        "rules",
        "config/alerts/prometheus-operator.yaml",
        "for: 2m",
        "for: 3m",
        "is not what the rule files say",
    ),
    Break("rules", f"{BASE}-02/prometheus.yml", "action: keep", "action: kepp", "kepp"),
    Break("rules", f"{BASE}-02/alertmanager.yml", "receiver: pager", "receiver: pagers", "pagers"),
    Break(
        "rules",
        f"{BASE}-02/alertmanager.yml",
        "SluiceNothingSent|",
        "SluiceSentNothing|",
        "no alert SluiceSentNothing",
    ),
    # An action that is not pinned; permissions that are too broad; text of a stranger in a script.
    Break(
        "workflows",
        CI,
        "checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd",
        "checkout@v6",
        "not pinned by a commit",
    ),
    Break(
        "workflows",
        ".github/workflows/release.yml",
        "trivy-action@ed142fd0673e97e23eac54620cfb913e5ce36c25",
        "trivy-action@master",
        "not pinned by a commit",
    ),
    Break(
        "workflows",
        CI,
        "permissions: {}",
        "permissions: write-all",
        "the workflow has the permissions write-all",
    ),
    Break(
        "workflows",
        CI,
        "    permissions:\n      contents: read\n    steps:\n      - name: The",
        "    permissions: write-all\n    steps:\n      - name: The",
        "excessive-permissions",
    ),
    Break("workflows", CI, "run: .ci/run", "run: echo ${{ github.head_ref }}", "template-injection"),
    Break("workflows", CI, "runs-on: ubuntu-24.04", "runs-on: ubuntu-24.04\n    neds: x", "neds"),
    Break("image", "config/image/Containerfile", "FROM scratch", "FROM debian:12", "not pinned by a digest"),
    Break("image", "config/image/Containerfile", "COPY rootfs/ /\n", "ADD rootfs/ /\n", "DL3020"),
    Break("compose", COMPOSE, "- loki:/loki", "- lokey:/loki", '"lokey", which nothing declares'),
    Break("compose", COMPOSE, "loki@sha256:1107", "loki:3.7.8 #", "not pinned by a digest"),
    Break(
        "compose",
        COMPOSE,
        "../deploy/base/platform-03/loki-config.yaml",
        "../deploy/loki.yaml",
        "is not there",
    ),
    # Secrets in plain text.
    Break(
        "secrets",
        f"{BASE}-03/grafana.yaml",
        "PASSWORD__FILE\n              value: /etc/grafana-admin/password",
        "PASSWORD\n              value: hunter2",
        "in plain text",
    ),
    Break(
        "secrets",
        f"{BASE}-02/alertmanager.yml",
        "url_file: /etc/alertmanager-receivers/chat-url",
        "url: https://hooks.slack.com/services/T0/B0/X",
        "a webhook",
    ),
    Break(
        "secrets", f"{BASE}-02/namespace.yaml", "kind: Namespace", "kind: Secret", "never from a file in Git"
    ),
    # The SBOM: a library that it does not list, and a licence that is missing.
    Break(
        "sbom",
        "config/sbom/make",
        '    ("liblz4-dev", "LZ4F_decompress", "BSD-2-Clause"),\n',
        "",
        "has no liblz4-dev",
        "Package.swift",
        "liblz4",
    ),
    Break("sbom", "config/sbom/make", '" deflateInit2_", "Zlib")', '" deflateInit2_", "")', "has no licence"),
    Break(
        "sbom",
        "config/sbom/make",
        '"sqlite3_prepare_v2", "blessing"',
        '"sqlite3_prepare_v2", "Blessed"',
        "Blessed",
    ),
    Break(
        "terraform",
        "config/terraform/modules/rules/main.tf",
        "var.replicas >= 3",
        "var.replicas >= 2",
        "Missing expected failure",
        "config/terraform/modules/rules/tests/rules.tftest.hcl",
        "expect_failures = [terraform_data.together]",
    ),
    Break("terraform", PRODUCTION, "replicas       = 3", "replicas = 3", "not formatted"),
    Break("terraform", PRODUCTION, "cpu_limit  ", "cpu_limits ", "no variable cpu_limits"),
    Break("terraform", PRODUCTION, 'image_digest = "sha256:', 'image_digest = "v0.1.0@sha256:', "is no digest"),
    Break("terraform", PRODUCTION, "use_lockfile = true", "use_lockfile = false", "is not locked"),
    Break(
        "terraform",
        "config/terraform/modules/kubernetes/workload.tf",
        "period_seconds = 45",
        "period_seconds = 30",
        "30 is less than --shutdown-timeout",
    ),
)
