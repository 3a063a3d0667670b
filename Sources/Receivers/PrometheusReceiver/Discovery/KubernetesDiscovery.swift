internal import HTTP
internal import Kubernetes
internal import Logging
internal import NIOCore

/// `kubernetes_sd_configs` with role `pod`: the targets of the pods that the API server tells of. While it is not there the
/// targets stay as they are.
final class KubernetesDiscovery: Discovery {
    private static let pageBytesMax = 64 << 20
    /// Changes come in swarms; this long they are gathered.
    private static let gathering = TimeAmount.milliseconds(200)

    private let eventLoop: any EventLoop
    private let watch: KubernetesWatch<Pod>
    private var update: (([TargetGroup]) -> Void)?
    private var groups: [String: TargetGroup] = [:]
    private var announcement: Scheduled<Void>?

    init(_ cluster: KubernetesCluster, namespace: String?, eventLoop: any EventLoop, logger: Logger) {
        self.eventLoop = eventLoop
        var logger = logger
        logger[metadataKey: "api_server"] = "\(cluster.server.origin)"
        let client = ScrapeClient(
            origin: cluster.server.origin, config: cluster.client, tls: cluster.tls,
            responseBytesMax: Self.pageBytesMax, eventLoop: eventLoop, logger: logger)
        watch = KubernetesWatch("pods", client: client, eventLoop: eventLoop, logger: logger) {
            cluster.pods(in: namespace, $0)
        }
    }

    func start(_ update: @escaping ([TargetGroup]) -> Void) {
        self.update = update
        watch.start { [weak self] news in self?.take(news) }
    }

    func stop() {
        update = nil
        announcement?.cancel()
        watch.stop()
    }

    private func take(_ news: KubernetesWatch<Pod>.News) {
        switch news {
        case .listed(let pods):
            groups = Dictionary(
                pods.map { ($0.group.source, $0.group) }, uniquingKeysWith: { _, last in last })
            announce(after: .zero)
        case .changed(let pod):
            let group = pod.group
            guard groups[group.source] != group else { return }
            groups[group.source] = group
            announce(after: Self.gathering)
        case .deleted(let pod):
            guard groups.removeValue(forKey: pod.group.source) != nil else { return }
            announce(after: Self.gathering)
        }
    }

    private func announce(after wait: TimeAmount) {
        guard announcement == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        announcement = eventLoop.scheduleTask(in: wait) {
            let discovery = bound.value
            discovery.announcement = nil
            discovery.update?(Array(discovery.groups.values))
        }
    }
}

extension ScrapeClient: KubernetesTransport {}
