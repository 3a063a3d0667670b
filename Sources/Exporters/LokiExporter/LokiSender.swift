package import HTTP
package import Logging
package import NIOCore
internal import NIOPosix
internal import OTLP
package import Pipeline

/// Who carries a push to Loki. Event loop only.
protocol PushTransport: AnyObject {
    /// Fails with `HTTPClientError` only.
    func send(_ request: HTTPClientRequest, deadline: NIODeadline) -> EventLoopFuture<HTTPClientResponse>
    func close() -> EventLoopFuture<Void>
}

extension HTTPClient: PushTransport {}

/// Sends batches of logs to Loki's push endpoint: the last stage of `loki`. Event loop only.
///
/// A batch leaves as several pushes, one after the other, each encoded only when the one before was answered. What
/// was answered is never sent again: the sender remembers how far it got until the batch is done or abandoned.
package final class LokiSender: PartialBatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    let encoders: EncoderPool
    private let transport: any PushTransport
    let request: PushRequest
    private let timeout: TimeAmount
    let eventLoop: any EventLoop
    let counters: LokiCounters
    let logger: Logger
    /// Most bytes of a push before compression; less than configured after an answer of 413.
    var pushBytes: Int
    /// The configured size.
    private let pushBytesMax: Int
    private var deliveries: [ObjectIdentifier: Delivery] = [:]
    /// Kinds of rejections that the log has seen.
    private var reported: Set<String> = []
    private var isClosed = false
    /// Pushes that Loki has stored.
    private(set) var storedPushes: UInt64 = 0
    /// Whether the last push that was divided failed in every part, and nothing was stored since.
    var dividesInVain = false
    let dividesRefused: Bool
    private let auth: (any ClientAuthenticator)?

    /// Compressed pushes of all batches that wait for another attempt, in bytes; beyond, no batch that is in trouble
    /// adds to them.
    private let heldBytesMax: Int
    /// Smaller pushes are not made for an answer of 413.
    static let pushBytesMin = 16 << 10
    private static let reportsMax = 64

    /// - Parameters:
    ///   - name: the exporter's id, for metrics.
    ///   - version: of the gateway, for `User-Agent`.
    /// - Throws: the files of `tls` cannot be used.
    package convenience init(
        _ config: LokiConfig, name: String, version: String, registry: MetricRegistry,
        eventLoop: any EventLoop, auth: (any ClientAuthenticator)? = nil, logger: Logger
    ) throws(TLSProblem) {
        var options = HTTPClient.Options()
        options.connectionsMax = config.sendingQueue.numConsumers
        options.idleTimeout = TimeAmount(config.idleConnectionTimeout)
        options.keepsAlive = !config.disableKeepAlives
        let origin = config.url.origin
        options.proxy =
            config.proxy
            ?? ProxyEnvironment.process.proxy(
                host: origin.host, port: origin.port, isTLS: origin.scheme == .https)
        if config.url.origin.scheme == .https {
            options.tls = try ClientTLS(
                config.tls, protocols: HTTPClient.Options.protocols(http2: false), logger: logger)
        }
        let client = HTTPClient(
            origin: config.url.origin, options: options, eventLoop: eventLoop, logger: logger)
        self.init(
            config, transport: client, name: name, version: version, registry: registry,
            eventLoop: eventLoop, auth: auth, logger: logger)
    }

    init(
        _ config: LokiConfig, transport: any PushTransport, name: String, version: String,
        registry: MetricRegistry, eventLoop: any EventLoop, auth: (any ClientAuthenticator)? = nil,
        logger: Logger, heldBytesMax: Int = 32 << 20
    ) {
        self.auth = auth
        self.heldBytesMax = heldBytesMax
        encoders = EncoderPool(config.encoding)
        self.transport = transport
        request = PushRequest(config, version: version)
        timeout = TimeAmount(config.timeout)
        dividesRefused = config.sendingQueue.dividesRefused
        self.eventLoop = eventLoop
        self.logger = logger
        counters = LokiCounters(registry, exporter: name)
        pushBytes = config.encoding.pushBytes
        pushBytesMax = pushBytes
    }

    // MARK: - BatchSender

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        let delivery: Delivery
        if let known = deliveries[ObjectIdentifier(batch)] {
            delivery = known
        } else {
            delivery = Delivery(batch)
            deliveries[ObjectIdentifier(batch)] = delivery
        }
        delivery.begin(deadline: deadline, done)
        let bound = NIOLoopBound((self, delivery), eventLoop: eventLoop)
        eventLoop.execute {
            let (sender, delivery) = bound.value
            sender.goOn(delivery)
        }
    }

    /// Once for each kind.
    package var logsRejections: Bool { true }

    package func abandon(_ batch: Batch) -> Int {
        eventLoop.preconditionInEventLoop()
        guard let delivery = deliveries.removeValue(forKey: ObjectIdentifier(batch)) else { return 0 }
        delivery.isAbandoned = true
        return delivery.stored
    }

    package func close() -> EventLoopFuture<Void> {
        isClosed = true
        return transport.close()
    }

    // MARK: - One batch

    /// Does what is next: a push, a chunk, or the end of the attempt.
    func goOn(_ delivery: Delivery) {
        guard !delivery.isAbandoned else { return }
        if let push = delivery.nextPush() {
            send(push, delivery)
        } else if let cursor = delivery.cursor, mayEncode(delivery) {
            encode(delivery, from: cursor)
        } else {
            finish(delivery)
        }
    }

    private func mayEncode(_ delivery: Delivery) -> Bool {
        if delivery.isStopped || delivery.isInVain { return false }
        // Without trouble it holds nothing.
        return delivery.trouble == nil || deliveries.values.reduce(0) { $0 + $1.bytes } < heldBytesMax
    }

    private func encode(_ delivery: Delivery, from cursor: PushCursor) {
        let bound = NIOLoopBound((self, delivery), eventLoop: eventLoop)
        // Takes milliseconds: not on the loop.
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            [encoders, batch = delivery.batch, pushBytes] in
            encoders.encode(batch, from: cursor, pushBytes: pushBytes)
        }.whenComplete { result in
            let (sender, delivery) = bound.value
            switch result {
            case .success(let chunk):
                sender.counters.add(chunk.changes)
                delivery.take(chunk)
                sender.goOn(delivery)
            case .failure(let error):
                delivery.stop("the batch could not be encoded: \(error)", after: nil)
                sender.goOn(delivery)
            }
        }
    }

    private func send(_ push: Push, _ delivery: Delivery) {
        guard !isClosed else {
            delivery.hold(push)
            delivery.stop("the exporter was shut down", after: nil)
            return finish(delivery)
        }
        let ownDeadline = timeout > .zero ? eventLoop.now + timeout : .distantFuture
        let bound = NIOLoopBound((self, push, delivery), eventLoop: eventLoop)
        let edits: [HeaderEdit]
        do throws(ClientAuthenticationFault) {
            edits = try auth?.edits(for: delivery.batch) ?? []
        } catch {
            counters.rejected.add()
            settle(push, delivery, rejected: push.entries, error.message)
            report("auth", error.message, advice: "see the extension that \"auth\" names", push.entries)
            return goOn(delivery)
        }
        transport.send(request.make(push, edits), deadline: min(ownDeadline, delivery.deadline)).whenComplete
        {
            let (sender, push, delivery) = bound.value
            switch $0 {
            case .success(let response):
                let answer = LokiAnswer(response, to: push, path: sender.request.url.path)
                sender.answered(answer, status: response.status, push, delivery)
            case .failure(let error):
                sender.failed(error, push, delivery)
            }
        }
    }

    private func failed(_ error: any Error, _ push: Push, _ delivery: Delivery) {
        let message = "\(error)"
        if let error = error as? HTTPClientError, !error.isRetryable {
            counters.rejected.add()
            settle(push, delivery, rejected: push.entries, message)
            report("transport", message, advice: "check \"endpoint\"", push.entries)
        } else {
            counters.retried.add()
            delivery.hold(push)
            delivery.stop(message, after: nil)
        }
        goOn(delivery)
    }

    private func answered(_ answer: LokiAnswer, status: Int, _ push: Push, _ delivery: Delivery) {
        switch answer {
        case .stored:
            counters.stored.add()
            // Back to the configured size in small steps, in case the limit was raised, or not Loki's.
            pushBytes = min(pushBytesMax, pushBytes + pushBytes / 64)
            settle(push, delivery, rejected: 0, "")
        case .rejected(let entries, let message, let advice):
            (entries < push.entries ? counters.stored : counters.rejected).add()
            settle(push, delivery, rejected: entries, message)
            report("\(status) " + Self.kind(of: message), message, advice: advice, entries)
        case .retryable(let message, let after, let isTenants):
            counters.retried.add()
            delivery.hold(push)
            if isTenants {
                delivery.holdTenant(push.tenant, message, after: after)
            } else {
                delivery.stop(message, after: after)
            }
        case .failed(let message, let after, let mayRepeat):
            (mayRepeat ? counters.retried : counters.rejected).add()
            return failed(push, delivery, message, after: after, mayRepeat: mayRepeat)
        case .tooLarge(let message):
            counters.tooLarge.add()
            return split(push, delivery, message)
        }
        goOn(delivery)
    }

    /// Halves a push, and later ones with it.
    private func split(_ push: Push, _ delivery: Delivery, _ message: String) {
        // Of several pushes under way that are too large for the same reason, the first makes later ones smaller.
        let smaller = max(Self.pushBytesMin, min(pushBytes, push.plainBytes / 2))
        if push.entries > 1, smaller < pushBytes {
            pushBytes = smaller
            logger.warning(
                "Loki finds pushes too large. Sending smaller ones.",
                metadata: ["error": "\(message)", "bytes": "\(smaller)", "help": "lower max_push_bytes"])
        }
        halve(push, delivery) {
            self.settle(push, delivery, rejected: push.entries, message)
            self.report("413", message, advice: "one record alone is too large for it", push.entries)
        }
    }

    /// Puts the halves of a push in its place and goes on.
    /// - Parameter orElse: done instead when it has but one entry.
    func halve(_ push: Push, _ delivery: Delivery, orElse: @escaping () -> Void) {
        let bound = NIOLoopBound((self, delivery, orElse), eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            PushSplitter.halves(push)
        }.whenComplete { result in
            let (sender, delivery, orElse) = bound.value
            switch result {
            case .success(var halves?):
                for index in halves.indices { halves[index].family = push.family }
                push.family?.partsLeft += halves.count - 1
                delivery.prepend(halves)
            case .success(nil): orElse()
            case .failure(let error):
                delivery.hold(push)
                delivery.stop("the push could not be split: \(error)", after: nil)
            }
            sender.goOn(delivery)
        }
    }

    /// A push was answered for good.
    func settle(_ push: Push, _ delivery: Delivery, rejected: Int, _ message: String) {
        delivery.settle(push, rejected: rejected, message)
        if rejected < push.entries {
            storedPushes += 1
            dividesInVain = false
        }
        ended(push, delivery, isStored: rejected < push.entries)
    }

    private func finish(_ delivery: Delivery) {
        guard let done = delivery.end() else { return }
        guard delivery.isComplete else {
            let trouble = delivery.trouble ?? "the push was not sent"
            // Of tenants without room only: that others' pushes are taken is no reason to come back sooner.
            done(
                delivery.isStopped
                    ? .retryable(trouble, after: delivery.retryAfter)
                    : .throttled(trouble, after: delivery.retryAfter))
            return
        }
        deliveries[ObjectIdentifier(delivery.batch)] = nil
        if delivery.stored == 0, delivery.rejected > 0 {
            done(.permanent(delivery.rejection))
        } else {
            done(.sent(rejectedItems: delivery.rejected, message: delivery.rejection))
        }
    }

    // MARK: - Rejections

    /// Says in the log what Loki rejects, once for each kind; the counters say how much of it there is.
    func report(
        _ kind: String, _ message: String, advice: String?, _ entries: Int, _ more: Logger.Metadata = [:]
    ) {
        guard reported.count < Self.reportsMax, reported.insert(kind).inserted else { return }
        var metadata = more
        metadata["error"] = "\(message)"
        metadata["entries"] = "\(entries)"
        if let advice { metadata["help"] = "\(advice)" }
        logger.error("Loki rejects entries. Further ones of this kind are counted only.", metadata: metadata)
    }

    /// What distinguishes the texts of rejections, which name times and streams.
    private static func kind(of message: String) -> String {
        let phrases = [
            "too far behind", "out of order", "timestamp too old", "timestamp too new",
            "max entry size", "maximum size", "label names", "label name", "label value", "invalid labels",
            "structured metadata", "at least one label", "stream limit", "blocked",
        ]
        return phrases.first { message.contains($0) } ?? ""
    }
}
