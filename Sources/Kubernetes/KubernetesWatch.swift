package import HTTP
package import Logging
package import NIOCore

/// Lists objects of one kind, then watches them. Event loop only.
///
/// The list is read page by page; then changes come one a line, from where the list ended. A watch that ends goes on from
/// the last version that was heard of; when the server does not have that any more (410 Gone), the list is read anew.
/// While the server is not there nothing is told: what was heard of stays.
package final class KubernetesWatch<Object: KubernetesObject> {
    /// What was heard.
    package enum News {
        /// All objects that there are: those of the list.
        case listed([Object])
        case changed(Object)
        case deleted(Object)
    }

    /// Objects of one page of the list: few enough that reading one holds up nobody.
    private static var pageSize: Int { 100 }
    private static var requestTimeout: TimeAmount { .seconds(30) }
    /// What the server is asked to end a watch after, and how much longer it may take.
    private static var watchSeconds: Int64 { 300 }
    /// The longest line of a watch, which is one object.
    private static var lineBytesMax: Int { 4 << 20 }
    private static var backoffMin: TimeAmount { .seconds(1) }
    private static var backoffMax: TimeAmount { .seconds(30) }

    /// In the plural, for messages and the permissions in them.
    private let what: String
    private let url: ([(String, String)]) -> HTTPURL
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let client: any KubernetesTransport
    private var tell: ((News) -> Void)?
    /// Of a list that is being read.
    private var listed: [Object] = []
    private var version = ""
    private var timer: Scheduled<Void>?
    private var backoff = KubernetesWatch.backoffMin
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

    /// - Parameters:
    ///   - what: the kind in the plural, such as `pods`.
    ///   - url: the address of the list, with further parameters.
    ///   - client: closed when the watch stops.
    package init(
        _ what: String, client: any KubernetesTransport, eventLoop: any EventLoop, logger: Logger,
        url: @escaping ([(String, String)]) -> HTTPURL
    ) {
        self.what = what
        self.client = client
        self.url = url
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Begins; what is heard is told from now on.
    package func start(_ tell: @escaping (News) -> Void) {
        self.tell = tell
        list(from: nil)
    }

    /// Ends; nothing is told any more.
    package func stop() {
        tell = nil
        timer?.cancel()
        call?.cancel()
        client.close()
    }

    // MARK: - List

    private func list(from token: String?) {
        guard tell != nil else { return }
        if token == nil { listed = [] }
        var parameters = [("limit", "\(Self.pageSize)")]
        if let token { parameters.append(("continue", token)) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        client.get(url(parameters), headers: kubernetesHeaders, deadline: .now() + Self.requestTimeout)
            .whenComplete { bound.value.listed($0) }
    }

    private func listed(_ result: Result<HTTPClientResponse, any Error>) {
        guard tell != nil else { return }
        switch result {
        case .failure(let error): retry("\(error)")
        case .success(let response) where response.status == 410:
            // The list went on for longer than the server keeps its versions.
            retry("the list of \(what) is too old to be continued")
        case .success(let response) where response.status != 200:
            retry("the list of \(what): HTTP status \(response.status)\(hint(response.status))")
        case .success(let response):
            do throws(KubernetesProblem) {
                try take(try KubernetesPage(response.body))
            } catch {
                retry("the list of \(what): \(error)")
            }
        }
    }

    private func take(_ page: KubernetesPage<Object>) throws(KubernetesProblem) {
        listed += page.objects
        if !page.continuation.isEmpty { return list(from: page.continuation) }
        guard !page.version.isEmpty else { throw KubernetesProblem("it has no resourceVersion") }
        version = page.version
        let all = listed
        listed = []
        recovered()
        tell?(.listed(all))
        watch()
    }

    // MARK: - Watch

    private func watch() {
        guard tell != nil else { return }
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
            url(parameters), headers: kubernetesHeaders, deadline: now + Self.requestTimeout,
            bodyDeadline: now + .seconds(Self.watchSeconds) + Self.requestTimeout,
            onHead: { bound.value.watching($0) }, onBytes: { bound.value.heard($0) },
            onCall: { bound.value.call = $0 }
        ).whenComplete { bound.value.watchEnded($0) }
    }

    private func watching(_ head: HTTPClientResponseHead) {
        switch head.status {
        case 200: recovered()
        case 410: watchEnd = .gone
        default: watchEnd = .failed("the watch of \(what): HTTP status \(head.status)\(hint(head.status))")
        }
    }

    /// - Returns: whether more is wanted.
    private func heard(_ bytes: ByteBuffer) -> Bool {
        guard tell != nil, watchEnd == nil else { return false }
        var bytes = bytes
        while let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            line.writeImmutableBuffer(bytes.readSlice(length: end - bytes.readerIndex) ?? ByteBuffer())
            bytes.moveReaderIndex(forwardBy: 1)
            take(line)
            line.clear()
            guard watchEnd == nil else { return false }
        }
        guard line.readableBytes + bytes.readableBytes <= Self.lineBytesMax else {
            watchEnd = .failed("the watch of \(what): a line of more than \(Self.lineBytesMax) bytes")
            return false
        }
        line.writeImmutableBuffer(bytes)
        return true
    }

    private func take(_ line: ByteBuffer) {
        guard line.readableBytesView.contains(where: { $0 > 0x20 }) else { return }
        let event: KubernetesEvent<Object>
        do throws(KubernetesProblem) {
            event = try KubernetesEvent.read(line)
        } catch {
            watchEnd = .failed("the watch of \(what): \(error)")
            return
        }
        if !event.version.isEmpty { version = event.version }
        switch event.kind {
        case .changed: if let object = event.object { tell?(.changed(object)) }
        case .deleted: if let object = event.object { tell?(.deleted(object)) }
        case .bookmark: break
        case .failed(let code, let message):
            watchEnd = code == 410 ? .gone : .failed("the watch of \(what): \(code) \(message)")
        }
    }

    private func watchEnded(_ result: Result<Void, any Error>) {
        call = nil
        guard tell != nil else { return }
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
                "Kubernetes cannot be asked. What is known stays as it is.",
                metadata: ["kind": "\(what)", "error": "\(problem)"])
        }
        let wait = backoff
        backoff = min(backoff + backoff, Self.backoffMax)
        after(wait) { watch in
            if watch.version.isEmpty { watch.list(from: nil) } else { watch.watch() }
        }
    }

    private func recovered() {
        backoff = Self.backoffMin
        guard isFailing else { return }
        isFailing = false
        logger.info("Kubernetes answers again.", metadata: ["kind": "\(what)"])
    }

    private func after(_ wait: TimeAmount, _ body: @escaping (KubernetesWatch) -> Void) {
        let bound = NIOLoopBound((self, body), eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: wait) { bound.value.1(bound.value.0) }
    }

    /// What to do about a refusal.
    private func hint(_ status: Int) -> String {
        switch status {
        case 401: "; the token is not accepted: see authorization"
        case 403: "; the service account needs the verbs list and watch for \(what)"
        default: ""
        }
    }
}

private let kubernetesHeaders = [(name: "Accept", value: "application/json")]
