internal import Compression
internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What the targets of one event loop share. Event loop only.
final class ScrapeTools: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but constants is touched on `eventLoop` only.
    let eventLoop: any EventLoop
    let pool: BufferPool
    let ledger: MemoryLedger
    let gunzipper = Gunzipper()
    let encoder: MetricEncoder

    init(eventLoop: any EventLoop, ledger: MemoryLedger, version: String) {
        self.eventLoop = eventLoop
        self.ledger = ledger
        pool = BufferPool(eventLoop: eventLoop)
        encoder = MetricEncoder(scopeName: "sluice/prometheusreceiver", scopeVersion: version)
    }
}

/// Scrapes one target again and again, until it is stopped. Made on any thread, used on its event loop only.
final class ScrapeLoop: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but constants is touched on the loop of `tools` only.
    private let target: ScrapeTarget
    private let job: ScrapeJobParts
    private let tools: ScrapeTools
    private let table: SeriesTable
    private let logger: Logger
    private let headers: [(name: String, value: String)]
    private var client: ScrapeClient?
    private var timer: Scheduled<Void>?
    private var isStopped = false
    private var isBusy = false
    /// Why it is not asked at all.
    private var disabledReason: ScrapeFailure?
    /// Whether the last scrape failed; nil before the first.
    private var isFailing: Bool?
    /// Bytes that the last scrape handed on: what the next one will need.
    private var bytesExpected = 4096
    private var began = NIODeadline.distantPast
    private var beganUnix: Int64 = 0

    init(_ target: ScrapeTarget, job: ScrapeJobParts, tools: ScrapeTools) {
        self.target = target
        self.job = job
        self.tools = tools
        var rules = job.rules
        rules.targetLabels = LabelSet(sorted: target.labels)
        rules.scheme = target.url.origin.scheme.rawValue
        table = SeriesTable(rules)
        var logger = job.logger
        logger[metadataKey: "target"] = "\(target.url)"
        logger[metadataKey: "job"] = "\(job.config.name)"
        self.logger = logger
        headers = [
            ("Accept", ScrapeProtocol.accept(job.config.protocols)),
            ("Accept-Encoding", job.config.acceptsCompression ? "gzip" : "identity"),
            ("User-Agent", job.userAgent),
            ("X-Prometheus-Scrape-Timeout-Seconds", Self.seconds(target.timeout)),
        ]
    }

    private static func seconds(_ duration: Duration) -> String {
        let text = "\(Double(duration.wholeNanoseconds) / 1e9)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// Begins to scrape, each time at the target's own moment.
    /// - Parameter disabledReason: why every scrape fails without asking.
    func start(disabledReason: ScrapeFailure?) {
        tools.eventLoop.preconditionInEventLoop()
        self.disabledReason = disabledReason
        schedule()
    }

    /// Says why every scrape fails from now on, or that none does.
    func setDisabledReason(_ disabledReason: ScrapeFailure?) { self.disabledReason = disabledReason }

    /// Ends.
    /// - Parameter isGone: whether the target is no more, which its series say, or the gateway stops.
    func stop(isGone: Bool) {
        tools.eventLoop.preconditionInEventLoop()
        guard !isStopped else { return }
        isStopped = true
        timer?.cancel()
        client?.close()
        guard isGone, isFailing != nil else { return }
        let now = SystemClock.unixNanoseconds()
        table.begin()
        table.end(succeeded: false, report: nil, at: now)
        handOn(at: now)
    }

    private func schedule() {
        let next = target.nextScrape(after: NIODeadline.now().uptimeNanoseconds)
        let bound = NIOLoopBound(self, eventLoop: tools.eventLoop)
        timer = tools.eventLoop.scheduleTask(deadline: .uptimeNanoseconds(next)) { bound.value.scrape() }
    }

    // MARK: - A scrape

    private func scrape() {
        tools.eventLoop.preconditionInEventLoop()
        guard !isStopped else { return }
        schedule()
        // A page so long that it is still being read.
        guard !isBusy else { return }
        if job.input.shouldPause
            || job.input.admit(bytes: BufferPool.roundedCapacity(bytesExpected)) != nil
        {
            job.counters.skipped.add(1)
            return
        }
        isBusy = true
        began = .now()
        beganUnix = SystemClock.unixNanoseconds()
        if let disabledReason { return end(disabledReason) }
        let bound = NIOLoopBound(self, eventLoop: tools.eventLoop)
        get().whenComplete { result in bound.value.answered(result) }
    }

    private func get() -> EventLoopFuture<HTTPClientResponse> {
        let origin = target.url.origin
        guard origin.scheme == .http || job.tls != nil else {
            return tools.eventLoop.makeFailedFuture(
                ScrapeFailure.request("https needs \"scheme: https\" or \"tls_config\" in the job"))
        }
        let client =
            client
            ?? ScrapeClient(
                origin: origin, config: job.config.client, tls: job.tls,
                responseBytesMax: job.config.limits.pageBytesMax, eventLoop: tools.eventLoop, logger: logger)
        self.client = client
        return client.get(target.url, headers: headers, deadline: began + TimeAmount(target.timeout))
    }

    private func answered(_ result: Result<HTTPClientResponse, any Error>) {
        guard !isStopped else { return }
        switch result {
        case .failure(let error as ScrapeFailure): end(error)
        case .failure(let error): end(.request("\(error)"))
        case .success(let response):
            do throws(ScrapeFailure) {
                let page = try ScrapePage(response, job: job.config, gunzipper: tools.gunzipper)
                table.begin()
                read(page)
            } catch {
                end(error)
            }
        }
    }

    private func read(_ page: ScrapePage) {
        guard !isStopped else { return }
        var page = page
        do throws(PageError) {
            if try page.read(into: table) { return end(nil, isBegun: true) }
        } catch {
            return end(.page(error), isBegun: true)
        }
        let bound = NIOLoopBound((self, page), eventLoop: tools.eventLoop)
        tools.eventLoop.execute { bound.value.0.read(bound.value.1) }
    }

    private func end(_ failure: ScrapeFailure?, isBegun: Bool = false) {
        isBusy = false
        if !isBegun { table.begin() }
        let counts = table.counts
        let duration = NIODeadline.now() - began
        table.end(
            succeeded: failure == nil,
            report: [
                failure == nil ? 1 : 0, Double(duration.nanoseconds) / 1e9, Double(counts.scraped),
                Double(counts.kept), Double(counts.added),
            ], at: beganUnix)
        if handOn(at: beganUnix) { table.settle(succeeded: failure == nil) }
        job.counters.duplicates.add(table.counts.duplicates)
        job.counters.unsupported.add(table.counts.unsupported)
        (failure == nil ? job.counters.succeeded : job.counters.failed).add(1)
        report(failure)
    }

    /// - Returns: whether the pipelines took all of it.
    @discardableResult
    private func handOn(at time: Int64) -> Bool {
        var isTaken = true
        var bytesTotal = 0
        tools.encoder.encode(table, at: time) { bytes, items in
            let payload = Payload(capacity: bytes.count, pool: tools.pool, ledger: tools.ledger)
            payload.bytes.writeBytes(bytes)
            bytesTotal += bytes.count
            let batch = Batch(.metrics, payload: payload, items: items)
            batch.entry = Batch.Entry(job.counters.accepted, items: items)
            if job.input.consumer.consume(batch) != nil {
                job.counters.refused.add(items)
                isTaken = false
            }
        }
        bytesExpected = max(bytesTotal, 4096)
        return isTaken
    }

    private func report(_ failure: ScrapeFailure?) {
        defer { isFailing = failure != nil }
        if let failure {
            guard isFailing != true else { return }
            logger.warning("Scrape failed; the target is down.", metadata: ["error": "\(failure)"])
        } else if isFailing == true {
            logger.info("Scrape succeeded; the target is up again.")
        }
    }
}
