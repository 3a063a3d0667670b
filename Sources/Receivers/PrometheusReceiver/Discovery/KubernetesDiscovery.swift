internal import HTTP
internal import Logging
internal import NIOCore

/// `kubernetes_sd_configs` with role `pod`: lists the pods, then watches them.
///
/// The list is read page by page; then changes come one a line, from where the list ended. A watch that ends goes on from
/// the last version that was heard of; when the server does not have that any more (410 Gone), the list is read anew.
/// While the server is not there the targets stay as they are.
final class KubernetesDiscovery: Discovery {
    /// Pods of one page of the list: few enough that reading one holds up nobody.
    private static let pageSize = 100
    private static let requestTimeout = TimeAmount.seconds(30)
    /// What the server is asked to end a watch after, and how much longer it may take.
    private static let watchSeconds: Int64 = 300
    /// The longest line of a watch, which is one pod.
    private static let lineBytesMax = 4 << 20
    private static let pageBytesMax = 64 << 20
    private static let backoffMin = TimeAmount.seconds(1)
    private static let backoffMax = TimeAmount.seconds(30)
    /// Changes come in swarms; this long they are gathered.
    private static let gathering = TimeAmount.milliseconds(200)

    private let cluster: KubernetesCluster
    private let namespace: String?
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let client: ScrapeClient
    private var update: (([TargetGroup]) -> Void)?
    private var groups: [String: TargetGroup] = [:]
    /// Of a list that is being read.
    private var listed: [String: TargetGroup] = [:]
    private var version = ""
    private var timer: Scheduled<Void>?
    private var announcement: Scheduled<Void>?
    private var backoff = backoffMin
    private var isFailing = false
    private var call: HTTPClientCall?
    private var watchBegan = NIODeadline.distantPast
    private var line = ByteBuffer()
    /// Why the watch under way cannot go on.
    private var watchEnd: WatchEnd?

    private enum WatchEnd {
        /// The version is too old.
        case gone
        case failed(String)
    }

    init(_ cluster: KubernetesCluster, namespace: String?, eventLoop: any EventLoop, logger: Logger) {
        self.cluster = cluster
        self.namespace = namespace
        self.eventLoop = eventLoop
        var logger = logger
        logger[metadataKey: "api_server"] = "\(cluster.server.origin)"
        self.logger = logger
        client = ScrapeClient(
            origin: cluster.server.origin, config: cluster.client, tls: cluster.tls,
            responseBytesMax: Self.pageBytesMax, eventLoop: eventLoop, logger: logger)
    }

    func start(_ update: @escaping ([TargetGroup]) -> Void) {
        self.update = update
        list(from: nil)
    }

    func stop() {
        update = nil
        timer?.cancel()
        announcement?.cancel()
        call?.cancel()
        client.close()
    }

    // MARK: - List

