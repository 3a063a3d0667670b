internal import Kubernetes

extension Pod {
    private static let prefix = "__meta_kubernetes_"

    /// The pod as a group of targets: one for each port of each container, or one for a container without ports. A pod
    /// without an address has none.
    var group: TargetGroup {
        var group = TargetGroup(source: "pod/\(namespace)/\(name)", targets: [], labels: podLabels)
        guard !address.isEmpty else { return group }
        let host = address.contains(":") ? "[\(address)]" : address
        for container in containers {
            var labels = LabelSet()
            labels[Self.prefix + "pod_container_name"] = container.name
            labels[Self.prefix + "pod_container_image"] = container.image
            labels[Self.prefix + "pod_container_id"] = containerIDs[container.name] ?? ""
            labels[Self.prefix + "pod_container_init"] = container.isInit ? "true" : "false"
            guard !container.ports.isEmpty else {
                labels[Label.address] = host
                group.targets.append(labels)
                continue
            }
            for port in container.ports {
                var target = labels
                target[Label.address] = "\(host):\(port.number)"
                target[Self.prefix + "pod_container_port_name"] = port.name
                target[Self.prefix + "pod_container_port_number"] = port.number
                target[Self.prefix + "pod_container_port_protocol"] = port.transport
                group.targets.append(target)
            }
        }
        return group
    }

    private var podLabels: LabelSet {
        var set = LabelSet()
        let controller = metadata.owners.last { $0.isController }
        for (name, value) in [
            ("namespace", namespace), ("pod_name", name), ("pod_ip", address), ("pod_ready", ready),
            ("pod_phase", phase), ("pod_node_name", node), ("pod_host_ip", hostAddress),
            ("pod_uid", metadata.uid),
            ("pod_controller_kind", controller?.kind ?? ""), ("pod_controller_name", controller?.name ?? ""),
        ] {
            set[Self.prefix + name] = value
        }
        set.add(metadata, of: "pod")
        return set
    }

    /// A Kubernetes name as part of the name of a label.
    static func labelName(_ name: String) -> String {
        var bytes: [UInt8] = []
        for scalar in name.unicodeScalars {
            let isPlain = scalar.isASCII && SeriesText.isNameByte(UInt8(scalar.value), colons: false)
            bytes.append(isPlain ? UInt8(scalar.value) : UInt8(ascii: "_"))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
