"""Whether what a resource names is there: accounts, roles, gateways, listeners, certificates, policies; Argo CD's paths."""

import re

from .findings import Finding
from .overlay import WORKLOADS, containers
from .yaml_lines import documents, line_at

# Namespaces of others, in which the platform has Roles.
FOREIGN_NAMESPACES = {"kube-system"}


def references(resource, overlay):
    """(text, path) for each name that leads nowhere."""
    if resource.namespace and resource.namespace not in overlay.names("Namespace", "") | FOREIGN_NAMESPACES:
        yield f"there is no Namespace {resource.namespace}", ["metadata", "namespace"]
    if resource.kind in WORKLOADS:
        yield from account(resource, overlay)
    yield from REFERENCES.get(resource.kind, nothing)(resource, overlay)


def nothing(resource, overlay):
    return ()


def account(resource, overlay):
    """The service account, and what variables take from ConfigMaps."""
    name = resource.content["spec"]["template"]["spec"].get("serviceAccountName", "default")
    if name != "default" and overlay.find("ServiceAccount", name, resource.namespace) is None:
        yield f"there is no ServiceAccount {name}", ["spec", "template", "spec", "serviceAccountName"]
    for container, path in containers(resource):
        for index, variable in enumerate(container.get("env") or []):
            wanted = (variable.get("valueFrom") or {}).get("configMapKeyRef")
            if not wanted:
                continue
            source = overlay.find("ConfigMap", wanted["name"], resource.namespace)
            if source is None or wanted["key"] not in (source.content.get("data") or {}):
                yield f"there is no {wanted['key']} in a ConfigMap {wanted['name']}", [*path, "env", index]


def binding(resource, overlay):
    role = resource.content["roleRef"]
    namespace = resource.namespace if role["kind"] == "Role" else ""
    if overlay.find(role["kind"], role["name"], namespace) is None:
        yield f"there is no {role['kind']} {role['name']}", ["roleRef", "name"]
    for index, subject in enumerate(resource.content.get("subjects") or []):
        if subject["kind"] != "ServiceAccount":
            continue
        if overlay.find("ServiceAccount", subject["name"], subject["namespace"]) is None:
            words = f"there is no ServiceAccount {subject['name']} in {subject['namespace']}"
            yield words, ["subjects", index, "name"]


def admission_binding(resource, overlay):
    name = resource.content["spec"]["policyName"]
    if overlay.find("ValidatingAdmissionPolicy", name) is None:
        yield f"there is no ValidatingAdmissionPolicy {name}", ["spec", "policyName"]


def gateway(resource, overlay):
    """Its certificates are made."""
    made = set(overlay.certificates(resource.namespace))
    for index, listener in enumerate(resource.content["spec"]["listeners"]):
        for number, secret in enumerate((listener.get("tls") or {}).get("certificateRefs") or []):
            if secret["name"] not in made:
                path = ["spec", "listeners", index, "tls", "certificateRefs", number, "name"]
                yield f"nothing makes the certificate {secret['name']}", path


def route(resource, overlay):
    """Its gateway has the listener, for this kind of route and its hosts; a Service with TLS has its policy."""
    spec = resource.content["spec"]
    for index, parent in enumerate(spec["parentRefs"]):
        path = ["spec", "parentRefs", index]
        found = overlay.find("Gateway", parent["name"], parent.get("namespace", resource.namespace))
        if found is None:
            yield f"there is no Gateway {parent['name']}", [*path, "name"]
            continue
        listeners = {each["name"]: each for each in found.content["spec"]["listeners"]}
        listener = listeners.get(parent.get("sectionName"))
        if listener is None:
            yield f"{found} has no listener {parent.get('sectionName')}", [*path, "sectionName"]
            continue
        kinds = [each["kind"] for each in (listener.get("allowedRoutes") or {}).get("kinds") or []]
        if kinds and resource.kind not in kinds:
            yield f"the listener {listener['name']} takes {', '.join(kinds)} only", [*path, "sectionName"]
        for number, host in enumerate(spec.get("hostnames") or []):
            if listener.get("hostname", host) != host:
                words = f"the listener {listener['name']} is for {listener['hostname']}, not for {host}"
                yield words, ["spec", "hostnames", number]
    for index, rule in enumerate(spec["rules"]):
        for number, backend in enumerate(rule.get("backendRefs") or []):
            if speaks_tls(overlay, backend, resource.namespace) and not tls_policy(overlay, backend["name"]):
                words = f"Service {backend['name']} speaks TLS there; without a BackendTLSPolicy it gets plain text"
                yield words, ["spec", "rules", index, "backendRefs", number, "name"]


def speaks_tls(overlay, backend, namespace):
    service = overlay.find("Service", backend["name"], namespace)
    ports = service.content["spec"]["ports"] if service else []
    return any(port["port"] == backend.get("port") and port.get("appProtocol") == "https" for port in ports)


