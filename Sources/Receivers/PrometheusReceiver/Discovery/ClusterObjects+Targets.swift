internal import Kubernetes

/// An object that is a group of targets by itself.
protocol TargetObject {
    var group: TargetGroup { get }
}

extension Pod: TargetObject {}

extension LabelSet {
    static let kubernetesPrefix = "__meta_kubernetes_"

    /// Labels and annotations of an object, and that they are there.
    mutating func add(_ metadata: ObjectMetadata, of kind: String) {
        add(metadata.labels, "label", of: kind)
        add(metadata.annotations, "annotation", of: kind)
    }

    private mutating func add(_ entries: [(key: String, value: String)], _ word: String, of kind: String) {
        for entry in entries {
            let name = Pod.labelName(entry.key)
            self["\(Self.kubernetesPrefix)\(kind)_\(word)_\(name)"] = entry.value
            self["\(Self.kubernetesPrefix)\(kind)_\(word)present_\(name)"] = "true"
        }
    }

    /// Sets a label of Kubernetes'.
    mutating func meta(_ name: String, _ value: String) { self[Self.kubernetesPrefix + name] = value }
}

/// `host:port`, of an IPv6 address in brackets.
private func joined(_ host: String, _ port: String) -> String {
    (host.contains(":") ? "[\(host)]" : host) + (port.isEmpty ? "" : ":" + port)
}

extension Node: TargetObject {
    private static let preferred = [
        "InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname",
    ]

    /// The node as one target: its kubelet. A node without an address has none.
    var group: TargetGroup {
        var group = TargetGroup(source: "node/\(metadata.name)", targets: [])
        group.labels.meta("node_name", metadata.name)
        group.labels.meta("node_provider_id", providerID)
        group.labels.add(metadata, of: "node")
        var target = LabelSet()
        for (type, address) in addresses.reversed() {
            target.meta("node_address_" + Pod.labelName(type), address)
        }
        let first = Self.preferred.lazy.compactMap { wanted in addresses.first { $0.type == wanted } }.first
        guard let host = first?.address else { return group }
        target[Label.address] = joined(host, kubeletPort)
        target["instance"] = metadata.name
        group.targets = [target]
        return group
    }
}

extension Service: TargetObject {
    /// The service as a target for each of its ports, by its name.
    var group: TargetGroup {
        var group = TargetGroup(
            source: "svc/\(metadata.namespace)/\(metadata.name)", targets: [], labels: labels)
        group.targets = ports.map { port in
            var target = LabelSet()
            target[Label.address] = "\(metadata.name).\(metadata.namespace).svc:\(port.number)"
            target.meta("service_port_name", port.name)
            target.meta("service_port_number", port.number)
            target.meta("service_port_protocol", port.transport)
            target.meta("service_type", type)
            target.meta(
                type == "ExternalName" ? "service_external_name" : "service_cluster_ip",
                type == "ExternalName" ? externalName : clusterAddress)
            target.meta("service_loadbalancer_ip", loadBalancerAddress)
            return target
        }
        return group
    }

    /// What its endpoints have in common with it.
    var labels: LabelSet {
        var labels = LabelSet()
        labels.meta("namespace", metadata.namespace)
        labels.meta("service_name", metadata.name)
        labels.add(metadata, of: "service")
        return labels
    }
}

extension ServiceEndpoints {
    /// Each address and port as a target, with what is known of its service and pod; then the ports of the pods' containers
    /// that are no endpoints.
    func group(isSlice: Bool, service: Service?, pod: (String) -> Pod?) -> TargetGroup {
        let kind = isSlice ? "endpointslice" : "endpoints"
        var group = TargetGroup(
            source: "\(kind)/\(metadata.namespace)/\(metadata.name)", targets: [],
            labels: service?.labels ?? LabelSet())
        group.labels.meta("namespace", metadata.namespace)
        group.labels.meta(kind + "_name", metadata.name)
        if isSlice { group.labels.meta("endpointslice_address_type", addressType) }
        group.labels.add(metadata, of: kind)
        var served: [String: (pod: Pod, ports: Set<String>)] = [:]
        for subset in subsets {
            for endpoint in subset.addresses {
                let pod = endpoint.targetKind == "Pod" ? pod(endpoint.targetName) : nil
                if let pod, served[pod.name] == nil { served[pod.name] = (pod, []) }
                for address in endpoint.addresses {
                    for port in subset.ports {
                        var target = isSlice ? endpoint.sliceLabels(port) : endpoint.labels(port)
                        target[Label.address] = joined(address, port.number)
                        if let pod {
                            target.add(pod, port: port.number)
                            served[pod.name]?.ports.insert(port.number)
                        }
                        group.targets.append(target)
                    }
                }
            }
        }
        for (_, (pod, ports)) in served.sorted(by: { $0.key < $1.key }) {
            let own = pod.group
            for target in own.targets {
                let number = target[LabelSet.kubernetesPrefix + "pod_container_port_number"]
                guard !number.isEmpty, !ports.contains(number) else { continue }
                var target = target
                for label in own.labels.labels { target[label.name] = label.value }
                group.targets.append(target)
            }
        }
        return group
    }
}

extension ServiceEndpoints.Address {
    fileprivate func labels(_ port: ServicePort) -> LabelSet {
        var target = LabelSet()
        target.meta("endpoint_port_name", port.name)
        target.meta("endpoint_port_protocol", port.transport)
        target.meta("endpoint_ready", isReady ? "true" : "false")
        target.meta("endpoint_address_target_kind", targetKind)
        target.meta("endpoint_address_target_name", targetName)
        target.meta("endpoint_node_name", node)
        target.meta("endpoint_hostname", hostName)
        return target
    }

    fileprivate func sliceLabels(_ port: ServicePort) -> LabelSet {
        var target = LabelSet()
        target.meta("endpointslice_port_name", port.name)
        target.meta("endpointslice_port_protocol", port.transport)
        target.meta("endpointslice_port", port.number)
        target.meta("endpointslice_port_app_protocol", port.application)
        target.meta("endpointslice_address_target_kind", targetKind)
        target.meta("endpointslice_address_target_name", targetName)
        target.meta("endpointslice_endpoint_node_name", node)
        target.meta("endpointslice_endpoint_hostname", hostName)
        target.meta("endpointslice_endpoint_zone", zone)
        for condition in conditions {
            target.meta("endpointslice_endpoint_conditions_" + condition.name, condition.value)
        }
        return target
    }
}

extension LabelSet {
    /// What a pod says of itself and of its container with a port.
    fileprivate mutating func add(_ pod: Pod, port: String) {
        let own = pod.group
        for label in own.labels.labels { self[label.name] = label.value }
        let name = Self.kubernetesPrefix + "pod_container_port_number"
        guard let container = own.targets.first(where: { $0[name] == port }) else { return }
        for label in container.labels where label.name != Label.address { self[label.name] = label.value }
    }
}
