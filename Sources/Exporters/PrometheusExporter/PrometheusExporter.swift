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
package final class PrometheusExporter: Consumer, @unchecked Sendable {
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

    /// How often expired series are looked for.
    private static let sweepInterval = TimeAmount.seconds(1)
    /// A look at all series takes so many of these at most.
    private static let sweepsPerPass = 15
    /// Records looked at while the lock is held.
    private static let sweepSlice = 2048
    private static let hiddenNotedMax = 1024
    /// How finely the time of updates is known.
    private static let tickNanoseconds: UInt64 = 10_000_000

    /// An exporter without series. Expired ones are looked for on the loop, by a timer that ends with the
    /// exporter.
    ///
    /// - Parameters:
    ///   - name: the exporter's id, for metrics and messages.
    ///   - counters: where all points end up.
    ///   - clock: what expiry goes by.
    package init(
        _ config: PrometheusExporterConfig, name: String, counters: SendingQueue.Counters,
        eventLoop: any EventLoop, registry: MetricRegistry, logger: Logger,
        clock: @escaping @Sendable () -> NIODeadline = { NIODeadline.now() }
    ) {
        self.name = name
        self.logger = logger
        self.clock = clock
        self.counters = counters
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
        let now = now
        var kept = 0
        for slice in batch.slices {
            unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                let bytes = unsafe WireBytes(bytes)
                lock.withLock { _ in kept += store.read(bytes, now: now) }
            }
        }
        // A point with two values would be two; the sender counts as the receiver did.
        kept = min(kept, batch.items)
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
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        counters.drop(batch.items)
        batch.settle(.refused(refusal))
    }

    /// Counts and logs what happened in the store.
    private func report() {
        let (events, series, bytes) = lock.withLock { _ in
            (store.hasEvents ? store.takeEvents() : nil, store.slab.count, store.bytes)
        }
        state.series.set(series)
        state.bytes.set(bytes)
        guard let events else { return }
        state.add(events)
        for notice in events.notices { log(notice) }
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
                "Metric dropped: nothing that Prometheus allows is left of its name.",
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
                    for family in maker.hidden { exporter.logHidden(family) }
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

    /// Once for each name.
    private func logHidden(_ family: String) {
        let isNew = hiddenNoted.withLock { noted in
            noted.count < Self.hiddenNotedMax && noted.insert(family).inserted
        }
        guard isNew else { return }
        logger.warning(
            "Metric left out of the page: another one has its name, or has samples of it.",
            metadata: ["metric": "\(family)", "remedy": "rename one of the two"])
    }

    // MARK: - Time

    /// Looks at a part of the series and removes what has expired.
    func sweep() {
        let now = now
        let share = lock.withLock { _ in Int(store.slab.end) / Self.sweepsPerPass + 1 }
        var left = max(share, Self.sweepSlice)
        while left > 0 {
            let isEnd = lock.withLock { _ in store.sweep(Self.sweepSlice, now: now) }
            left = isEnd ? 0 : left - Self.sweepSlice
        }
        report()
    }
}

/// What the exporter says about its series on the gateway's own page of metrics.
private struct StateMetrics: Sendable {
    let series: Gauge
    let bytes: Gauge
    private let dropped: [Counter]
    private let merged: Counter
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
        for (metric, count) in events.overLimit {
            registry.counter(
                "sluice_exporter_prometheus_over_limit_points",
                help: "Data points of new series that were dropped because there are too many, by metric.",
                labels: ["exporter": exporter, "metric": metric]
            ).add(count)
        }
    }
}
