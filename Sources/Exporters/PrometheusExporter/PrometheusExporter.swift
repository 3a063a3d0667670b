internal import Configuration
package import Logging
package import NIOCore
internal import OTLP
package import Pipeline
internal import Synchronization

/// Keeps the latest value of every series and writes pages for Prometheus to scrape: `prometheus`.
///
/// Takes batches on any thread, straight from their bytes. One lock guards the series: a request holds it for
/// as long as its points take, some 100 ns each; a page for 256 series at a time. Every point ends counted,
/// as sent when it is in its series and as failed when it was dropped, and then by its reason, too.
package final class PrometheusExporter: Consumer, AdmissionControl, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `store` is used under `lock` only; everything else is Sendable.
    private let store: SeriesStore
    private let lock = Mutex<Void>(())
    /// Metrics of which the log has said that they are left out of pages.
    private let hiddenNoted = Mutex<Set<String>>([])
    private let name: String
    private let sendsTimestamps: Bool
    private let showsCreated: Bool
    private let counters: SendingQueue.Counters
    private let state: StateMetrics
    private let logger: Logger
    private let clock: @Sendable () -> NIODeadline
    private let eventLoop: any EventLoop
    private let ledger: MemoryLedger
    private let memoryMib: Int
    /// What the ledger has for the series.
    private let charged = Atomic<Int>(0)
    private let queue = IntakeQueue()
    /// Points of the batches in it.
    private let waitingPoints = Atomic<Int>(0)

    /// How often expired series are looked for.
    private static let sweepInterval = TimeAmount.seconds(1)
    /// A look at all series takes so many of these at most.
    private static let sweepsPerPass = 15
    /// Records looked at while the lock is held.
    private static let sweepSlice = 1024
    /// Batches that wait while others of the loop have their turn.
    private static let waitingMax = 256
    /// Points that wait while receivers read on. What waits longer is no longer in the processor's caches: 1.4 million points
    /// waited, the limit of memory, and each took a third more time.
    private static let waitingPointsMax = 32_768
    private static let hiddenNotedMax = 1024
    /// How finely the time of updates is known.
    private static let tickNanoseconds: UInt64 = 10_000_000

    /// An exporter without series. Expired ones are looked for on the loop, by a timer that ends with the
    /// exporter.
    ///
    /// - Parameters:
    ///   - name: the exporter's id, for metrics and messages.
    ///   - counters: where all points end up.
    ///   - ledger: is charged for the series, which may take half of its limit.
    ///   - clock: what expiry goes by.
    package init(
        _ config: PrometheusExporterConfig, name: String, counters: SendingQueue.Counters,
        eventLoop: any EventLoop, ledger: MemoryLedger = MemoryLedger(), registry: MetricRegistry,
        logger: Logger,
        clock: @escaping @Sendable () -> NIODeadline = { NIODeadline.now() }
    ) {
        self.name = name
        self.logger = logger
        self.clock = clock
        self.counters = counters
        self.eventLoop = eventLoop
        self.ledger = ledger
        memoryMib = config.maxMemoryMib
        sendsTimestamps = config.sendTimestamps
        showsCreated = config.showsCreatedSamples
        state = StateMetrics(registry, exporter: name)
        var limits = SeriesStore.Limits(series: config.maxSeries, seriesPerMetric: config.maxSeriesPerMetric)
        limits.sourcesPerSeries = config.maxSourcesPerSeries
        limits.expiration = Self.ticks(config.metricExpiration)
        // As in the Collector: no page shows them then, whatever its format.
        if !config.enableOpenMetrics { limits.exemplarBytes = 0 }
        store = SeriesStore(
            SeriesStore.Settings(
                namer: MetricNamer(strategy: config.strategy, namespace: config.namespace),
                constLabels: config.constLabels.map { Label(name: $0.name, value: Array($0.value.utf8)) },
                resourceLabels: config.resourceLabels, withoutScopeInfo: config.withoutScopeInfo,
                limits: limits))
        eventLoop.scheduleRepeatedTask(
            initialDelay: Self.sweepInterval, delay: Self.sweepInterval
        ) { [weak self] task in
            guard let self else { return task.cancel() }
            sweep()
        }
    }

    /// At least one, unless it is zero, which is never; half of what the counter holds at most, 248 days.
    private static func ticks(_ duration: Duration) -> UInt32 {
        let (seconds, attoseconds) = duration.components
        guard seconds > 0 || attoseconds > 0 else { return 0 }
        let ticks = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000 / tickNanoseconds)
        let fraction = UInt64(attoseconds / 1_000_000_000) / tickNanoseconds
        return ticks.overflow ? 1 << 31 - 1 : UInt32(min(max(ticks.partialValue + fraction, 1), 1 << 31 - 1))
    }

    private var now: UInt32 { UInt32(truncatingIfNeeded: clock().uptimeNanoseconds / Self.tickNanoseconds) }

    // MARK: - Taking points

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        guard batch.signal == .metrics else {
            return Refusal(.rejected, "exporter \(name) takes metrics only", isPermanent: true)
        }
        batch.enter()
        counters.taken.add(batch.items)
        let intake = Intake(batch)
        if queue.appendBehindOthers(intake) {
            waitingPoints.add(batch.items, ordering: .relaxed)
            return nil
        }
        var work = SeriesStore.workPerTurn
        if read(intake, &work) {
            finish(intake)
        } else {
            waitingPoints.add(batch.items, ordering: .relaxed)
            if queue.append(intake) { eventLoop.executeInTurn { self.readOn() } }
        }
        return nil
    }

    /// While points wait, what receivers have not read yet waits in their sockets.
    package var shouldPause: Bool { waitingPoints.load(ordering: .relaxed) > Self.waitingPointsMax }

    private func removeFirst(_ intake: Intake) {
        queue.removeFirst()
        waitingPoints.subtract(intake.batch.items, ordering: .relaxed)
        finish(intake)
    }

    /// Reads on in a batch.
    /// - Parameter work: what may be done; then, what is left of it.
    /// - Returns: whether all is read.
    private func read(_ intake: Intake, _ work: inout Int) -> Bool {
        lock.withLock { _ in
            store.memoryMax = memoryMib > 0 ? memoryMib << 20 : ledger.limitBytes / 2
            store.work = work
            defer { work = store.work }
            return intake.read(into: store, now: now)
        }
    }

    /// A turn of reading what waits. Event loop only.
    private func readOn() {
        var work = SeriesStore.workPerTurn
        while work > 0, let intake = queue.first, read(intake, &work) {
            removeFirst(intake)
        }
        // When very many wait, nothing more is read from sockets until they are done.
        switch queue.count {
        case 0: break
        case ...Self.waitingMax: eventLoop.executeInTurn { self.readOn() }
        default: eventLoop.execute { self.readOn() }
        }
    }

    /// Reads what waits; what cannot be read by the deadline is counted as failed. When nothing comes in any more.
    package func drain(until deadline: NIODeadline) async {
        // The sleep fails only when the task is cancelled: then nothing is waited for.
        while !Task.isCancelled, !queue.isEmpty, NIODeadline.now() < deadline {
            try? await Task.sleep(for: .milliseconds(1))
        }
        try? await eventLoop.submit {
            while let intake = self.queue.first { self.removeFirst(intake) }
        }.get()
        charge(0)
    }

    /// Counts what became of a batch's points, and answers.
    private func finish(_ intake: Intake) {
        let batch = intake.batch
        // A point with two values would be two; the sender counts as the receiver did.
        let kept = min(intake.kept, batch.items)
        counters.sent.add(kept)
        counters.failed.add(batch.items - kept)
        report()
        if kept == batch.items {
            batch.settle(.accepted)
        } else {
            let message =
                "exporter \(name) dropped \(batch.items - kept) data points; its metrics and log say why"
            batch.settle(.partial(rejectedItems: batch.items - kept, message: message))
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        counters.drop(batch.items)
        batch.settle(.refused(refusal))
    }

    /// Counts and logs what happened in the store.
    private func report() {
        let (events, series, bytes) = lock.withLock { _ in
            charge(store.bytes)
            return (store.hasEvents ? store.takeEvents() : nil, store.slab.count, store.bytes)
        }
        state.series.set(series)
        state.bytes.set(bytes)
        guard let events else { return }
        state.add(events)
        for notice in events.notices { log(notice) }
    }

    /// Has the ledger hold so much for the series, no matter what it held.
    private func charge(_ bytes: Int) {
        ledger.charge(bytes - charged.exchange(bytes, ordering: .relaxed))
    }

    private func log(_ notice: StoreNotice) {
        switch notice {
        case .typeConflict(let metric, let existing, let new):
            logger.warning(
                "Metric dropped: another of its name has another type.",
                metadata: ["metric": "\(metric)", "type": "\(new)", "existing_type": "\(existing)"])
        case .limit(let metric, let reason):
            logger.warning(
                "New series of a metric dropped: there are as many as \(reason.rawValue) allows.",
                metadata: ["metric": "\(metric)", "limit": "\(reason.rawValue)"])
        case .invalidName(let metric):
            logger.warning(
                "Metric dropped: its name has more than 4096 bytes, or nothing that Prometheus allows.",
                metadata: ["metric": "\(metric)"])
        case .temporality(let metric):
            logger.warning(
                "Metric dropped: it is neither cumulative nor a delta that only grows.",
                metadata: ["metric": "\(metric)", "remedy": "let its SDK export cumulative temporality"])
        case .attributes(let metric):
            logger.warning(
                "Points of a metric dropped: they, their resource or their scope have too many attributes.",
                metadata: ["metric": "\(metric)", "limit": "\(SeriesStore.attributesMax)"])
        case .merged(let metric):
            logger.warning(
                "Series of different names have become one: counters are added, else the latest counts.",
                metadata: ["metric": "\(metric)"])
        }
    }

    // MARK: - Pages

    /// Begins a page, to be written on this thread or another one. Series that come or go meanwhile are on it whole
    /// or not at all.
    func render(_ request: PageKey) -> any PageSource { Rendering(self, request) }

    /// A page that is being written.
    private final class Rendering: PageSource {
        /// Slices without anything to send, after which to ask whether somebody still wants it.
        private static let slicesMax = 64

        private let exporter: PrometheusExporter
        private let now: UInt32
        private let cursor: PageCursor
        private var maker: PageMaker
        private var isDone = false

        init(_ exporter: PrometheusExporter, _ request: PageKey) {
            self.exporter = exporter
            now = exporter.now
            maker = PageMaker(
                request, sendsTimestamps: exporter.sendsTimestamps, showsCreated: exporter.showsCreated)
            let names = request.names.isEmpty ? nil : Set(request.names)
            cursor = exporter.lock.withLock { _ in exporter.store.beginPage(names: names) }
        }

        func next() -> [ByteBuffer]? {
            guard !isDone else { return nil }
            for _ in 0..<Self.slicesMax {
                isDone = exporter.lock.withLock { _ in !maker.writeSlice(exporter.store, cursor, now: now) }
                if isDone {
                    exporter.report(maker.hidden, forbidden: maker.forbidden)
                    return maker.finish()
                }
                let parts = maker.takeReady()
                if !parts.isEmpty { return parts }
            }
            return []
        }

        func end() {
            exporter.lock.withLock { _ in exporter.store.endPage(cursor) }
        }
    }

    /// Counts and logs, once for each name, what is not on a page.
    private func report(_ hidden: [String], forbidden: (series: Int, families: [String])) {
        for family in hidden where isNew(family) {
            logger.warning(
                "Metric left out of the page: another one has its name, or has samples of it.",
                metadata: ["metric": "\(family)", "remedy": "rename one of the two"])
        }
        state.forbidden.add(forbidden.series)
        for family in forbidden.families where isNew(family + " in OpenMetrics") {
            logger.warning(
                "Series left out of OpenMetrics pages: a counter is negative or no number, or buckets fall.",
                metadata: [
                    "metric": "\(family)", "remedy": "make it a gauge, or mend what its sender counts",
                ])
        }
    }

    private func isNew(_ notice: String) -> Bool {
        hiddenNoted.withLock { $0.count < Self.hiddenNotedMax && $0.insert(notice).inserted }
    }

    /// Those of these names that are of families of the page.
    func known(_ names: [String]) -> [String] {
        lock.withLock { _ in names.filter { store.families[$0] != nil } }
    }

    // MARK: - Time

    /// Looks at a part of the series and removes what has expired, a slice in a turn of the event loop.
    private func sweep() {
        let share = lock.withLock { _ in Int(store.slab.end) / Self.sweepsPerPass + 1 }
        sweep(max(share, Self.sweepSlice))
    }

    private func sweep(_ left: Int) {
        let isEnd = lock.withLock { _ in store.sweep(Self.sweepSlice, now: now) }
        guard !isEnd, left > Self.sweepSlice else { return report() }
        eventLoop.executeInTurn { self.sweep(left - Self.sweepSlice) }
    }
}

