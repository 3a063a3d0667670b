internal import Compression
internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix
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
    private let version: String

    init(eventLoop: any EventLoop, ledger: MemoryLedger, version: String) {
        self.eventLoop = eventLoop
        self.ledger = ledger
        pool = BufferPool(eventLoop: eventLoop)
        self.version = version
        encoder = Self.makeEncoder(version)
    }

    private static func makeEncoder(_ version: String) -> MetricEncoder {
        MetricEncoder(scopeName: "sluice/prometheusreceiver", scopeVersion: version)
    }

    /// An encoder for another thread. Any thread.
    func makeEncoder() -> MetricEncoder { Self.makeEncoder(version) }
}

/// Scrapes one target again and again, until it is stopped. Made on any thread, used on its event loop only.
///
/// What would take the loop too long, a page or a table of very many series, is done on a thread beside the loops.
final class ScrapeLoop: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but constants is touched on the loop of `tools` only; while `isElsewhere`
    // the table and what a scrape noted about itself are touched by that thread only.

    /// Bytes of a page, and series of a target, that the loop handles itself: a few milliseconds' worth.
    static let inlinePageBytesMax = 512 << 10
    static let inlineSeriesMax = 5000
    /// Series whose memory nobody asks about.
    private static let freeBytes = 4 << 20

    /// One for all targets: large ones never take more than one core. Lives as long as the process.
    private static let thread = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return pool
    }()

    private let target: ScrapeTarget
    private let job: ScrapeJobParts
    private let tools: ScrapeTools
    private let table: SeriesTable
    private let logger: Logger
    private let headers: [(name: String, value: String)]
    private var client: ScrapeClient?
    private var timer: Scheduled<Void>?
    private var nextScrape = NIODeadline.distantPast
    private var isStopped = false
    private var isBusy = false
    private var isElsewhere = false
    /// What became of the page that was read there.
    private var failureElsewhere: ScrapeFailure?
    /// The target went while its table was elsewhere.
    private var saysGoodbyeLater = false
    /// What the ledger has for the page at hand and the series.
    private var chargedBytes = 0
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
        guard !isElsewhere else {
            saysGoodbyeLater = isGone
            return
        }
        leave(isGone: isGone)
    }

    /// The last of it: gives memory back, and says that the series are no more if the target is gone.
    private func leave(isGone: Bool) {
        guard isGone, isFailing != nil else { return charge(0) }
        guard isLarge else {
            sayGoodbye(tools.encoder, tools.pool)
            return charge(0)
        }
        elsewhere {
            $0.sayGoodbye($0.tools.makeEncoder(), nil)
        } then: {
            $0.charge(0)
        }
    }

    private func sayGoodbye(_ encoder: MetricEncoder, _ pool: BufferPool?) {
        let now = SystemClock.unixNanoseconds()
        table.begin()
        table.end(succeeded: false, report: nil, at: now)
        handOn(at: now, encoder, pool)
    }

    private func schedule() {
        let next = target.nextScrape(after: NIODeadline.now().uptimeNanoseconds)
        nextScrape = .uptimeNanoseconds(next)
        let bound = NIOLoopBound(self, eventLoop: tools.eventLoop)
        timer = tools.eventLoop.scheduleTask(deadline: nextScrape) { bound.value.scrape() }
    }

    // MARK: - A scrape

    /// Who is behind with what it has taken, such as a `batch`, mostly has caught up a tenth of a second later.
    private static let retryInterval = TimeAmount.milliseconds(100)
    /// So often it is tried again, if the next scrape is not due before. A lack of memory lasts longer than a tenth of a second.
    private static let retriesMax = (behind: 10, memory: 1)

    /// - Parameter attempt: how often it was tried.
    private func scrape(attempt: Int = 0) {
        tools.eventLoop.preconditionInEventLoop()
        guard !isStopped else { return }
        if attempt == 0 { schedule() }
        // A page so long that it is still being read.
        guard !isBusy else { return }
        let isBehind = job.input.shouldPause
        if isBehind || job.input.admit(bytes: BufferPool.roundedCapacity(bytesExpected)) != nil {
            guard attempt < (isBehind ? Self.retriesMax.behind : Self.retriesMax.memory),
                NIODeadline.now() + Self.retryInterval < nextScrape
            else { return job.counters.skipped.add(1) }
            let bound = NIOLoopBound(self, eventLoop: tools.eventLoop)
            tools.eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.scrape(attempt: attempt + 1) }
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
        case .success(let response): read(response)
        }
    }

    private var isLarge: Bool { table.seriesCount > Self.inlineSeriesMax }

    private func read(_ response: HTTPClientResponse) {
        let limit = job.config.limits.pageBytesMax
        let inlineLimit = min(limit, Self.inlinePageBytesMax)
        do throws(ScrapeFailure) {
            guard !isLarge, response.body.readableBytes <= inlineLimit else {
                return readElsewhere(response, limit)
            }
            let page = try ScrapePage(
                response, job: job.config, gunzipper: tools.gunzipper, limit: inlineLimit)
            table.begin()
            read(page)
        } catch {
            // It may be no larger than a page may be, only than the loop decompresses.
            guard case .tooLarge = error, inlineLimit < limit, !response.bodyTruncated else {
                return end(error)
            }
            readElsewhere(response, limit)
        }
    }

    private func read(_ page: ScrapePage) {
        guard !isStopped else { return }
        var page = page
        do throws(PageError) {
            let isDone = try page.read(into: table)
            try checkMemory(page: page.bytes.readableBytes)
            if isDone { return end(nil, isBegun: true) }
        } catch {
            return end(.page(error), isBegun: true)
        }
        let bound = NIOLoopBound((self, page), eventLoop: tools.eventLoop)
        tools.eventLoop.executeInTurn { bound.value.0.read(bound.value.1) }
    }

    // MARK: - Beside the loops

    /// Does some work with the table on the thread, and then goes on on the loop.
    private func elsewhere(
        _ work: @escaping @Sendable (ScrapeLoop) -> Void, then next: @escaping @Sendable (ScrapeLoop) -> Void
    ) {
        isElsewhere = true
        Self.thread.submit { [self] _ in
            work(self)
            tools.eventLoop.execute { [self] in
                isElsewhere = false
                next(self)
            }
        }
    }

    private func readElsewhere(_ response: HTTPClientResponse, _ limit: Int) {
        charge(chargedBytes + response.body.readableBytes)
        elsewhere { loop in
            loop.failureElsewhere = loop.readWhole(response, limit)
            loop.settle(loop.failureElsewhere, isBegun: true, loop.tools.makeEncoder(), nil)
        } then: { loop in
            loop.concluded(loop.failureElsewhere)
        }
    }

    private func readWhole(_ response: HTTPClientResponse, _ limit: Int) -> ScrapeFailure? {
        table.begin()
        let received = response.body.readableBytes
        do throws(ScrapeFailure) {
            var page = try ScrapePage(response, job: job.config, gunzipper: Gunzipper(), limit: limit)
            do throws(PageError) {
                while try !page.read(into: table) {
                    try checkMemory(page: received + page.bytes.readableBytes)
                }
                try checkMemory(page: received + page.bytes.readableBytes)
            } catch {
                throw .page(error)
            }
            return nil
        } catch {
            return error
        }
    }

    // MARK: - Memory

    /// Has the ledger hold so much, no matter what it held.
    private func charge(_ bytes: Int) {
        tools.ledger.charge(bytes - chargedBytes)
        chargedBytes = bytes
    }

    /// Charges the page and the series, of which a target may have as many as take a quarter of what is free.
    private func checkMemory(page: Int) throws(PageError) {
        let series = table.memoryBytes
        charge(page + series)
        if table.familyCount > ScrapeLimits.familiesMax {
            throw .limit(
                key: "what is read,", limit: ScrapeLimits.familiesMax, found: "the number of metrics")
        }
        guard series > Self.freeBytes, job.input.admit(bytes: 3 * series) != nil else { return }
        throw .memory(bytes: series)
    }

    // MARK: - The end of a scrape

    private func end(_ failure: ScrapeFailure?, isBegun: Bool = false) {
        guard isLarge else {
            settle(failure, isBegun: isBegun, tools.encoder, tools.pool)
            return concluded(failure)
        }
        elsewhere { loop in
            loop.settle(failure, isBegun: isBegun, loop.tools.makeEncoder(), nil)
        } then: { loop in
            loop.concluded(failure)
        }
    }

    /// Hands on what the scrape gave. On the loop or elsewhere.
    private func settle(
        _ failure: ScrapeFailure?, isBegun: Bool, _ encoder: MetricEncoder, _ pool: BufferPool?
    ) {
        if !isBegun { table.begin() }
        let counts = table.counts
        let duration = NIODeadline.now() - began
        table.end(
            succeeded: failure == nil,
            report: [
                failure == nil ? 1 : 0, Double(duration.nanoseconds) / 1e9, Double(counts.scraped),
                Double(counts.kept), Double(counts.added),
            ], at: beganUnix)
        if handOn(at: beganUnix, encoder, pool) { table.settle(succeeded: failure == nil) }
        job.counters.duplicates.add(table.counts.duplicates)
        job.counters.unsupported.add(table.counts.unsupported)
        (failure == nil ? job.counters.succeeded : job.counters.failed).add(1)
    }

    private func concluded(_ failure: ScrapeFailure?) {
        isBusy = false
        charge(table.memoryBytes)
        report(failure)
        if isStopped { leave(isGone: saysGoodbyeLater) }
    }

    /// - Parameter pool: where the memory of requests comes from; nil elsewhere than on the loop.
    /// - Returns: whether the pipelines took all of it.
    @discardableResult
    private func handOn(at time: Int64, _ encoder: MetricEncoder, _ pool: BufferPool?) -> Bool {
        var isTaken = true
        var bytesTotal = 0
        encoder.encode(table, at: time) { bytes, items in
            let payload: Payload
            if let pool {
                payload = Payload(capacity: bytes.count, pool: pool, ledger: tools.ledger)
                payload.bytes.writeBytes(bytes)
            } else {
                payload = Payload(ByteBuffer(bytes: bytes), ledger: tools.ledger)
            }
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
