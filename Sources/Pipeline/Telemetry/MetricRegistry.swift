internal import Synchronization

/// Where the gateway's own metrics are registered, once each, and read from on a scrape.
///
/// Names, labels and kinds are the Collector's, without a `_total` or unit suffix, so its dashboards and alerts
/// work unchanged. Any thread; registering and rendering take a lock, counting never does.
///
/// Registering the same name and labels again returns the same object; with another kind or bounds it is our bug and traps.
/// What counts items on their way through the graph is not registered by itself but in the account of its node.
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
        let instrument: Instrument
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var kinds: [String: MetricKind] = [:]
        var collectors: [@Sendable (inout MetricPage) -> Void] = []
        var accounts: [NodeAccount] = []
        var hidden: [String] = []
    }

    private let state = Mutex(State())

    /// An empty registry.
    package init() {}

    /// Shows what a node counts. Nodes are added from the exporters to the receivers: a page reads them in this order, so
    /// that it never shows an item further on than one that it does not show coming in.
    package func add(_ account: NodeAccount) {
        state.withLock { $0.accounts.append(account) }
    }

    /// Forgets a node, with what it counted.
    package func remove(_ account: NodeAccount) {
        state.withLock { state in state.accounts.removeAll { $0 === account } }
    }

    /// The counter of this name and these labels, made when it is new.
    package func counter(_ name: String, help: String, labels: MetricLabels = [:]) -> Counter {
        let instrument = register(name, help, labels, .counter) { .counter(Counter()) }
        guard case .counter(let counter) = instrument else {
            preconditionFailure("Metric \(name)\(labels.rendered) is read from a closure already")
        }
        return counter
    }

    /// The gauge of this name and these labels, made when it is new.
    package func gauge(_ name: String, help: String, labels: MetricLabels = [:]) -> Gauge {
        let instrument = register(name, help, labels, .gauge) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = instrument else {
            preconditionFailure("Metric \(name)\(labels.rendered) is not a gauge that can be set")
        }
        return gauge
    }

    /// The histogram of this name and these labels, made when it is new. `bounds` as `Histogram.bounds`.
    package func histogram(
        _ name: String, help: String, bounds: [Double], labels: MetricLabels = [:]
    ) -> Histogram {
        let instrument = register(name, help, labels, .histogram) {
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

    /// Keeps families off all pages whose names are these; `*` is any text, `?` one character.
    package func hide(_ names: [String]) {
        state.withLock { $0.hidden += names }
    }

    /// Adds a closure that puts samples on each page after everything else was read; `page.reading(of:)` is a node as this
    /// page shows it. Runs on the thread that scrapes, without a lock, in the order of adding; it must be quick and must not
    /// block.
    package func addCollector(_ collect: @escaping @Sendable (inout MetricPage) -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// The page of all metrics in the Prometheus text format 0.0.4.
    ///
    /// Any thread. Costs about a microsecond a series; for scrapes only.
    package func render(_ style: MetricPageStyle = MetricPageStyle()) -> [UInt8] {
        gather().render(style)
    }

    /// All metrics as they are now. Any thread; as `render`.
    package func gather() -> MetricPage {
        let (accounts, entries, collectors, hidden) = state.withLock {
            ($0.accounts, $0.entries, $0.collectors, $0.hidden)
        }
        var page = MetricPage()
        for account in accounts { page.read(account) }
        for (key, entry) in entries { Self.put(entry, of: key, on: &page) }
        for collect in collectors {
            collect(&page)
        }
        page.putSums()
        page.remove(hidden)
        return page
    }

    private static func put(_ entry: Entry, of key: Key, on page: inout MetricPage) {
        switch entry.instrument {
        case .counter(let counter):
            page.counter(key.name, help: entry.help, labels: key.labels, counter.value)
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
        _ name: String, _ help: String, _ labels: MetricLabels, _ kind: MetricKind,
        make: () -> Instrument
    ) -> Instrument {
        precondition(isMetricName(name, colons: true), "Not a metric name: \(name)")
        return state.withLock { state in
            precondition(
                state.kinds[name, default: kind] == kind, "Metric \(name) is of another kind already")
            state.kinds[name] = kind
            let key = Key(name: name, labels: labels)
            if let entry = state.entries[key] {
                return entry.instrument
            }
            let instrument = make()
            state.entries[key] = Entry(help: help, instrument: instrument)
            return instrument
        }
    }

    private func registerNew(
        _ name: String, _ help: String, _ labels: MetricLabels, _ kind: MetricKind, _ instrument: Instrument
    ) {
        var isNew = false
        _ = register(name, help, labels, kind) {
            isNew = true
            return instrument
        }
        precondition(isNew, "Metric \(name)\(labels.rendered) was registered twice")
    }
}