/// What the exporter says about its series on the gateway's own page of metrics.
private struct StateMetrics: Sendable {
    let series: Gauge
    let bytes: Gauge
    let forbidden: Counter
    private let dropped: [Counter]
    private let merged: Counter
    private let exemplars: Counter
    private let registry: MetricRegistry
    private let exporter: String

    init(_ registry: MetricRegistry, exporter: String) {
        self.registry = registry
        self.exporter = exporter
        let labels: MetricLabels = ["exporter": exporter]
        series = registry.gauge(
            "sluice_exporter_prometheus_series", help: "Series held, those of target_info included.",
            labels: labels)
        bytes = registry.gauge(
            "sluice_exporter_prometheus_memory_bytes", help: "Memory of the series.", labels: labels)
        merged = registry.counter(
            "sluice_exporter_prometheus_merged_series",
            help: "Series whose names and labels had become those of another one.", labels: labels)
        exemplars = registry.counter(
            "sluice_exporter_prometheus_dropped_exemplars",
            help: "Exemplars of points with too many, which were not looked at.", labels: labels)
        forbidden = registry.counter(
            "sluice_exporter_prometheus_forbidden_series",
            help: "Series left out of OpenMetrics pages, which a strict parser would refuse for them.",
            labels: labels)
        dropped = DropReason.allCases.map { reason in
            registry.counter(
                "sluice_exporter_prometheus_dropped_points",
                help: "Data points that became no sample, by reason.",
                labels: labels.adding("reason", reason.rawValue))
        }
    }

    func add(_ events: StoreEvents) {
        for (counter, count) in zip(dropped, events.drops) where count > 0 { counter.add(count) }
        merged.add(events.merged)
        exemplars.add(events.exemplars)
        for (metric, count) in events.overLimit {
            registry.counter(
                "sluice_exporter_prometheus_over_limit_points",
                help: "Data points of new series that were dropped because there are too many, by metric.",
                labels: ["exporter": exporter, "metric": metric]
            ).add(count)
        }
    }
}
