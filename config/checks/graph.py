"""What no schema sees: whether the parts of the manifests fit together."""

import re

from .manifests import resources

PINNED = re.compile(r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
# Made outside Git: config/README.md says by whom.
EXTERNAL_SECRETS = {
    "alertmanager-receivers",
    "grafana-admin",
    "sluice-certificate",
    "telemetry-certificate",
    "otlp-http-tls",
    "otlp-grpc-tls",
}
# Seconds that are left after the drain until the kubelet kills the gateway.
GRACE_REST = 10


class Overlay:
    """The resources of one overlay, to look things up."""

    def __init__(self, found):
        self.all = found

    def names(self, kind, namespace):
        return {each.name for each in self.all if each.kind == kind and each.namespace == namespace}

    def pods(self, namespace):
        """Workloads of a namespace with their pod template's labels."""
        for each in self.all:
            if each.kind in WORKLOADS and each.namespace == namespace:
                yield each, each.content["spec"]["template"]["metadata"].get("labels") or {}


def check_graph(tree):
    """Volumes, ports, selectors, probes, images, grace: each refers to something that is there."""
    findings = []
    by_overlay = {}
    for resource in resources(tree):
        by_overlay.setdefault(resource.overlay, []).append(resource)
    for found in by_overlay.values():
        overlay = Overlay(found)
        for resource in found:
            for check in CHECKS.get(resource.kind, ()):
                findings += [resource.finding("graph", text, path) for text, path in check(resource, overlay)]
    # One source file may be in several overlays.
    return list({(each.file, each.line, each.text.split(": ", 1)[-1]): each for each in findings}.values())


def containers(resource):
    """Each container with its path."""
    base = ["spec", "template", "spec"]
    spec = resource.content["spec"]["template"]["spec"]
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or []):
            yield container, [*base, key, index]


def selector(resource, overlay):
    labels = resource.content["spec"]["template"]["metadata"].get("labels") or {}
    for key, value in resource.content["spec"]["selector"]["matchLabels"].items():
        if labels.get(key) != value:
            yield f"selector {key}={value} is not a label of its own pods", [
                "spec",
                "selector",
                "matchLabels",
                key,
            ]
    for index, spread in enumerate(
        resource.content["spec"]["template"]["spec"].get("topologySpreadConstraints") or []
    ):
        for key, value in spread["labelSelector"]["matchLabels"].items():
            if labels.get(key) != value:
                path = ["spec", "template", "spec", "topologySpreadConstraints", index, "labelSelector"]
                yield f"the spread counts {key}={value}, which its pods do not have", path


def volumes(resource, overlay):
    """Mounts have volumes, volumes are mounted and exist, no mount lies within another volume's."""
    spec = resource.content["spec"]["template"]["spec"]
    declared = {each["name"]: index for index, each in enumerate(spec.get("volumes") or [])}
    claims = {each["metadata"]["name"] for each in resource.content["spec"].get("volumeClaimTemplates") or []}
    mounted = set()
    for container, path in containers(resource):
        places = {}
        for index, mount in enumerate(container.get("volumeMounts") or []):
            where = [*path, "volumeMounts", index]
            mounted.add(mount["name"])
            if mount["name"] not in declared and mount["name"] not in claims:
                yield f"mounts the volume \"{mount['name']}\", which nothing declares", where
            for other in places:
                if (mount["mountPath"] + "/").startswith(other + "/") or (other + "/").startswith(
                    mount["mountPath"] + "/"
                ):
                    yield f"{mount['mountPath']} and {other} are mounted one inside the other", where
            places[mount["mountPath"]] = mount["name"]
    for name, index in declared.items():
        where = ["spec", "template", "spec", "volumes", index]
        if name not in mounted:
            yield f'the volume "{name}" is not mounted', where
        volume = spec["volumes"][index]
        if "configMap" in volume and volume["configMap"]["name"] not in overlay.names(
            "ConfigMap", resource.namespace
        ):
            yield f"there is no ConfigMap {volume['configMap']['name']} in {resource.namespace}", where
        if "secret" in volume and volume["secret"]["secretName"] not in EXTERNAL_SECRETS:
            yield f"there is no Secret {volume['secret']['secretName']}, and none is made outside Git", where
    for index, each in enumerate(resource.content["spec"].get("volumeClaimTemplates") or []):
        if each["metadata"]["name"] not in mounted:
            yield f"the claim \"{each['metadata']['name']}\" is not mounted", [
                "spec",
                "volumeClaimTemplates",
                index,
            ]


def images(resource, overlay):
    for container, path in containers(resource):
        if not PINNED.match(container["image"]) or set(container["image"].rpartition(":")[2]) == {"0"}:
            yield f"the image {container['image']} is not pinned by a digest (NAME@sha256:64 hex digits)", [
                *path,
                "image",
            ]


def probes(resource, overlay):
    """Probes name ports of their container; the gateway's ask the right pages."""
    for container, path in containers(resource):
        ports = container.get("ports") or []
        names = [port.get("name") for port in ports]
        for index, port in enumerate(ports):
            if not port.get("name"):
                yield f"port {port['containerPort']} has no name", [*path, "ports", index]
            elif names.count(port["name"]) > 1:
                yield f"two ports are named {port['name']}", [*path, "ports", index]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind)
            if probe is None:
                if kind != "startupProbe":
                    yield f"has no {kind}", path
                continue
            action = probe.get("httpGet") or probe.get("tcpSocket") or {}
            if action.get("port") not in names and action.get("port") not in [
                port["containerPort"] for port in ports
            ]:
                yield f"{kind} asks the port {action.get('port')}, which the container does not have", [
                    *path,
                    kind,
                ]
            if (
                kind == "livenessProbe"
                and action.get("path", "").endswith("/ready")
                and container["name"] == "sluice"
            ):
                yield "livenessProbe asks /health/ready, which is 503 while the gateway drains", [*path, kind]