def tls_policy(overlay, service):
    return any(
        target["kind"] == "Service" and target["name"] == service
        for policy in overlay.of("BackendTLSPolicy")
        for target in policy.content["spec"]["targetRefs"]
    )


def targets(resource, overlay):
    """What a policy of the gateway is attached to."""
    for index, target in enumerate(resource.content["spec"]["targetRefs"]):
        if overlay.find(target["kind"], target["name"], resource.namespace) is None:
            yield f"there is no {target['kind']} {target['name']}", ["spec", "targetRefs", index, "name"]


REFERENCES = {
    "RoleBinding": binding,
    "ClusterRoleBinding": binding,
    "ValidatingAdmissionPolicyBinding": admission_binding,
    "Gateway": gateway,
    "GRPCRoute": route,
    "HTTPRoute": route,
    "BackendTrafficPolicy": targets,
    "BackendTLSPolicy": targets,
}


ADDRESS = re.compile(r"\b([a-z][a-z0-9-]*)\.(platform-0[123])(?:\.svc(?:\.[a-z.]+)?)?:(\d+)\b")
REPLICA = re.compile(r"\b[a-z-]+-\d+\.([a-z][a-z0-9-]*):(\d+)\b")


def addresses(tree, by_overlay):
    """NAME.NAMESPACE:PORT in any file, and REPLICA-0.NAME:PORT within a namespace: the Service is there, with that port."""
    services = {
        (each.name, each.namespace, port["port"])
        for overlay in by_overlay.values()
        for each in overlay.of("Service")
        for port in each.content["spec"]["ports"]
    }
    findings = []
    for path in tree.files("config/deploy/base/**/*.y*ml", "config/deploy/overlays/**/*.y*ml"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            wanted = [(name, space, int(port)) for name, space, port in ADDRESS.findall(line)]
            space = next((part for part in path.parts if part.startswith("platform-0")), "")
            wanted += [(name, space, int(port)) for name, port in REPLICA.findall(line)]
            for name, space, port in wanted:
                if (name, space, port) not in services:
                    words = f"there is no Service {name} with the port {port} in {space}"
                    findings.append(Finding(tree.name(path), number, "graph", words))
    return findings


def argocd(tree, by_overlay):
    """Applications: the path is an overlay, the project knows source, destination and every cluster-wide kind."""
    found = [
        (path, document)
        for path in tree.files("config/deploy/argocd/*.yaml")
        for document in documents(path.read_text())
    ]
    projects = {each["metadata"]["name"]: each["spec"] for _, each in found if each["kind"] == "AppProject"}
    findings = []
    for path, document in found:
        if document["kind"] != "Application":
            continue
        for words, place in application(document["spec"], projects, tree, by_overlay):
            findings.append(Finding(tree.name(path), line_at(document, place), "graph", words))
    return findings


def application(spec, projects, tree, by_overlay):
    folder = tree.path(spec["source"]["path"])
    if not (folder / "kustomization.yaml").is_file():
        yield f"there is no {spec['source']['path']}/kustomization.yaml", ["spec", "source", "path"]
        return
    project = projects.get(spec["project"])
    if project is None:
        yield f"there is no AppProject {spec['project']}", ["spec", "project"]
        return
    if spec["source"]["repoURL"] not in project["sourceRepos"]:
        yield f"the project does not take {spec['source']['repoURL']}", ["spec", "source", "repoURL"]
    if spec["destination"]["name"] not in [each["name"] for each in project["destinations"]]:
        yield f"the project does not go to {spec['destination']['name']}", ["spec", "destination", "name"]
    allowed = {(each["group"], each["kind"]) for each in project.get("clusterResourceWhitelist") or []}
    overlay = by_overlay.get(folder.name)
    for resource in overlay.all if overlay else []:
        group = resource.content["apiVersion"].rpartition("/")[0]
        if not resource.namespace and (group, resource.kind) not in allowed:
            yield f"the project does not allow {resource}, which has no namespace", ["spec", "project"]
    yield from ignored(spec, overlay)


def ignored(spec, overlay):
    """Replicas that an autoscaler owns are neither compared nor applied."""
    for scaler in overlay.of("HorizontalPodAutoscaler") if overlay else []:
        target = scaler.content["spec"]["scaleTargetRef"]
        entries = [
            each
            for each in spec.get("ignoreDifferences") or []
            if (each["kind"], each.get("name", target["name"])) == (target["kind"], target["name"])
            and "/spec/replicas" in (each.get("jsonPointers") or [])
        ]
        if not entries:
            words = f"{scaler} scales {target['kind']} {target['name']}: its /spec/replicas are to be ignored"
            yield words, ["spec", "ignoreDifferences"]
        if "RespectIgnoreDifferences=true" not in (spec["syncPolicy"].get("syncOptions") or []):
            yield "what is ignored is applied all the same without RespectIgnoreDifferences=true", [
                "spec",
                "syncPolicy",
                "syncOptions",
            ]
