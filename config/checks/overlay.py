"""The resources of one overlay, to look things up."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


class Overlay:
    """All resources of one overlay."""

    def __init__(self, tree, found):
        self.tree, self.all = tree, found

    def of(self, *kinds):
        return [each for each in self.all if each.kind in kinds]

    def names(self, kind, namespace):
        return {each.name for each in self.of(kind) if each.namespace == namespace}

    def find(self, kind, name, namespace=""):
        """The resource, or None."""
        for each in self.of(kind):
            if (each.name, each.namespace) == (name, namespace):
                return each
        return None

    def pods(self, namespace):
        """Workloads of a namespace with their pod template's labels."""
        for each in self.of(*WORKLOADS):
            if each.namespace == namespace:
                yield each, pod_labels(each)

    def certificates(self, namespace):
        """The Secrets that cert-manager makes in a namespace."""
        for each in self.of("Certificate", "Ingress"):
            if each.namespace != namespace:
                continue
            if each.kind == "Certificate":
                yield each.content["spec"]["secretName"]
            elif "cert-manager.io/cluster-issuer" in (each.content["metadata"].get("annotations") or {}):
                yield from (tls["secretName"] for tls in each.content["spec"].get("tls") or [])


def pod_labels(workload):
    return workload.content["spec"]["template"]["metadata"].get("labels") or {}


def containers(workload):
    """Each container with its path."""
    base = ["spec", "template", "spec"]
    spec = workload.content["spec"]["template"]["spec"]
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or []):
            yield container, [*base, key, index]


def ports(workload):
    """{name: number} of all containers."""
    return {
        port.get("name", str(port["containerPort"])): port["containerPort"]
        for container, _ in containers(workload)
        for port in container.get("ports") or []
    }