def grace(resource, overlay):
    """The time until SIGKILL is preStop, the gateway's own drain, and a rest."""
    spec = resource.content["spec"]["template"]["spec"]
    for container, path in containers(resource):
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        if "exec" in hook:
            yield "preStop runs a command; the image has no shell: use preStop.sleep", [*path, "lifecycle"]
        timeouts = [
            each.partition("=")[2]
            for each in container.get("args") or []
            if each.startswith("--shutdown-timeout=")
        ]
        if container["name"] != "sluice":
            continue
        drain = float(timeouts[0]) if timeouts else 25
        need = (hook.get("sleep") or {}).get("seconds", 0) + drain + GRACE_REST
        have = spec.get("terminationGracePeriodSeconds", 30)
        if have < need:
            words = f"terminationGracePeriodSeconds {have} is less than preStop + --shutdown-timeout + {GRACE_REST} = {need:g}"
            yield words, ["spec", "template", "spec", "terminationGracePeriodSeconds"]


def resources_of(resource, overlay):
    """Memory limit = request (memory_limiter reads the limit); a CPU limit is whole CPUs or none."""
    for container, path in containers(resource):
        wanted, limits = (container.get("resources", {}).get(key) or {} for key in ("requests", "limits"))
        if not wanted.get("memory") or wanted["memory"] != limits.get("memory"):
            yield "memory limit and request differ or are missing", [*path, "resources"]
        if container["name"] == "sluice" and not re.fullmatch(r"[0-9]+", str(limits.get("cpu", "1"))):
            yield f"CPU limit {limits['cpu']} is not whole CPUs: event loops follow it", [
                *path,
                "resources",
                "limits",
            ]


def service(resource, overlay):
    wanted = resource.content["spec"].get("selector") or {}
    matched = [each for each, labels in overlay.pods(resource.namespace) if wanted.items() <= labels.items()]
    if not matched:
        yield f"its selector {wanted} matches no pods", ["spec", "selector"]
    names = {
        port["name"]
        for each in matched
        for container, _ in containers(each)
        for port in container.get("ports") or []
    }
    for index, port in enumerate(resource.content["spec"].get("ports") or []):
        if matched and port.get("targetPort") not in names:
            yield f"targetPort {port.get('targetPort')} is not a port of its pods", ["spec", "ports", index]


def stateful(resource, overlay):
    name = resource.content["spec"].get("serviceName")
    if name not in overlay.names("Service", resource.namespace):
        yield f"its serviceName {name} is no Service", ["spec", "serviceName"]


def selects_pods(resource, overlay):
    spec = resource.content["spec"]
    key = "selector" if resource.kind == "PodDisruptionBudget" else "podSelector"
    wanted = (spec.get(key) or {}).get("matchLabels") or {}
    matched = [each for each, labels in overlay.pods(resource.namespace) if wanted.items() <= labels.items()]
    if not matched:
        yield f"its selector {wanted} matches no pods", ["spec", key]
    ports = {
        port["name"]
        for each in matched
        for container, _ in containers(each)
        for port in container.get("ports") or []
    }
    for index, rule in enumerate(spec.get("ingress") or []):
        for number, port in enumerate(rule.get("ports") or []):
            if isinstance(port["port"], str) and port["port"] not in ports:
                yield f"port {port['port']} is not a port of its pods", [
                    "spec",
                    "ingress",
                    index,
                    "ports",
                    number,
                ]


def scaled(resource, overlay):
    target = resource.content["spec"]["scaleTargetRef"]
    if target["name"] not in overlay.names(target["kind"], resource.namespace):
        yield f"scales {target['kind']} {target['name']}, which is not there", ["spec", "scaleTargetRef"]


def backends(resource, overlay):
    """Services behind Ingresses and routes exist and have the port."""
    wanted = []
    for index, rule in enumerate(resource.content["spec"].get("rules") or []):
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            place = ["spec", "rules", index, "http", "paths", number]
            wanted.append((path["backend"]["service"]["name"], path["backend"]["service"]["port"], place))
        for number, backend in enumerate(rule.get("backendRefs") or []):
            wanted.append(
                (
                    backend["name"],
                    {"number": backend.get("port")},
                    ["spec", "rules", index, "backendRefs", number],
                )
            )
    for name, port, place in wanted:
        for each in overlay.all:
            if each.kind == "Service" and each.name == name and each.namespace == resource.namespace:
                ports = each.content["spec"]["ports"]
                if not any(
                    port.get("name") == have["name"] or port.get("number") == have["port"] for have in ports
                ):
                    yield f"Service {name} has no port {port}", place
                break
        else:
            yield f"there is no Service {name}", place


POD_CHECKS = (selector, volumes, images, probes, grace, resources_of)
CHECKS = {
    "Deployment": POD_CHECKS,
    "StatefulSet": (*POD_CHECKS, stateful),
    "DaemonSet": POD_CHECKS,
    "Service": (service,),
    "PodDisruptionBudget": (selects_pods,),
    "NetworkPolicy": (selects_pods,),
    "HorizontalPodAutoscaler": (scaled,),
    "Ingress": (backends,),
    "GRPCRoute": (backends,),
    "HTTPRoute": (backends,),
}
