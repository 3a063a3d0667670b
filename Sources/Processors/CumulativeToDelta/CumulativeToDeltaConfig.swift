package import Configuration
internal import OTLP
internal import Pipeline
package import RegularExpression

/// The keys of the `cumulativetodelta` processor.
package struct CumulativeToDeltaConfig: ComponentConfig {
    /// What is done with the first point of a stream.
    package enum InitialValue: String, CaseIterable, Sendable {
        /// Sent if the stream began after the processor did, and before the point.
        case auto
        case keep
        case drop
    }

    /// Which metrics are meant. Nothing set means all.
    package struct Match: Sendable, Equatable {
        /// Names, exactly. Key `metrics`.
        package var names: [String] = []
        /// With `match_type: regexp`, instead of the names: expressions that occur in a name. Key `metrics`.
        package var expressions: [RegularExpression] = []
        /// `Field.Metric` numbers of the kinds; empty means all. Key `metric_types`.
        package var kinds: [UInt32] = []

        package init() {}

        package var isEmpty: Bool { names.isEmpty && expressions.isEmpty }
    }

    /// A stream without a point for so long is forgotten; 0 never. Key `max_staleness`.
    package var maxStaleness = Duration.seconds(3600)
    /// Key `initial_value`.
    package var initialValue = InitialValue.auto
    /// Streams remembered at a time; points of further ones are dropped. Ours. Key `max_streams`.
    package var maxStreams = 1_000_000
    /// Key `include`.
    package var include = Match()
    /// Key `exclude`.
    package var exclude = Match()

    package init() {}

    package init(_ section: ConfigSection) {
        maxStaleness = section.duration("max_staleness", default: maxStaleness)
        if let word = section.optionalString("initial_value") {
            if let known = InitialValue(rawValue: word) {
                initialValue = known
            } else {
                section.report(
                    "initial_value", error: "unknown initial_value: \(word)",
                    help: "write auto, keep or drop")
            }
        }
        maxStreams = section.int("max_streams", default: maxStreams, in: 1...Int.max)
        include = Match(section.section("include"), "include")
        exclude = Match(section.section("exclude"), "exclude")
        section.finish()
    }
}

extension CumulativeToDeltaConfig.Match {
    private static let kinds: [(word: String, kind: UInt32)] = [
        ("sum", Field.Metric.sum), ("histogram", Field.Metric.histogram),
        ("exponentialhistogram", Field.Metric.exponentialHistogram),
    ]

    fileprivate init(_ section: ConfigSection?, _ key: String) {
        guard let section else { return }
        let metrics = section.stringList("metrics")
        let matchType = section.choice("match_type", of: ["", "strict", "regexp"], default: "") ?? ""
        if let cache = section.section("regexp") {
            cache.ignored("cacheenabled", "an expression is as fast without a cache")
            cache.ignored("cachemaxnumentries", "an expression is as fast without a cache")
        }
        for word in section.stringList("metric_types") {
            if let known = Self.kinds.first(where: { $0.word == word.lowercased() }) {
                kinds.append(known.kind)
            } else {
                section.report(
                    "metric_types", error: "unknown metric type \"\(word)\" in \(key)",
                    help: "write " + Self.kinds.map(\.word).joined(separator: ", "))
            }
        }
        if !metrics.isEmpty, matchType.isEmpty, !section.isBroken("match_type") {
            section.report("metrics", error: "match_type must be set if metrics are supplied")
        }
        if metrics.isEmpty, !matchType.isEmpty, !section.isBroken("metrics") {
            section.report("match_type", error: "metrics must be supplied if match_type is set")
        }
        guard matchType == "regexp" else {
            names = metrics
            return
        }
        for pattern in metrics {
            do {
                expressions.append(try RegularExpression(pattern, dotMatchesLineFeed: false))
            } catch {
                section.report("metrics", error: "\(error)")
            }
        }
    }
}
