internal import Synchronization

/// When a scrape reads a counter, relative to the others.
///
/// An item is counted in before it is counted out. So what counts items out is read first and what counts them
/// in is read last: then a page never shows more leave than came.
package enum ReadOrder: CaseIterable, Sendable {
    case early
    case late
}

/// Where the gateway's own metrics are registered, once each, and read from on a scrape.
///
/// Names, labels and kinds are the Collector's, without a `_total` or unit suffix, so its dashboards and alerts
/// work unchanged. Any thread; registering and rendering take a lock, counting never does.
///
/// Registering the same name and labels again returns the same object; with another kind, order or bounds it is
/// our bug and traps.
package final class MetricRegistry: Sendable {
    private struct Key: Hashable {
        let name: String
        let labels: MetricLabels
    }

    private enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case observedCounter(@Sendable () -> Double)
        case observedGauge(@Sendable () -> Double)
    }

    private struct Entry: Sendable {
        let help: String
        let order: ReadOrder
        let instrument: Instrument
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var kinds: [String: MetricKind] = [:]
        var collectors: [@Sendable (inout MetricPage) -> Void] = []
    }

    private let state = Mutex(State())

    /// An empty registry.
    package init() {}

    /// The counter of this name and these labels, made when it is new.
    ///
    /// What comes in is registered as `.late`, what leaves as `.early` (the default): see `ReadOrder`.
    package func counter(
        _ name: String, help: String, labels: MetricLabels = [:], read order: ReadOrder = .early
    ) -> Counter {
        let instrument = register(name, help, labels, order, .counter) { .counter(Counter()) }
        guard case .counter(let counter) = instrument else {
            preconditionFailure("Metric \(name)\(labels.rendered) is read from a closure already")
        }
        return counter
    }

    /// The gauge of this name and these labels, made when it is new.
    package func gauge(_ name: String, help: String, labels: MetricLabels = [:]) -> Gauge {
        let instrument = register(name, help, labels, .early, .gauge) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = instrument else {
            preconditionFailure("Metric \(name)\(labels.rendered) is not a gauge that can be set")
        }
        return gauge
    }

    /// The histogram of this name and these labels, made when it is new. `bounds` as `Histogram.bounds`.
    package func histogram(
        _ name: String, help: String, bounds: [Double], labels: MetricLabels = [:]
    ) -> Histogram {
        let instrument = register(name, help, labels, .early, .histogram) {
            .histogram(Histogram(bounds: bounds))
        }
        guard case .histogram(let histogram) = instrument, histogram.bounds == bounds else {
            preconditionFailure("Metric \(name)\(labels.rendered) has other bounds already")
        }
        return histogram
    }

    /// Registers a counter whose value `read` gives on each scrape. A second time traps.
    ///
    /// `read` runs on the thread that scrapes, without a lock; it must be quick and must not block.
    package func observeCounter(
        _ name: String, help: String, labels: MetricLabels = [:], read: @escaping @Sendable () -> Double
    ) {
        registerNew(name, help, labels, .counter, .observedCounter(read))
    }

    /// Registers a gauge whose value `read` gives on each scrape, as `observeCounter`.
    package func observeGauge(
        _ name: String, help: String, labels: MetricLabels = [:], read: @escaping @Sendable () -> Double
    ) {
        registerNew(name, help, labels, .gauge, .observedGauge(read))
    }

    /// Adds a closure that puts samples on each page after all registered instruments have been read.
    ///
    /// For values that must agree with others on the same page: `page.reading(of:)` is a registered counter as
    /// this page shows it. With what leaves registered `.early` and what comes in `.late`, the difference is
    /// what is still held, and never negative. Runs on the thread that scrapes, without a lock, in the order
    /// of adding; it must be quick and must not block.
    package func addCollector(_ collect: @escaping @Sendable (inout MetricPage) -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// The page of all metrics in the Prometheus text format 0.0.4.
    ///
    /// Any thread. Costs about a microsecond a series; for scrapes only.
    package func render() -> [UInt8] {
        let (entries, collectors) = state.withLock { ($0.entries, $0.collectors) }
        var page = MetricPage()
        for order in ReadOrder.allCases {
            for (key, entry) in entries where entry.order == order {
                Self.put(entry, of: key, on: &page)
            }
        }
        for collect in collectors {
            collect(&page)
        }
        return page.render()
    }

    private static func put(_ entry: Entry, of key: Key, on page: inout MetricPage) {
        switch entry.instrument {
        case .counter(let counter):
            page.counter(key.name, help: entry.help, labels: key.labels, counter)
        case .gauge(let gauge):
            page.gauge(key.name, help: entry.help, labels: key.labels, gauge.value)
        case .histogram(let histogram):
            page.histogram(key.name, help: entry.help, labels: key.labels, histogram)
        case .observedCounter(let read):
            page.counter(key.name, help: entry.help, labels: key.labels, read())
        case .observedGauge(let read):
            page.gauge(key.name, help: entry.help, labels: key.labels, read())
        }
    }

    private func register(
        _ name: String, _ help: String, _ labels: MetricLabels, _ order: ReadOrder, _ kind: MetricKind,
        make: () -> Instrument
    ) -> Instrument {
        precondition(isMetricName(name, colons: true), "Not a metric name: \(name)")
        return state.withLock { state in
            precondition(
                state.kinds[name, default: kind] == kind, "Metric \(name) is of another kind already")
            state.kinds[name] = kind
            let key = Key(name: name, labels: labels)
            if let entry = state.entries[key] {
                precondition(entry.order == order, "Metric \(name) is read in another order already")
                return entry.instrument
            }
            let instrument = make()
            state.entries[key] = Entry(help: help, order: order, instrument: instrument)
            return instrument
        }
    }

    private func registerNew(
        _ name: String, _ help: String, _ labels: MetricLabels, _ kind: MetricKind, _ instrument: Instrument
    ) {
        var isNew = false
        _ = register(name, help, labels, .early, kind) {
            isNew = true
            return instrument
        }
        precondition(isNew, "Metric \(name)\(labels.rendered) was registered twice")
    }
}
