package import Configuration
internal import Pipeline
package import RegularExpression

/// The keys of the `metricstarttime` processor.
package struct MetricStartTimeConfig: ComponentConfig {
    /// Where the start time comes from.
    package enum Strategy: String, CaseIterable, Sendable {
        /// The first point starts when it ends, the others when the first one did.
        case trueResetPoint = "true_reset_point"
        /// The first point is dropped; the others start there and count from there.
        case subtractInitialPoint = "subtract_initial_point"
        /// A metric of the request says when the process started.
        case startTimeMetric = "start_time_metric"
    }

    /// Key `strategy`.
    package var strategy = Strategy.trueResetPoint
    /// A stream without a point for so long is forgotten. More than 0. Key `gc_interval`.
    package var gcInterval = Duration.seconds(600)
    /// Which metric says when the process started; nil means `process_start_time_seconds`. Key `start_time_metric_regex`.
    package var startTimeMetric: RegularExpression?
    /// Streams remembered at a time; points of further ones pass unchanged. Ours. Key `max_streams`.
    package var maxStreams = 1_000_000

    package init() {}

    package init(_ section: ConfigSection) {
        let word = section.string("strategy", default: strategy.rawValue)
        if let known = Strategy(rawValue: word) {
            strategy = known
        } else if word == "start_time_attribute" {
            section.report("strategy", error: "\"start_time_attribute\" is not supported yet")
        } else {
            section.report(
                "strategy", error: "\"\(word)\" is not a valid strategy",
                help: "write " + Strategy.allCases.map(\.rawValue).joined(separator: ", "))
        }
        gcInterval = section.duration("gc_interval", default: gcInterval)
        if gcInterval == .zero, !section.isBroken("gc_interval") {
            section.report(
                "gc_interval", error: "gc_interval must be positive", help: "write gc_interval: 10m")
        }
        if let pattern = section.optionalString("start_time_metric_regex"), !pattern.isEmpty {
            do {
                startTimeMetric = try RegularExpression(pattern, dotMatchesLineFeed: false)
            } catch {
                section.report("start_time_metric_regex", error: "\(error)")
            }
            if strategy != .startTimeMetric, !section.isBroken("strategy") {
                section.report(
                    "start_time_metric_regex",
                    error: "start_time_metric_regex can only be used with the start_time_metric strategy",
                    help: "write strategy: start_time_metric")
            }
        }
        maxStreams = section.int("max_streams", default: maxStreams, in: 1...Int.max)
        section.finish()
    }
}
