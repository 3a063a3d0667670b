internal import Logging
internal import NIOCore
package import OTLP
package import Pipeline
internal import Synchronization

/// `k8s_attributes`: finds the pod that sent a resource, and adds what is known of it. Any thread.
package final class KubernetesTransform: RequestTransform {
    private typealias Source = KubernetesAttributesConfig.Source

    private let associations: [[Source]]
    private let passesThrough: Bool
    private let setsAddress: Bool
    private let clusterUID: Bool
    private let cronJobUID: Bool
    private let setsContainerID: Bool
    private let index: PodIndex
    private let logger: Logger
    private let misses: Counter
    private let found: Counter
    private let notFound: Counter
    private let lastTold = Mutex<NIODeadline?>(nil)

    package init(_ config: KubernetesAttributesConfig, _ index: PodIndex, _ context: ComponentContext) {
        associations = config.associations
        passesThrough = config.passesThrough
        setsAddress = config.passesThrough || config.extraction.wants("k8s.pod.ip")
        clusterUID = config.extraction.wants("k8s.cluster.uid")
        cronJobUID = config.extraction.wants("k8s.cronjob.uid")
        setsContainerID = config.extraction.wants("container.id")
        self.index = index
        logger = context.logger
        misses = context.registry.counter(
            "otelcol_otelsvc_k8s_ip_lookup_miss", help: "Number of times pod by IP lookup failed.")
        func counter(_ status: String) -> Counter {
            context.registry.counter(
                "otelcol_k8s_pod_association", help: "Number of pod associations that succeeded or failed.",
                labels: ["status": status, "otel_signal": context.signal.name])
        }
        found = counter("success")
        notFound = counter("error")
    }

    package var changesItems: Bool { false }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        request.forEachResource { place in
            enrich(
                request, request.attributes(place.resource, Field.Resource.attributes), context.client?.host)
            return .keep
        }
    }

    private func enrich(_ request: RequestEditor, _ table: AttributeTable, _ client: String?) {
        let lookup = identifier(request, table, client)
        if let address = lookup?.address, setsAddress { Self.set(Names.podIP, address, request, table) }
        guard !passesThrough else { return }
        var pod: PodRecord?
        if let lookup {
            pod = index.pod(lookup.identifier)
            (pod == nil ? notFound : found).add(1)
            if pod == nil { missed(lookup) }
        }
        if let pod {
            Self.set(pod.attributes, request, table)
            addContainer(of: pod, request, table)
        }
        addRest(pod, request, table)
    }

    /// What is known of namespace, node and owners: the pod's, or those that the resource names itself.
    private func addRest(_ pod: PodRecord?, _ request: RequestEditor, _ table: AttributeTable) {
        func name(_ known: String?, _ key: OwnedBytes) -> String? {
            if let known, !known.isEmpty { return known }
            return Self.text(key, request, table)
        }
        if let namespace = name(pod?.namespace, Names.namespace), let record = index.namespace(namespace) {
            Self.set(record.attributes, request, table)
        }
        if clusterUID, let record = index.namespace("kube-system") {
            Self.set(Names.clusterUID, record.uid, request, table)
        }
        if let node = name(pod?.node, Names.node), let record = index.node(node) {
            Self.set(record.attributes, request, table)
        }
        var owners = pod?.owners ?? []
        for key in Names.ownerUIDs {
            if let uid = Self.text(key, request, table), !owners.contains(uid) { owners.append(uid) }
        }
        for uid in owners {
            guard let owner = index.owner(uid) else { continue }
            Self.set(owner.attributes, request, table)
            guard let above = owner.ownerUID else { continue }
            if let record = index.owner(above) {
                Self.set(record.attributes, request, table)
            } else if cronJobUID {
                Self.set(Names.cronJobUID, above, request, table)
            }
        }
    }

    // MARK: - Containers

    /// By name, by id, or the only one.
    private func addContainer(of pod: PodRecord, _ request: RequestEditor, _ table: AttributeTable) {
        let name = Self.text(Names.containerName, request, table)
        let id = Self.text(Names.containerID, request, table)
        let container: PodRecord.Container?
        if let name {
            container = pod.containers.first { $0.name == name }
        } else if let id {
            container = pod.containers.first { $0.instances.contains { $0.id == id } }
        } else {
            container = pod.containers.count == 1 ? pod.containers[0] : nil
        }
        guard let container else { return }
        Self.set(container.attributes, request, table)
        guard id == nil, setsContainerID, let instance = instance(of: container, request, table) else {
            return
        }
        Self.set(Names.containerID, instance.id, request, table)
    }

    /// That of the restart count that the resource has, else the latest.
    private func instance(
        of container: PodRecord.Container, _ request: RequestEditor, _ table: AttributeTable
    ) -> PodRecord.Container.Instance? {
        let restarts: Int?
        switch request.value(Names.restarts.bytes, in: table) {
        case .int(let count): restarts = Int(count)
        case .string(let text): restarts = Int(text.text)
        default: restarts = nil
        }
        if let restarts { return container.instances.first { $0.restarts == restarts } }
        return container.instances.max { $0.restarts < $1.restarts }
    }

    // MARK: - Identifiers

    private struct Lookup {
        let identifier: String
        /// The connection's address, if it is part of it.
        var address: String?
    }

    /// The first rule whose sources all have a value; there is no second try.
    private func identifier(_ request: RequestEditor, _ table: AttributeTable, _ client: String?) -> Lookup? {
        guard !associations.isEmpty else { return usualIdentifier(request, table, client) }
        for rule in associations {
            var identifier = ""
            var address: String?
            var isComplete = true
            for source in rule {
                let value: String?
                switch source {
                case .connection:
                    value = client
                    address = client
                case .resourceAttribute(let name):
                    let key = OwnedBytes(name)
                    value = withExtendedLifetime(key) { Self.text(key, request, table) }
                        .flatMap { name != "host.name" || Self.isAddress($0) ? $0 : nil }
                }
                guard let value else {
                    isComplete = false
                    break
                }
                identifier += Identifier.part(source, value)
            }
            if isComplete { return Lookup(identifier: identifier, address: address) }
        }
        return nil
    }

    /// Without rules: by address, from wherever there is one.
    private func usualIdentifier(_ request: RequestEditor, _ table: AttributeTable, _ client: String?)
        -> Lookup?
    {
        let address =
            Self.text(Names.podIP, request, table) ?? Self.text(Names.ip, request, table) ?? client
            ?? Self.text(Names.hostName, request, table).flatMap { Self.isAddress($0) ? $0 : nil }
        return address.map { Lookup(identifier: Identifier.part(.connection, $0), address: $0) }
    }

    private static func isAddress(_ text: String) -> Bool {
        (try? SocketAddress(ipAddress: text, port: 0)) != nil
    }

    /// Once a minute: nothing is added and nobody knows why is what people complain about most.
    private func missed(_ lookup: Lookup) {
        if lookup.address != nil { misses.add(1) }
        let isTold = lastTold.withLock { last in
            let now = NIODeadline.now()
            if let told = last, now - told < .minutes(1) { return true }
            last = now
            return false
        }
        guard !isTold else { return }
        logger.warning(
            "No pod is known for a resource. Nothing is added to it.",
            metadata: [
                "identifier": "\(lookup.identifier.split(separator: "\u{1F}").joined(separator: ", "))",
                "help": "see pod_association; an address may be that of a proxy or a node",
            ])
    }

    // MARK: - Attributes

    /// Attributes that are looked at.
    private enum Names {
        static let podIP = OwnedBytes("k8s.pod.ip")
        static let ip = OwnedBytes("ip")
        static let hostName = OwnedBytes("host.name")
        static let namespace = OwnedBytes("k8s.namespace.name")
        static let node = OwnedBytes("k8s.node.name")
        static let clusterUID = OwnedBytes("k8s.cluster.uid")
        static let cronJobUID = OwnedBytes("k8s.cronjob.uid")
        static let containerName = OwnedBytes("k8s.container.name")
        static let containerID = OwnedBytes("container.id")
        static let restarts = OwnedBytes("k8s.container.restart_count")
        static let ownerUIDs = ["deployment", "statefulset", "daemonset", "job", "replicaset"].map {
            OwnedBytes("k8s.\($0).uid")
        }
    }

    /// A text that is not empty.
    private static func text(_ key: OwnedBytes, _ request: RequestEditor, _ table: AttributeTable) -> String?
    {
        guard case .string(let text)? = request.value(key.bytes, in: table), text.count > 0 else {
            return nil
        }
        return text.text
    }

    private static func set(
        _ attributes: ClusterAttributes, _ request: RequestEditor, _ table: AttributeTable
    ) {
        attributes.show { key, value in
            if isFree(key, request, table) { request.set(key, to: value, in: table) }
        }
    }

    private static func set(
        _ key: OwnedBytes, _ text: String, _ request: RequestEditor, _ table: AttributeTable
    ) {
        guard isFree(key.bytes, request, table) else { return }
        request.set(key.bytes, to: .string(request.keep(text)), in: table)
    }

    /// What a resource says of itself stays, unless it is empty.
    private static func isFree(_ key: WireBytes, _ request: RequestEditor, _ table: AttributeTable) -> Bool {
        switch request.value(key, in: table) {
        case nil: true
        case .string(let text): text.count == 0
        default: false
        }
    }
}
