internal import HTTP
internal import Kubernetes
internal import Logging
internal import NIOCore

/// `kubernetes_sd_configs`: the targets of the objects that the API server tells of. While it is not there the targets stay
/// as they are.
final class KubernetesDiscovery: Discovery {
    private static let pageBytesMax = 64 << 20
    /// Changes come in swarms; this long they are gathered.
    private static let gathering = TimeAmount.milliseconds(200)

    private let cluster: KubernetesCluster
    private let namespace: String?
    private let eventLoop: any EventLoop
    private let logger: Logger
    /// Ends a watch.
    private var ends: [() -> Void] = []
    private var update: (([TargetGroup]) -> Void)?
    private var groups: [String: TargetGroup] = [:]
    private var announcement: Scheduled<Void>?
    /// Kinds whose list has not come.
    private var missing: Set<String> = []

    // For endpoints, by name within their namespace.
    private var endpoints: [String: ServiceEndpoints] = [:]
    private var services: [String: Service] = [:]
    private var pods: [String: (pod: Pod, group: TargetGroup)] = [:]
    /// Keys of `endpoints` whose targets may be others.
    private var changed: Set<String> = []

    init(_ cluster: KubernetesCluster, namespace: String?, eventLoop: any EventLoop, logger: Logger) {
        self.cluster = cluster
        self.namespace = namespace
        self.eventLoop = eventLoop
        var logger = logger
        logger[metadataKey: "api_server"] = "\(cluster.server.origin)"
        self.logger = logger
    }

    func start(_ update: @escaping ([TargetGroup]) -> Void) {
        self.update = update
        switch cluster.role {
        case .pod: watchTargets(Pod.self, .pod)
        case .node: watchTargets(Node.self, .node)
        case .service: watchTargets(Service.self, .service)
        case .endpoints, .endpointslice:
            watch(ServiceEndpoints.self, cluster.role) { $0.take(endpoints: $1) }
            watch(Service.self, .service) { $0.take(services: $1) }
            watch(Pod.self, .pod) { $0.take(pods: $1) }
        }
    }

    func stop() {
        update = nil
        announcement?.cancel()
        for end in ends { end() }
    }

    private func watch<Object: KubernetesObject>(
        _: Object.Type, _ role: KubernetesConfig.Role,
        _ take: @escaping (KubernetesDiscovery, KubernetesWatch<Object>.News) -> Void
    ) {
        let client = ScrapeClient(
            origin: cluster.server.origin, config: cluster.client, tls: cluster.tls,
            responseBytesMax: Self.pageBytesMax, eventLoop: eventLoop, logger: logger)
        let (cluster, namespace) = (cluster, namespace)
        let watch = KubernetesWatch<Object>(
            role.plural, client: client, eventLoop: eventLoop, logger: logger
        ) { cluster.list(role, in: namespace, $0) }
        missing.insert(role.plural)
        ends.append { watch.stop() }
        watch.start { [weak self] news in
            guard let self else { return }
            if case .listed = news { missing.remove(role.plural) }
            take(self, news)
        }
    }

    // MARK: - Objects that are targets by themselves

    private func watchTargets<Object: KubernetesObject & TargetObject>(
        _ type: Object.Type, _ role: KubernetesConfig.Role
    ) {
        watch(type, role) { discovery, news in
            switch news {
            case .listed(let objects):
                discovery.groups = Dictionary(
                    objects.map { $0.group }.map { ($0.source, $0) }, uniquingKeysWith: { _, last in last })
                discovery.announce(after: .zero)
            case .changed(let object): discovery.set(object.group)
            case .deleted(let object): discovery.remove(object.group.source)
            }
        }
    }

    private func set(_ group: TargetGroup) {
        guard groups[group.source] != group else { return }
        groups[group.source] = group
        announce(after: Self.gathering)
    }

    private func remove(_ source: String) {
        guard groups.removeValue(forKey: source) != nil else { return }
        announce(after: Self.gathering)
    }

    // MARK: - Endpoints, which are joined with their services and pods

    private static func key(_ metadata: ObjectMetadata) -> String { metadata.namespace + "/" + metadata.name }
    private static func key(_ pod: Pod) -> String { pod.namespace + "/" + pod.name }

    private func take(endpoints news: KubernetesWatch<ServiceEndpoints>.News) {
        switch news {
        case .listed(let all):
            changed.formUnion(endpoints.keys)
            endpoints = Dictionary(
                all.map { (Self.key($0.metadata), $0) }, uniquingKeysWith: { _, last in last })
            changed.formUnion(endpoints.keys)
        case .changed(let object):
            endpoints[Self.key(object.metadata)] = object
            changed.insert(Self.key(object.metadata))
        case .deleted(let object):
            endpoints[Self.key(object.metadata)] = nil
            changed.insert(Self.key(object.metadata))
        }
        announce(after: Self.gathering)
    }

    private func take(services news: KubernetesWatch<Service>.News) {
        switch news {
        case .listed(let all):
            services = Dictionary(
                all.map { (Self.key($0.metadata), $0) }, uniquingKeysWith: { _, last in last })
            changed.formUnion(endpoints.keys)
        case .changed(let service):
            services[Self.key(service.metadata)] = service
            affect {
                $0.service == service.metadata.name && $0.metadata.namespace == service.metadata.namespace
            }
        case .deleted(let service):
            services[Self.key(service.metadata)] = nil
            affect {
                $0.service == service.metadata.name && $0.metadata.namespace == service.metadata.namespace
            }
        }
        announce(after: Self.gathering)
    }

    private func take(pods news: KubernetesWatch<Pod>.News) {
        switch news {
        case .listed(let all):
            pods = Dictionary(
                all.map { (Self.key($0), ($0, $0.group)) }, uniquingKeysWith: { _, last in last })
            changed.formUnion(endpoints.keys)
        case .changed(let pod):
            // Most of what a pod says of itself is no label.
            let group = pod.group
            guard pods[Self.key(pod)]?.group != group else { return }
            pods[Self.key(pod)] = (pod, group)
            affect(pod)
        case .deleted(let pod):
            pods[Self.key(pod)] = nil
            affect(pod)
        }
        announce(after: Self.gathering)
    }

    private func affect(_ pod: Pod) {
        affect { endpoints in
            endpoints.metadata.namespace == pod.namespace
                && endpoints.subsets.contains { $0.addresses.contains { $0.targetName == pod.name } }
        }
    }

    private func affect(where isAffected: (ServiceEndpoints) -> Bool) {
        for (key, object) in endpoints where isAffected(object) { changed.insert(key) }
    }

    /// Makes the targets of endpoints that may be others.
    private func join() {
        let isSlice = cluster.role == .endpointslice
        let kind = isSlice ? "endpointslice/" : "endpoints/"
        for key in changed {
            guard let object = endpoints[key] else {
                groups[kind + key] = nil
                continue
            }
            let namespace = object.metadata.namespace
            groups[kind + key] = object.group(
                isSlice: isSlice, service: services[namespace + "/" + object.service]
            ) { [pods] in pods[namespace + "/" + $0]?.pod }
        }
        changed = []
    }

    // MARK: - Telling

    private func announce(after wait: TimeAmount) {
        // Half of what targets are made of would take their labels away for a moment.
        guard announcement == nil, missing.isEmpty else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        announcement = eventLoop.scheduleTask(in: wait) {
            let discovery = bound.value
            discovery.announcement = nil
            discovery.join()
            discovery.update?(Array(discovery.groups.values))
        }
    }
}

extension ScrapeClient: KubernetesTransport {}
