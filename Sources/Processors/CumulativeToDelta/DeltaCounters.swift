internal import Configuration
internal import OTLP
internal import Pipeline

/// The processor's own metrics: the Collector's, and how many streams were forgotten.
struct DeltaCounters: Sendable {
    private static let kinds: [(kind: UInt32, word: String)] = [
        (Field.Metric.sum, "sum"), (Field.Metric.histogram, "histogram"),
        (Field.Metric.exponentialHistogram, "exponential_histogram"),
    ]

    private let points: [Counter]
    private let drops: [[Counter]]
    let tracked: Gauge
    let forgotten: Counter

    init(_ context: ComponentContext) {
        let name = context.name
        points = Self.kinds.map {
            context.registry.counter(
                "otelcol_cumulativetodelta_datapoints", help: "Points that were to be converted.",
                labels: ["processor": name, "metric_type": $0.word])
        }
        drops = Self.kinds.map { kind in
            DeltaDrop.allCases.map {
                context.registry.counter(
                    "otelcol_cumulativetodelta_datapoints_dropped", help: "Points that were not sent on.",
                    labels: ["processor": name, "metric_type": kind.word, "reason": $0.rawValue])
            }
        }
        tracked = context.registry.gauge(
            "otelcol_cumulativetodelta_streams_tracked", help: "Streams whose last point is remembered.",
            labels: ["processor": name])
        forgotten = context.registry.counter(
            "sluice_cumulativetodelta_streams_forgotten",
            help: "Streams that had no point for max_staleness.",
            labels: ["processor": name])
    }

    private static func index(_ kind: UInt32) -> Int { kinds.firstIndex { $0.kind == kind } ?? 0 }

    func converted(_ kind: UInt32) { points[Self.index(kind)].add(1) }

    func dropped(_ kind: UInt32, _ reason: DeltaDrop) {
        guard let place = DeltaDrop.allCases.firstIndex(of: reason) else { return }
        drops[Self.index(kind)][place].add(1)
    }
}
