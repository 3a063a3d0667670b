internal import Configuration
internal import HTTP
internal import Logging
package import NIOCore
internal import NIOPosix
package import Pipeline

/// Sends batches of metrics to a remote write endpoint, the requests of a batch one after the other: the last stage of
/// `prometheusremotewrite`. Event loop only.
///
/// What was answered is never sent again: the sender remembers how far it got until the batch is done or abandoned.
package final class RemoteWriteSender: PartialBatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.

    /// How far one batch got.
    private final class Delivery {
        let batch: Batch
        /// nil until it was encoded.
        var waiting: CircularBuffer<WriteRequest>?
        var stored = 0
        var rejected = 0
        var rejection = ""
        var isAbandoned = false
        var done: ((SendResult) -> Void)?
        var deadline = NIODeadline.distantFuture

        init(_ batch: Batch) { self.batch = batch }
    }

    private let encoder: RemoteWriteEncoder
    private let client: HTTPClient
    private let target: String
    private let headers: [(name: String, value: String)]
    private let auth: (any ClientAuthenticator)?
    private let timeout: TimeAmount
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let failedTranslations: Counter
    private let translatedSeries: Counter
    private let sentBatches: Counter
    private var deliveries: [ObjectIdentifier: Delivery] = [:]
    private var reported: Set<String> = []

    private static let reserved = [
        "content-encoding", "content-type", "x-prometheus-remote-write-version", "user-agent",
    ]
    private static let reportsMax = 64

    init(_ config: RemoteWriteConfig, _ context: ComponentContext) throws {
        eventLoop = context.eventLoop
        logger = context.logger
        encoder = RemoteWriteEncoder(config.encoding, requestBytesMax: config.batchBytesMax)
        timeout = TimeAmount(config.timeout)
        target = config.url.target
        var options = HTTPClient.Options()
        options.connectionsMax = 1
        let origin = config.url.origin
        options.proxy =
            config.proxy
            ?? ProxyEnvironment.process.proxy(
                host: origin.host, port: origin.port, isTLS: origin.scheme == .https)
        if config.url.origin.scheme == .https {
            options.tls = try ClientTLS(
                config.tls, protocols: HTTPClient.Options.protocols(http2: false), logger: logger)
        }
        client = HTTPClient(
            origin: config.url.origin, options: options, eventLoop: eventLoop, logger: logger)
        var headers = [
            ("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
            ("User-Agent", "sluice/\(context.gateway.version)"),
        ].map { (name: $0.0, value: $0.1) }
        for pair in config.headers where !Self.reserved.contains(pair.name.lowercased()) {
            headers.append((pair.name, pair.value.value))
        }
        if let basic = config.url.basicAuthorization,
            !config.headers.contains(where: { $0.name.lowercased() == "authorization" })
        {
            headers.append(("Authorization", basic))
        }
        self.headers = headers
        auth = context.authenticator(config.auth)
        let registry = context.registry
        let labels: MetricLabels = ["exporter": context.name]
        failedTranslations = registry.counter(
            "otelcol_exporter_prometheusremotewrite_failed_translations",
            help: "Data points that remote write cannot carry.", labels: labels)
        translatedSeries = registry.counter(
            "otelcol_exporter_prometheusremotewrite_translated_time_series",
            help: "Series of the requests that were made.", labels: labels)
        sentBatches = registry.counter(
            "otelcol_exporter_prometheusremotewrite_sent_batches", help: "Requests that were stored.",
            labels: labels)
    }

    // MARK: - BatchSender

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        let delivery = deliveries[ObjectIdentifier(batch)] ?? Delivery(batch)
        deliveries[ObjectIdentifier(batch)] = delivery
        delivery.done = done
        delivery.deadline = deadline
        let bound = NIOLoopBound((self, delivery), eventLoop: eventLoop)
        eventLoop.execute {
            let (sender, delivery) = bound.value
            sender.goOn(delivery)
        }
    }

    package func abandon(_ batch: Batch) -> Int {
        eventLoop.preconditionInEventLoop()
        guard let delivery = deliveries.removeValue(forKey: ObjectIdentifier(batch)) else { return 0 }
        delivery.isAbandoned = true
        return delivery.stored
    }

    package func close() -> EventLoopFuture<Void> { client.close() }

    // MARK: - One batch

    private func goOn(_ delivery: Delivery) {
        guard !delivery.isAbandoned else { return }
        guard let waiting = delivery.waiting else { return encode(delivery) }
        guard let request = waiting.first else { return finish(delivery) }
        send(request, delivery)
    }

    private func encode(_ delivery: Delivery) {
        let bound = NIOLoopBound((self, delivery), eventLoop: eventLoop)
        // Takes milliseconds: not on the loop.
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { [encoder, batch = delivery.batch] in
            encoder.encode(batch)
        }.whenComplete { result in
            let (sender, delivery) = bound.value
            switch result {
            case .success(let encoded): sender.take(encoded, delivery)
            case .failure(let error):
                sender.end(delivery, .retryable("the batch could not be encoded: \(error)", after: nil))
            }
        }
    }

    private func take(_ encoded: EncodedBatch, _ delivery: Delivery) {
        delivery.waiting = CircularBuffer(encoded.requests)
        translatedSeries.add(encoded.requests.reduce(0) { $0 + $1.series })
        if encoded.untranslated > 0 {
            failedTranslations.add(encoded.untranslated)
            delivery.rejected += encoded.untranslated
            delivery.rejection = encoded.reason
            report("translation", encoded.reason, encoded.untranslated)
        }
        goOn(delivery)
    }

    private func send(_ request: WriteRequest, _ delivery: Delivery) {
        var headers = headers
        do throws(ClientAuthenticationFault) {
            try auth?.edits(for: delivery.batch).apply(to: &headers)
        } catch {
            return reject(request, delivery, error.message)
        }
        let own = timeout > .zero ? eventLoop.now + timeout : .distantFuture
        let bound = NIOLoopBound((self, request, delivery), eventLoop: eventLoop)
        client.send(
            HTTPClientRequest(method: "POST", target: target, headers: headers, body: [request.body]),
            deadline: min(own, delivery.deadline)
        ).whenComplete { result in
            let (sender, request, delivery) = bound.value
            switch result {
            case .success(let response): sender.answered(response, request, delivery)
            case .failure(let error): sender.failed(error, request, delivery)
            }
        }
    }

    private func failed(_ error: any Error, _ request: WriteRequest, _ delivery: Delivery) {
        let message = "\(error)"
        if let error = error as? HTTPClientError, !error.isRetryable {
            reject(request, delivery, message)
        } else {
            end(delivery, .retryable(message, after: nil))
        }
    }

    private func answered(_ response: HTTPClientResponse, _ request: WriteRequest, _ delivery: Delivery) {
        let text = String(
            buffer: response.body.getSlice(
                at: response.body.readerIndex, length: min(512, response.body.readableBytes)) ?? ByteBuffer())
        let message = "remote write answered \(response.status)" + (text.isEmpty ? "" : ": " + text)
        switch response.status {
        case 200..<300:
            sentBatches.add(1)
            delivery.stored += request.items
            delivery.waiting?.removeFirst()
            goOn(delivery)
        case 429, 500...:
            let after = response.headers.first("retry-after").flatMap(RetryAfter.delay)
            end(delivery, .retryable(message, after: after))
        case 413 where delivery.stored == 0 && delivery.batch.items > 1:
            deliveries[ObjectIdentifier(delivery.batch)] = nil
            end(delivery, .tooLarge(message))
        default: reject(request, delivery, message)
        }
    }

    /// The destination will never take a request; the others of the batch it may.
    private func reject(_ request: WriteRequest, _ delivery: Delivery, _ message: String) {
        delivery.rejected += request.items
        delivery.rejection = message
        delivery.waiting?.removeFirst()
        report(String(message.prefix(80)), message, request.items)
        goOn(delivery)
    }

    private func finish(_ delivery: Delivery) {
        deliveries[ObjectIdentifier(delivery.batch)] = nil
        let rejected = min(delivery.rejected, delivery.batch.items)
        end(delivery, .sent(rejectedItems: rejected, message: delivery.rejection))
    }

    private func end(_ delivery: Delivery, _ result: SendResult) {
        let done = delivery.done
        delivery.done = nil
        guard !delivery.isAbandoned else { return }
        done?(result)
    }

    /// Says in the log what is not stored, once for each kind; the counters say how much of it there is.
    private func report(_ kind: String, _ message: String, _ points: Int) {
        guard reported.count < Self.reportsMax, reported.insert(kind).inserted else { return }
        logger.error(
            "Data points are not stored. Further ones of this kind are counted only.",
            metadata: ["error": "\(message)", "points": "\(points)"])
    }
}