    private func list(from token: String?) {
        guard update != nil else { return }
        if token == nil { listed = [:] }
        var parameters = [("limit", "\(Self.pageSize)")]
        if let token { parameters.append(("continue", token)) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        client.get(
            cluster.pods(in: namespace, parameters), headers: Self.headers,
            deadline: .now() + Self.requestTimeout
        ).whenComplete { bound.value.listed($0) }
    }

    private static let headers = [(name: "Accept", value: "application/json")]

    private func listed(_ result: Result<HTTPClientResponse, any Error>) {
        guard update != nil else { return }
        switch result {
        case .failure(let error): retry("\(error)")
        case .success(let response) where response.status == 410:
            // The list went on for longer than the server keeps its versions.
            retry("the list of pods is too old to be continued")
        case .success(let response) where response.status != 200:
            retry("the list of pods: HTTP status \(response.status)\(Self.hint(response.status))")
        case .success(let response):
            do throws(PodProblem) {
                try take(try PodList(response.body))
            } catch {
                retry("the list of pods: \(error)")
            }
        }
    }

    private func take(_ page: PodList) throws(PodProblem) {
        for group in page.groups { listed[group.source] = group }
        if !page.continuation.isEmpty { return list(from: page.continuation) }
        guard !page.version.isEmpty else { throw PodProblem("it has no resourceVersion") }
        version = page.version
        groups = listed
        listed = [:]
        recovered()
        announce(after: .zero)
        watch()
    }

    // MARK: - Watch

    private func watch() {
        guard update != nil else { return }
        line.clear()
        watchEnd = nil
        let parameters = [
            ("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
            ("timeoutSeconds", "\(Self.watchSeconds)"),
        ]
        let now = NIODeadline.now()
        watchBegan = now
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        client.stream(
            cluster.pods(in: namespace, parameters), headers: Self.headers,
            deadline: now + Self.requestTimeout,
            bodyDeadline: now + .seconds(Self.watchSeconds) + Self.requestTimeout,
            onHead: { bound.value.watching($0) }, onBytes: { bound.value.heard($0) },
            onCall: { bound.value.call = $0 }
        ).whenComplete { bound.value.watchEnded($0) }
    }

    private func watching(_ head: HTTPClientResponseHead) {
        switch head.status {
        case 200: recovered()
        case 410: watchEnd = .gone
        default: watchEnd = .failed("the watch of pods: HTTP status \(head.status)\(Self.hint(head.status))")
        }
    }

    /// - Returns: whether more is wanted.
    private func heard(_ bytes: ByteBuffer) -> Bool {
        guard update != nil, watchEnd == nil else { return false }
        var bytes = bytes
        while let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            line.writeImmutableBuffer(bytes.readSlice(length: end - bytes.readerIndex) ?? ByteBuffer())
            bytes.moveReaderIndex(forwardBy: 1)
            take(line)
            line.clear()
            guard watchEnd == nil else { return false }
        }
        guard line.readableBytes + bytes.readableBytes <= Self.lineBytesMax else {
            watchEnd = .failed("the watch of pods: a line of more than \(Self.lineBytesMax) bytes")
            return false
        }
        line.writeImmutableBuffer(bytes)
        return true
    }

    private func take(_ line: ByteBuffer) {
        guard line.readableBytesView.contains(where: { $0 > 0x20 }) else { return }
        let event: PodEvent
        do throws(PodProblem) {
            event = try PodEvent.read(line)
        } catch {
            watchEnd = .failed("the watch of pods: \(error)")
            return
        }
        if !event.version.isEmpty { version = event.version }
        switch event.kind {
        case .changed:
            guard let group = event.group, groups[group.source] != group else { return }
            groups[group.source] = group
            announce(after: Self.gathering)
        case .deleted:
            guard let group = event.group, groups.removeValue(forKey: group.source) != nil else { return }
            announce(after: Self.gathering)
        case .bookmark: break
        case .failed(let code, let message):
            watchEnd = code == 410 ? .gone : .failed("the watch of pods: \(code) \(message)")
        }
    }

    private func watchEnded(_ result: Result<Void, any Error>) {
        call = nil
        guard update != nil else { return }
        switch watchEnd {
        case .gone:
            version = ""
            after(Self.backoffMin) { $0.list(from: nil) }
        case .failed(let text): retry(text)
        case nil:
            if case .failure(let error) = result {
                retry("\(error)")
            } else {
                // A server that ends every watch at once is not asked in a circle.
                after(.now() - watchBegan < Self.backoffMin ? Self.backoffMin : .zero) { $0.watch() }
            }
        }
    }

    // MARK: - Backoff

    /// Tries again after a while, longer each time: watches on when there is a version to watch from.
    private func retry(_ problem: String) {
        if !isFailing {
            isFailing = true
            logger.warning(
                "Pods cannot be found. The targets stay as they are.", metadata: ["error": "\(problem)"])
        }
        let wait = backoff
        backoff = min(backoff + backoff, Self.backoffMax)
        after(wait) { discovery in
            if discovery.version.isEmpty { discovery.list(from: nil) } else { discovery.watch() }
        }
    }

    private func recovered() {
        backoff = Self.backoffMin
        guard isFailing else { return }
        isFailing = false
        logger.info("Pods are found again.")
    }

    private func after(_ wait: TimeAmount, _ body: @escaping (KubernetesDiscovery) -> Void) {
        let bound = NIOLoopBound((self, body), eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: wait) { bound.value.1(bound.value.0) }
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

    /// What to do about a refusal.
    private static func hint(_ status: Int) -> String {
        switch status {
        case 401: "; the token is not accepted: see authorization"
        case 403: "; the service account needs the verbs list and watch for pods"
        default: ""
        }
    }
}
