"""NetworkPolicies, both ways: what one side lets out, the other lets in, between pods that are there."""

from .overlay import WORKLOADS, pod_labels, ports

NAME = "kubernetes.io/metadata.name"


def network(policy, overlay):
    """Peers of a policy among the platform's own pods exist, have the port, and have a policy of theirs that fits."""
    subjects = [each for each in overlay.of(*WORKLOADS) if selected(policy, each)]
    for direction, key in (("egress", "to"), ("ingress", "from")):
        for index, rule in enumerate(policy.content["spec"].get(direction) or []):
            for number, peer in enumerate(rule.get(key) or []):
                path = ["spec", direction, index, key, number]
                peers = own_pods(peer, policy, overlay)
                if peers is None:
                    continue
                if not peers:
                    yield f"{direction} {words_of(peer)} matches no pods", path
                yield from one_way(
                    policy, overlay, direction, subjects, peers, rule, ["spec", direction, index]
                )


def one_way(policy, overlay, direction, subjects, peers, rule, path):
    """Each port of a rule: the destination has it, and the other side's policies admit it, too."""
    out = direction == "egress"
    for number, port in enumerate(rule.get("ports") or []):
        place = [*path, "ports", number, "port"]
        served = False
        for source, target in ((s, p) if out else (p, s) for s in subjects for p in peers):
            have = ports(target)
            value = have.get(port["port"]) if isinstance(port["port"], str) else port["port"]
            if value not in have.values():
                continue
            served = True
            other, subject, peer = ("ingress", target, source) if out else ("egress", source, target)
            if not admitted(overlay, other, subject, peer, target, value, port.get("protocol", "TCP")):
                yield (
                    f"{source.name} → {target.name}:{value} is let {'out' if out else 'in'} here, and no policy of "
                    f"{subject.namespace} lets it {'in' if out else 'out'}"
                ), place
        if peers and subjects and not served:
            yield f"port {port['port']} is not a port of {', '.join(sorted({each.name for each in (peers if out else subjects)}))}", place


def admitted(overlay, direction, subject, peer, target, value, protocol):
    """Whether a policy of the subject's namespace lets it talk with the peer at the target's port."""
    key = "from" if direction == "ingress" else "to"
    for policy in overlay.of("NetworkPolicy"):
        if not selected(policy, subject):
            continue
        for rule in policy.content["spec"].get(direction) or []:
            wanted = rule.get("ports")
            fits = not wanted or any(
                each.get("protocol", "TCP") == protocol
                and value
                == (ports(target).get(each["port"]) if isinstance(each["port"], str) else each["port"])
                for each in wanted
            )
            sides = rule.get(key)
            if fits and (not sides or any(peer in (own_pods(each, policy, overlay) or []) for each in sides)):
                return True
    return False


def selected(policy, workload):
    wanted = (policy.content["spec"].get("podSelector") or {}).get("matchLabels") or {}
    return policy.namespace == workload.namespace and wanted.items() <= pod_labels(workload).items()


def own_pods(peer, policy, overlay):
    """The platform's workloads that a peer means; None for addresses and for namespaces that are not the platform's."""
    if "ipBlock" in peer:
        return None
    if "namespaceSelector" in peer:
        wanted = (peer["namespaceSelector"] or {}).get("matchLabels") or {}
        spaces = {
            each.name
            for each in overlay.of("Namespace")
            if wanted.items() <= {NAME: each.name, **(each.content["metadata"].get("labels") or {})}.items()
        }
        if not spaces:
            return None
    else:
        spaces = {policy.namespace}
    labels = (peer.get("podSelector") or {}).get("matchLabels") or {}
    return [
        each
        for each in overlay.of(*WORKLOADS)
        if each.namespace in spaces and labels.items() <= pod_labels(each).items()
    ]


def words_of(peer):
    parts = [
        f"{key} {(peer[key] or {}).get('matchLabels')}"
        for key in ("namespaceSelector", "podSelector")
        if key in peer
    ]
    return " and ".join(parts)
