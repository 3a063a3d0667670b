package import Configuration
package import OTLP
internal import Pipeline

/// The keys of `exceptions`.
package struct ExceptionsConfig: ComponentConfig {
    /// An attribute that becomes a label.
    package struct Dimension: Sendable, Equatable {
        package let key: AttributeKey
        /// For exceptions without it; nil leaves the label out.
        package let value: String?
    }

    /// Default exception.type, exception.message. Key `dimensions`.
    package var dimensions = ["exception.type", "exception.message"].map {
        Dimension(key: AttributeKey($0), value: nil)
    }
    /// Whether points have the ids of the last exception. Default false. Key `exemplars::enabled`.
    package var hasExemplars = false
    /// Series. Default 10000. Key `max_series`, ours.
    package var seriesMax = 10_000
    /// Default 0: with every request, as the Collector. Key `metrics_flush_interval`, ours.
    package var flushInterval: Duration = .zero

    package init() {}

    package init(_ section: ConfigSection) {
        if let parts = section.sectionList("dimensions") {
            dimensions = parts.compactMap { part in
                guard let name = part.optionalString("name") else {
                    if !part.isBroken("name") {
                        part.report("name", error: "is missing: a dimension needs a name")
                    }
                    return nil
                }
                return Dimension(key: AttributeKey(name), value: part.optionalString("default"))
            }
            var seen: Set<String> = ["service.name", "span.name", "span.kind", "status.code"]
            for dimension in dimensions where !seen.insert(dimension.key.description).inserted {
                section.report("dimensions", error: "duplicate dimension name \"\(dimension.key)\"")
            }
        }
        if let exemplars = section.section("exemplars") {
            hasExemplars = exemplars.bool("enabled", default: false)
        }
        seriesMax = section.int("max_series", default: seriesMax, in: 1...Int(Int32.max))
        flushInterval = section.duration("metrics_flush_interval", default: flushInterval)
        section.finish()
    }
}
