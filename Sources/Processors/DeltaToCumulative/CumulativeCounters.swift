internal import Configuration
internal import Pipeline

/// The processor's own metrics: the Collector's, and how many streams were forgotten.
struct CumulativeCounters: Sendable {
    let added: Counter
    private let olderStart: Counter
    private let outOfOrder: Counter
    let full: Counter
    let tracked: Gauge
    let forgotten: Counter

    init(_ context: ComponentContext, _ config: DeltaToCumulativeConfig) {
        let name = context.name
        func points(_ error: String?) -> Counter {
            var labels: MetricLabels = ["processor": name]
            if let error { labels = labels.adding("error", error) }
            return context.registry.counter(
                "otelcol_deltatocumulative_datapoints", help: "Points of deltas, and why some were dropped.",
                labels: labels)
        }
        added = points(nil)
        olderStart = points("delta.ErrOlderStart")
        outOfOrder = points("delta.ErrOutOfOrder")
        full = points("limit")
        tracked = context.registry.gauge(
            "otelcol_deltatocumulative_streams_tracked", help: "Streams that are added up.",
            labels: ["processor": name])
        context.registry.gauge(
            "otelcol_deltatocumulative_streams_limit", help: "max_streams.", labels: ["processor": name]
        ).set(config.maxStreams)
        context.registry.gauge(
            "otelcol_deltatocumulative_streams_max_stale", help: "max_stale, in seconds.",
            labels: ["processor": name]
        ).set(Int(config.maxStale.components.seconds))
        forgotten = context.registry.counter(
            "sluice_deltatocumulative_streams_forgotten", help: "Streams that had no point for max_stale.",
            labels: ["processor": name])
    }

    func refused(_ reason: CumulativeState.Refused) {
        switch reason {
        case .olderStart: olderStart.add(1)
        case .outOfOrder: outOfOrder.add(1)
        }
    }
}
