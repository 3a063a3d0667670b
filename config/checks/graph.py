"""What no schema sees: whether the parts of the manifests fit together."""

import re

from .findings import Finding
from .grace import GRACE_REST
from .manifests import resources
from .network import network
from .overlay import Overlay, containers
from .pinned import PINNED
from .references import addresses, argocd, references
from .yaml_lines import documents

# Made outside Git: config/README.md says by whom. cert-manager makes others, for its Certificates and Ingresses.
EXTERNAL_SECRETS = {"alertmanager-receivers", "grafana-admin"}


def check_graph(tree):
    """Volumes, ports, selectors, probes, images, grace: each refers to something that is there."""
    findings, by_name = [], {}
    for resource in resources(tree):
        by_name.setdefault(resource.overlay, []).append(resource)
    overlays = {name: Overlay(tree, found) for name, found in by_name.items()}
    for overlay in overlays.values():
        for resource in overlay.all:
            for check in (references, *CHECKS.get(resource.kind, ())):
                findings += [
                    each if isinstance(each, Finding) else resource.finding("graph", *each)
                    for each in check(resource, overlay)
                ]
    findings += argocd(tree, overlays) + addresses(tree, overlays)
    # One source file may be in several overlays.
    return list({(each.file, each.line, each.text.split(": ", 1)[-1]): each for each in findings}.values())


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
            yield f"there is no ConfigMap {volume['configMap']['name']} in {resource.namespace}", [
                *where,
                "configMap",
                "name",
            ]
        secrets = {*EXTERNAL_SECRETS, *overlay.certificates(resource.namespace)}
        if "secret" in volume and volume["secret"]["secretName"] not in secrets:
            yield f"there is no Secret {volume['secret']['secretName']}, and none is made outside Git", [
                *where,
                "secret",
                "secretName",
            ]
        yield from files_of(resource, overlay, name, volume, where)
    for index, each in enumerate(resource.content["spec"].get("volumeClaimTemplates") or []):
        if each["metadata"]["name"] not in mounted:
            yield f"the claim \"{each['metadata']['name']}\" is not mounted", [
                "spec",
                "volumeClaimTemplates",
                index,
            ]


def files_of(resource, overlay, name, volume, where):
    """Files of a ConfigMap that a volume picks, or that a container is started with, are in it."""
    source = overlay.find("ConfigMap", (volume.get("configMap") or {}).get("name"), resource.namespace)
    if source is None:
        return
    keys = source.content.get("data") or {}
    items = volume["configMap"].get("items")
    for index, item in enumerate(items or []):
        if item["key"] not in keys:
            yield f"{source} has no {item['key']}", [*where, "configMap", "items", index, "key"]
    files = {item["path"] for item in items} if items else set(keys)
    for container, path in containers(resource):
        for mount in container.get("volumeMounts") or []:
            if mount["name"] != name:
                continue
            below = mount["mountPath"].rstrip("/") + "/"
            for index, argument in enumerate(container.get("args") or []):
                file = argument.partition("=")[2]
                if file.startswith(below) and file.removeprefix(below) not in files:
                    yield f"{argument}: {source} has no {file.removeprefix(below)}", [*path, "args", index]


def images(resource, overlay):
    for container, path in containers(resource):
        image = container["image"]
        if PINNED.match(image):
            continue
        words = f"the image {image} is not pinned by a digest (NAME@sha256:64 hex digits)"
        yield chosen(resource, overlay, image, words) or (words, [*path, "image"])


def chosen(resource, overlay, image, words):
    """The finding at the line of the kustomization that gives the image its tag or digest; None if none does."""
    deploy = overlay.tree.path("config/deploy")
    own = deploy / "overlays" / resource.overlay
    for folder in (
        own,
        deploy / "base",
        *sorted(deploy.glob("base/*")),
        *sorted(deploy.glob("components/*")),
    ):
        path = folder / "kustomization.yaml"
        for document in documents(path.read_text()) if path.is_file() else []:
            for entry in document.get("images") or []:
                if entry["name"] == re.split(r"@|:(?!.*/)", image)[0]:
                    line = entry.lines.get("digest", entry.lines.get("newTag", entry.line))
                    return Finding(overlay.tree.name(path), line, "graph", f"{resource}: {words}")
    return None


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
                    "httpGet" if "httpGet" in probe else "tcpSocket",
                    "port",
                ]
            if (
                kind == "livenessProbe"
                and action.get("path", "").endswith("/ready")
                and container["name"] == "sluice"
            ):
                yield "livenessProbe asks /health/ready, which is 503 while the gateway drains", [
                    *path,
                    kind,
                    "httpGet",
                    "path",
                ]


