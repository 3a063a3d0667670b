internal import HTTP
package import Kubernetes
internal import Logging
package import NIOCore
package import Pipeline

/// Keeps an index of the cluster up to date: lists and watches pods, and whatever else is asked for. One for all pipelines
/// that name the processor.
package final class KubernetesInformer: Component, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    package let index = PodIndex()

    private let config: KubernetesAttributesConfig
    private let extractor: Extractor
    private let account: KubernetesAccount?
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let added: Counter
    private let updated: Counter
    private let deleted: Counter

    // Event loop only.
    private var stops: [() -> Void] = []
    private var missing = 0
    private var isSynced: EventLoopPromise<Void>?
    private var removals: [String: Scheduled<Void>] = [:]

    /// - Parameter account: the API server; nil: that of the cluster which the process runs in.
    package init(
        _ config: KubernetesAttributesConfig, _ context: ComponentContext, account: KubernetesAccount? = nil
    ) throws {
        self.config = config
        extractor = try Extractor(config)
        eventLoop = context.eventLoop
        logger = context.logger
        let found = account ?? KubernetesAccount(variable: Environment.variable)
        if let found, config.authentication == .none, account == nil {
            self.account = KubernetesAccount(origin: found.origin, authorityPath: found.authorityPath)
        } else {
            self.account = found
        }
        func counter(_ name: String, _ help: String) -> Counter {
            context.registry.counter("otelcol_otelsvc_k8s_\(name)", help: help)
        }
        added = counter("pod_added", "Number of pod add events received")
        updated = counter("pod_updated", "Number of pod update events received")
        deleted = counter("pod_deleted", "Number of pod delete events received")
        let index = index
        let size = context.registry.gauge(
            "otelcol_otelsvc_k8s_pod_table_size", help: "Size of table containing pod info")
        context.registry.addCollector { _ in size.set(index.tableSize) }
    }

    package func start() async throws {
        guard !config.passesThrough else { return }
        guard let account else {
            throw ComponentError(
                "the process runs in no cluster (KUBERNETES_SERVICE_HOST is not set); set passthrough: true to do "
                    + "without the API server")
        }
        let synced = try await eventLoop.submit { try self.begin(account) }.get()
        guard config.waits else { return }
        let limit = config.waitTimeout
        let timer = eventLoop.scheduleTask(in: TimeAmount(limit)) {
            self.isSynced?.fail(
                ComponentError(
                    "the cluster's objects were not read within wait_for_metadata_timeout (\(limit))"))
            self.isSynced = nil
        }
        defer { timer.cancel() }
        try await synced.get()
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        _ = try? await eventLoop.submit {
            for stop in self.stops { stop() }
            self.stops = []
            for removal in self.removals.values { removal.cancel() }
            self.removals = [:]
            self.isSynced?.succeed()
            self.isSynced = nil
        }.get()
        return Remainder()
    }

    // MARK: - Watches

    private func begin(_ account: KubernetesAccount) throws -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        isSynced = promise
        let extraction = config.extraction
        try watch(PodObject.self, "pods", "/api/v1", account, selectors: podSelectors) { $0.take($1) }
        let names: (String, ClusterObject) -> Void = { [index, extractor] _, object in
            index.setNamespace(object.metadata.name, extractor.record(object, .namespace))
        }
        if extraction.needs(.namespace) || extraction.wants("k8s.cluster.uid") {
            try watchObjects("namespaces", "/api/v1", account, set: names) { [index] in
                index.setNamespace($0.metadata.name, nil)
            }
        }
        if extraction.needs(.node) || extraction.wants("k8s.node.uid") {
            let selectors =
                config.filter.node.isEmpty ? [] : [("fieldSelector", "metadata.name=\(config.filter.node)")]
            try watchObjects("nodes", "/api/v1", account, selectors: selectors) {
                [index, extractor] _, object in
                index.setNode(object.metadata.name, extractor.record(object, .node, uidName: "k8s.node.uid"))
            } remove: { [index] in
                index.setNode($0.metadata.name, nil)
            }
        }
        try watchOwners(account)
        return promise.futureResult
    }

    /// What owns pods, where it is needed.
    private func watchOwners(_ account: KubernetesAccount) throws {
        let extraction = config.extraction
        typealias Kind = (
            name: String, path: String, kind: ExtractionConfig.Kind?, uidName: String?, isNeeded: Bool
        )
        let kinds: [Kind] = [
            (
                "replicasets", "/apis/apps/v1", .replicaset, nil,
                extraction.wants("k8s.deployment.uid") || extraction.needs(.deployment)
                    || extraction.needs(.replicaset)
            ),
            (
                "deployments", "/apis/apps/v1", .deployment, "k8s.deployment.uid",
                extraction.needs(.deployment) || extraction.wants("k8s.deployment.uid")
            ),
            ("statefulsets", "/apis/apps/v1", .statefulset, nil, extraction.needs(.statefulset)),
            ("daemonsets", "/apis/apps/v1", .daemonset, nil, extraction.needs(.daemonset)),
            (
                "jobs", "/apis/batch/v1", .job, nil,
                extraction.needs(.job) || extraction.wants("k8s.cronjob.uid")
            ),
        ]
        for kind in kinds where kind.isNeeded {
            try watchObjects(kind.name, kind.path, account) { [index, extractor] _, object in
                index.setOwner(
                    object.metadata.uid, extractor.record(object, kind.kind, uidName: kind.uidName))
            } remove: { [index] in
                index.setOwner($0.metadata.uid, nil)
            }
        }
    }

    private func watchObjects(
        _ name: String, _ path: String, _ account: KubernetesAccount, selectors: [(String, String)] = [],
        set: @escaping (String, ClusterObject) -> Void, remove: @escaping (ClusterObject) -> Void
    ) throws {
        try watch(ClusterObject.self, name, path, account, selectors: selectors) { _, news in
            switch news {
            case .listed(let objects): for object in objects { set(name, object) }
            case .changed(let object): set(name, object)
            case .deleted(let object): remove(object)
            }
        }
    }

    private func watch<Object: KubernetesObject>(
        _: Object.Type, _ name: String, _ path: String, _ account: KubernetesAccount,
        selectors: [(String, String)],
        _ take: @escaping (KubernetesInformer, KubernetesWatch<Object>.News) -> Void
    ) throws {
        eventLoop.preconditionInEventLoop()
        let isGlobal = name == "namespaces" || name == "nodes"
        let namespace = config.filter.namespace
        let scope = namespace.isEmpty || isGlobal ? "" : "namespaces/\(namespace)/"
        let transport = try AccountTransport(account, eventLoop: eventLoop, logger: logger)
        let watch = KubernetesWatch<Object>(name, client: transport, eventLoop: eventLoop, logger: logger) {
            parameters in
            let query = (parameters + selectors).map { "\($0.0)=\(Self.escaped($0.1))" }.joined(
                separator: "&")
            return HTTPURL(origin: account.origin, target: "\(path)/\(scope)\(name)?\(query)")
        }
        missing += 1
        var isListed = false
        watch.start { [weak self] news in
            guard let self else { return }
            take(self, news)
            if case .listed = news, !isListed {
                isListed = true
                listed()
            }
        }
        stops.append { watch.stop() }
    }

    private func listed() {
        missing -= 1
        guard missing == 0 else { return }
        isSynced?.succeed()
        isSynced = nil
        // The lists, which end with this turn, were many times as large as what is kept of them.
        eventLoop.execute { ResidentSize.giveBackFreedSoon() }
        logger.info("The cluster's objects were read.", metadata: ["identifiers": "\(index.tableSize)"])
    }

    private var podSelectors: [(String, String)] {
        let filter = config.filter
        let node = filter.node.isEmpty ? [] : ["spec.nodeName=\(filter.node)"]
        let fields = node + filter.fields
        return (fields.isEmpty ? [] : [("fieldSelector", fields.joined(separator: ","))])
            + (filter.labels.isEmpty ? [] : [("labelSelector", filter.labels.joined(separator: ","))])
    }

    /// For a query (RFC 3986 section 2.3).
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default: escaped += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return escaped
    }

    // MARK: - Pods

    private func take(_ news: KubernetesWatch<PodObject>.News) {
        switch news {
        case .listed(let pods):
            index.keepOnly(Set(pods.map(\.metadata.uid)))
            for pod in pods { set(pod) }
        case .changed(let pod): set(pod)
        case .deleted(let pod):
            deleted.add(1)
            leave(pod.metadata.uid)
        }
    }

    private func set(_ pod: PodObject) {
        guard !pod.metadata.uid.isEmpty, !extractor.ignores(pod) else { return }
        removals.removeValue(forKey: pod.metadata.uid)?.cancel()
        (index.set(extractor.record(pod)) ? added : updated).add(1)
    }

    /// Forgets a deleted pod after the grace period: what it sent may still be on its way.
    private func leave(_ uid: String) {
        guard index.leave(uid) else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        removals[uid] = eventLoop.scheduleTask(in: TimeAmount(config.gracePeriod)) {
            bound.value.removals[uid] = nil
            bound.value.index.remove(uid)
        }
    }
}
