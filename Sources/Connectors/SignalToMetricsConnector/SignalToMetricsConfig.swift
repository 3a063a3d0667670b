package import Configuration
package import OTLP
internal import Pipeline
internal import StatementConfiguration
package import Statements

/// A metric that is made of spans, data points or log records.
package struct MeasuredMetric: Sendable {
    /// An attribute that tells points, or their resources, apart.
    package struct Attribute: Sendable, Equatable {
        package let key: AttributeKey
        /// Whether items without it count, too, without a default.
        package let isOptional: Bool
        /// For items without it.
        package let value: PlainScalar?
    }

    package enum Kind: Sendable, Equatable {
        case sum
        case gauge
        /// Upper bounds, ascending.
        case histogram(bounds: [Double])
        case exponentialHistogram(sizeMax: Int)
    }

    package let name: String
    package let description: String
    package let unit: String
    /// One is enough; none: all items.
    package let conditions: [Condition]
    package let attributes: [Attribute]
    /// Empty: all attributes of the resource.
    package let resourceAttributes: [Attribute]
    package let kind: Kind
    package let value: NumberExpression
    /// How often the value is there; nil: once.
    package let count: NumberExpression?

    /// Whether both are one metric.
    func isSame(as other: MeasuredMetric) -> Bool {
        name == other.name && description == other.description && unit == other.unit
            && kind.key == other.kind.key
    }
}

extension MeasuredMetric: Equatable {
    package static func == (left: MeasuredMetric, right: MeasuredMetric) -> Bool {
        left.isSame(as: right) && left.kind == right.kind
            && left.conditions.map(\.text) == right.conditions.map(\.text)
            && left.attributes == right.attributes && left.resourceAttributes == right.resourceAttributes
            && left.value.text == right.value.text && left.count?.text == right.count?.text
    }
}

extension MeasuredMetric.Kind {
    var key: String {
        switch self {
        case .sum: "sum"
        case .gauge: "gauge"
        case .histogram: "histogram"
        case .exponentialHistogram: "exponential_histogram"
        }
    }
}

/// The keys of `signal_to_metrics`.
package struct SignalToMetricsConfig: ComponentConfig {
    /// By what they are made of. Keys `spans`, `datapoints`, `logs`.
    package var metrics: [Signal: [MeasuredMetric]] = [:]
    /// Default propagate. Key `error_mode`.
    package var errorMode = StatementGroup.ErrorMode.propagate

    package init(_ section: ConfigSection) {
        errorMode = section.errorMode("error_mode", default: .propagate)
        let kinds: [(String, Signal, ContextKind)] = [
            ("spans", .traces, .span), ("datapoints", .metrics, .datapoint), ("logs", .logs, .log),
        ]
        var written = 0
        for (key, signal, context) in kinds {
            let parts = section.sectionList(key) ?? []
            written += parts.count
            metrics[signal] = parts.compactMap { MeasuredMetric(reading: $0, context) }
        }
        if written == 0, !kinds.contains(where: { section.isBroken($0.0) }) {
            section.report(
                nil, error: "no configuration provided, at least one should be specified",
                help: "write metrics under spans, datapoints or logs")
        }
        section.finish()
    }
}

extension MeasuredMetric {
    /// The bounds of histograms that name none.
    static let standardBounds: [Double] = [
        2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000,
    ]

    /// Nil when something is wrong, which is reported.
    fileprivate init?(reading section: ConfigSection, _ context: ContextKind) {
        name = section.string("name", default: "")
        if name.isEmpty { section.report("name", error: "missing required metric name configuration") }
        description = section.string("description", default: "")
        unit = section.string("unit", default: "")
        attributes = Self.attributes(section, "attributes")
        resourceAttributes = Self.attributes(section, "include_resource_attributes")
        conditions = (section.locatedTexts("conditions") ?? []).compactMap { text in
            do throws(StatementError) {
                return try Condition(text.text, for: context, measures: true)
            } catch {
                section.report(error, of: "condition", in: text)
                return nil
            }
        }
        let kinds = ["sum", "gauge", "histogram", "exponential_histogram"]
        let found = kinds.filter { section.isWritten($0) }
        let parts = kinds.compactMap { section.section($0) }
        guard found.count == 1, let part = parts.first else {
            section.report(nil, error: "exactly one of the metrics must be defined, \(found.count) found")
            return nil
        }
        let value = Self.expression(part, "value", context)
        if value == nil, part.optionalString("value") ?? "" == "", !part.isBroken("value") {
            part.report("value", error: "is missing: an OTTL expression that gives a number")
        }
        switch found[0] {
        case "sum":
            kind = .sum
            count = nil
        case "gauge":
            kind = .gauge
            count = nil
        case "histogram":
            let bounds = part.doubleList("buckets") ?? []
            if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
                part.report("buckets", error: "must be in ascending order")
            }
            kind = .histogram(bounds: bounds.isEmpty ? Self.standardBounds : bounds)
            count = Self.expression(part, "count", context)
        default:
            kind = .exponentialHistogram(sizeMax: part.int("max_size", default: 160, in: 2...16384))
            count = Self.expression(part, "count", context)
        }
        guard let value else { return nil }
        self.value = value
    }

    private static func expression(
        _ section: ConfigSection, _ key: String, _ context: ContextKind
    ) -> NumberExpression? {
        guard let text = section.locatedText(key), !text.text.isEmpty else { return nil }
        do throws(StatementError) {
            return try NumberExpression(text.text, for: context)
        } catch {
            section.report(error, of: "value expression", in: text)
            return nil
        }
    }

    private static func attributes(_ section: ConfigSection, _ key: String) -> [Attribute] {
        var seen: Set<String> = []
        return (section.sectionList(key) ?? []).map { part in
            let name = part.string("key", default: "")
            if name.isEmpty { part.report("key", error: "attribute key missing") }
            if !seen.insert(name).inserted {
                part.report("key", error: "duplicate key found in attributes config: \(name)")
            }
            let isOptional = part.bool("optional", default: false)
            let value = part.plainScalar("default_value")
            if isOptional, value != nil {
                part.report(nil, error: "only one of default_value or optional should be set")
            }
            return Attribute(key: AttributeKey(name), isOptional: isOptional, value: value)
        }
    }
}