def grace(resource, overlay):
    """The time until SIGKILL is preStop, the gateway's own drain, and a rest."""
    spec = resource.content["spec"]["template"]["spec"]
    for container, path in containers(resource):
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        if "exec" in hook:
            yield "preStop runs a command; the image has no shell: use preStop.sleep", [
                *path,
                "lifecycle",
                "preStop",
                "exec",
            ]
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
            yield "memory limit and request differ or are missing", [*path, "resources", "limits", "memory"]
        if container["name"] == "sluice" and not re.fullmatch(r"[0-9]+", str(limits.get("cpu", "1"))):
            yield f"CPU limit {limits['cpu']} is not whole CPUs: event loops follow it", [
                *path,
                "resources",
                "limits",
                "cpu",
            ]


def service(resource, overlay):
    wanted = resource.content["spec"].get("selector") or {}
    matched = [each for each, labels in overlay.pods(resource.namespace) if wanted.items() <= labels.items()]
    if not matched:
        yield f"its selector {wanted} matches no pods", ["spec", "selector", *list(wanted)[:1]]
    names = {
        port["name"]
        for each in matched
        for container, _ in containers(each)
        for port in container.get("ports") or []
    }
    for index, port in enumerate(resource.content["spec"].get("ports") or []):
        if matched and port.get("targetPort") not in names:
            yield f"targetPort {port.get('targetPort')} is not a port of its pods", [
                "spec",
                "ports",
                index,
                "targetPort",
            ]


def rollout(resource, overlay):
    """A surge pod finds a node: with one gateway a node it would wait for ever for one more."""
    spec = resource.content["spec"]["template"]["spec"]
    base = ["spec", "template", "spec"]
    rolling = (resource.content["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    if rolling.get("maxUnavailable", "25%") not in (0, "0", "0%"):
        return
    affinity = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    if affinity.get("requiredDuringSchedulingIgnoredDuringExecution"):
        yield "required anti-affinity, and no pod may be unavailable: the surge pod has no node", [
            *base,
            "affinity",
        ]
    for index, spread in enumerate(spec.get("topologySpreadConstraints") or []):
        # Counted together with the old ones, the surge pod is one too many on its node.
        if spread["whenUnsatisfiable"] == "DoNotSchedule" and not spread.get("matchLabelKeys"):
            yield "DoNotSchedule counts old pods, too, and none may be unavailable: the surge pod has no node", [
                *base,
                "topologySpreadConstraints",
                index,
                "whenUnsatisfiable",
            ]


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
        yield f"its selector {wanted} matches no pods", ["spec", key, "matchLabels", *list(wanted)[:1]]
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
                    "port",
                ]


def scaled(resource, overlay):
    reference = resource.content["spec"]["scaleTargetRef"]
    target = overlay.find(reference["kind"], reference["name"], resource.namespace)
    if target is None:
        yield f"scales {reference['kind']} {reference['name']}, which is not there", [
            "spec",
            "scaleTargetRef",
            "name",
        ]
    elif "replicas" in target.content["spec"]:
        words = f"has replicas, and {resource} scales it: each apply takes the autoscaler's number back"
        yield target.finding("graph", words, ["spec", "replicas"])


def backends(resource, overlay):
    """Services behind Ingresses and routes exist and have the port."""
    for name, port, path in wanted_services(resource):
        service = overlay.find("Service", name, resource.namespace)
        if service is None:
            yield f"there is no Service {name}", [*path, "name"]
            continue
        have = service.content["spec"]["ports"]
        if port not in [each["port"] for each in have] + [each["name"] for each in have]:
            yield f"Service {name} has no port {port}", [
                *path,
                "port",
                "name" if isinstance(port, str) else "number",
            ]


def wanted_services(resource):
    """(name, name or number of the port, path)"""
    for index, rule in enumerate(resource.content["spec"].get("rules") or []):
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            service = path["backend"]["service"]
            place = ["spec", "rules", index, "http", "paths", number, "backend", "service"]
            yield service["name"], service["port"].get("name") or service["port"]["number"], place
        for number, backend in enumerate(rule.get("backendRefs") or []):
            yield backend["name"], backend.get("port"), ["spec", "rules", index, "backendRefs", number]


POD_CHECKS = (selector, volumes, images, probes, grace, resources_of)
CHECKS = {
    "Deployment": (*POD_CHECKS, rollout),
    "StatefulSet": (*POD_CHECKS, stateful),
    "DaemonSet": POD_CHECKS,
    "Service": (service,),
    "PodDisruptionBudget": (selects_pods,),
    "NetworkPolicy": (selects_pods, network),
    "HorizontalPodAutoscaler": (scaled,),
    "Ingress": (backends,),
    "GRPCRoute": (backends,),
    "HTTPRoute": (backends,),
}
