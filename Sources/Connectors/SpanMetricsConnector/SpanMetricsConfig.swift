package import Configuration
package import MetricBuilding
package import OTLP
internal import Pipeline

/// The keys of `span_metrics`.
package struct SpanMetricsConfig: ComponentConfig {
    /// An attribute that becomes a label.
    package struct Dimension: Sendable, Equatable {
        package let key: AttributeKey
        /// For spans without it; nil leaves the label out.
        package let value: String?

        package init(_ name: String, default value: String? = nil) {
            key = AttributeKey(name)
            self.value = value
        }
    }

    /// How durations are spread.
    package enum Histogram: Sendable, Equatable {
        case off
        /// Upper bounds in the unit.
        case explicit([Double])
        case exponential(sizeMax: Int)
    }

    /// Whose names the metrics and labels have.
    package enum Naming: String, CaseIterable, Sendable {
        case collector
        case tempo
    }

    /// What the names begin with, before a dot. Default `traces.span.metrics`. Key `namespace`.
    package var namespace = "traces.span.metrics"
    /// Whose names the metrics have. Default collector. Key `naming`, ours.
    package var naming = Naming.collector
    /// Of all metrics. Key `dimensions`.
    package var dimensions: [Dimension] = []
    /// Of `calls` alone. Key `calls_dimensions`.
    package var callsDimensions: [Dimension] = []
    /// Of `duration` alone. Key `histogram::dimensions`.
    package var histogramDimensions: [Dimension] = []
    /// Labels that are left out. Key `exclude_dimensions`.
    package var excluded: Set<String> = []
    /// Scopes that become labels. Key `include_instrumentation_scope`.
    package var scopes: [String] = []
    package var histogram = Histogram.explicit(Self.buckets)
    /// Whether durations are in seconds instead of milliseconds. Key `histogram::unit`.
    package var isSeconds = false
    package var temporality = MetricRequest.Temporality.cumulative
    /// Default 60s. Key `metrics_flush_interval`.
    package var flushInterval: Duration = .seconds(60)
    /// A resource without spans for so long goes; 0: never. Default 0. Key `metrics_expiration`.
    package var expiration: Duration = .zero
    /// A series without spans for so long goes; 0: never. Default 0. Key `series_expiration`.
    package var seriesExpiration: Duration = .zero
    /// Resources that are kept. Default 1000. Key `resource_metrics_cache_size`.
    package var resourcesMax = 1000
    /// Attributes that tell resources apart; none: all. Key `resource_metrics_key_attributes`.
    package var resourceKeys: [AttributeKey] = []
    /// Series whose last start is remembered, for deltas. Default 1000. Key `metric_timestamp_cache_size`.
    package var startsMax = 1000
    /// Series of a resource and metric; 0: any number. Default 0. Key `aggregation_cardinality_limit`.
    package var seriesPerResourceMax = 0
    /// Series of all resources. Default 1000000. Key `max_series`, ours.
    package var seriesMax = 1_000_000
    /// Exemplars of a point; 0: none. Keys `exemplars::enabled`, `exemplars::max_per_data_point`.
    package var exemplarsMax = 0
    /// Labels of events beside those of spans; nil without events. Keys `events::enabled`, `events::dimensions`.
    package var eventDimensions: [Dimension]?

    /// Upper bounds in milliseconds.
    package static let buckets: [Double] = [
        2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000,
    ]

    package init() {}

    package init(_ section: ConfigSection) {
        naming = section.choice("naming", default: .collector)
        if naming == .tempo {
            namespace = "traces.spanmetrics"
            isSeconds = true
        }
        namespace = section.string("namespace", default: namespace)
        readDimensions(section)
        readHistogram(section)
        readTemporality(section)
        readLimits(section)
        if let events = section.section("events") {
            let isOn = events.bool("enabled", default: false)
            let dimensions = Self.dimensions(events, "dimensions")
            if isOn, dimensions.isEmpty {
                events.report("dimensions", error: "no dimensions configured for events")
            }
            if isOn { eventDimensions = dimensions }
            if isOn { checkDuplicates(dimensions, events, "dimensions") }
        }
        if let exemplars = section.section("exemplars") {
            let most = exemplars.int("max_per_data_point", default: 5, in: 0...1000)
            if exemplars.bool("enabled", default: false) { exemplarsMax = most }
        }
        _ = section.bool("add_resource_attributes", default: false)
        section.notSupportedYet("enable_metrics_sampling_method")
        section.ignored("dimensions_cache_size", "it is deprecated; nothing is cached")
        section.finish()
    }

    private static func dimensions(_ section: ConfigSection, _ key: String) -> [Dimension] {
        (section.sectionList(key) ?? []).compactMap { part in
            part.notSupportedYet("glob", "name each attribute")
            guard let name = part.optionalString("name") else {
                if !part.isBroken("name") {
                    part.report("name", error: "is missing: a dimension needs a name")
                }
                return nil
            }
            return Dimension(name, default: part.optionalString("default"))
        }
    }

    private mutating func readDimensions(_ section: ConfigSection) {
        dimensions = Self.dimensions(section, "dimensions")
        checkDuplicates([], section, "dimensions")
        callsDimensions = Self.dimensions(section, "calls_dimensions")
        checkDuplicates(callsDimensions, section, "calls_dimensions")
        let names = Self.intrinsic
        excluded = Set(section.stringList("exclude_dimensions"))
        for name in excluded.sorted() where !names.contains(name) {
            section.report(
                "exclude_dimensions", warning: "\"\(name)\" is no label of every span",
                help: "known: " + names.joined(separator: ", "))
        }
        scopes = section.stringList("include_instrumentation_scope")
    }

    static let intrinsic = ["service.name", "span.name", "span.kind", "status.code", "collector.instance.id"]

    private func checkDuplicates(_ more: [Dimension], _ section: ConfigSection, _ key: String) {
        var seen = Set(Self.intrinsic.filter { $0 != "collector.instance.id" })
        for dimension in dimensions + more where !seen.insert(dimension.key.description).inserted {
            section.report(key, error: "duplicate dimension name \(dimension.key)")
        }
    }

    private mutating func readHistogram(_ section: ConfigSection) {
        guard let part = section.section("histogram") else {
            histogram = .explicit(isSeconds ? Self.buckets.map { $0 / 1000 } : Self.buckets)
            return
        }
        let isOff = part.bool("disable", default: false)
        let unit = part.choice("unit", of: ["ms", "s"], default: isSeconds ? "s" : "ms")
        if naming == .collector { isSeconds = unit == "s" }
        histogramDimensions = Self.dimensions(part, "dimensions")
        checkDuplicates(histogramDimensions, part, "dimensions")
        let explicit = part.section("explicit")
        let exponential = part.section("exponential")
        if explicit != nil, exponential != nil {
            part.report(nil, error: "use either `explicit` or `exponential` buckets histogram")
        }
        if let exponential {
            histogram = .exponential(sizeMax: exponential.int("max_size", default: 160, in: 2...16_384))
        } else {
            let found = explicit?.durationList("buckets")?.map { $0.milliseconds }
            let milliseconds = found ?? Self.buckets
            if zip(milliseconds, milliseconds.dropFirst()).contains(where: { $0 >= $1 }) {
                explicit?.report("buckets", error: "must ascend")
            }
            histogram = .explicit(isSeconds ? milliseconds.map { $0 / 1000 } : milliseconds)
        }
        if isOff { histogram = .off }
    }

    private mutating func readTemporality(_ section: ConfigSection) {
        let cumulative = "AGGREGATION_TEMPORALITY_CUMULATIVE"
        let word = section.choice(
            "aggregation_temporality", of: [cumulative, "AGGREGATION_TEMPORALITY_DELTA"], default: cumulative)
        temporality = word == "AGGREGATION_TEMPORALITY_DELTA" ? .delta : .cumulative
    }

    private mutating func readLimits(_ section: ConfigSection) {
        flushInterval = section.duration("metrics_flush_interval", default: flushInterval)
        if flushInterval <= .zero, !section.isBroken("metrics_flush_interval") {
            section.report(
                "metrics_flush_interval",
                error: "invalid metrics_flush_interval: 0s, the duration should be positive")
        }
        expiration = section.duration("metrics_expiration", default: .zero)
        seriesExpiration = section.duration("series_expiration", default: .zero)
        resourcesMax = section.int(
            "resource_metrics_cache_size", default: resourcesMax, in: 1...Int(Int32.max))
        resourceKeys = section.stringList("resource_metrics_key_attributes").map { AttributeKey($0) }
        let starts = section.section("delta_temporality") ?? section
        startsMax = section.int("metric_timestamp_cache_size", default: startsMax, in: 1...Int(Int32.max))
        if starts !== section {
            startsMax = starts.int("metric_timestamp_cache_size", default: startsMax, in: 1...Int(Int32.max))
        }
        seriesPerResourceMax = section.int("aggregation_cardinality_limit", default: 0)
        seriesMax = section.int("max_series", default: seriesMax, in: 1...Int(Int32.max / 64))
    }
}

extension Duration {
    fileprivate var milliseconds: Double {
        let parts = components
        return Double(parts.seconds) * 1000 + Double(parts.attoseconds) / 1e15
    }
}
