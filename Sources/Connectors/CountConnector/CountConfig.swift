package import Configuration
package import OTLP
internal import Pipeline
internal import StatementConfiguration
package import Statements

/// What items are counted: the sections of `count` and `sum`.
package enum CountedItem: String, CaseIterable, Sendable {
    case spans
    case spanEvents = "spanevents"
    case metrics
    case dataPoints = "datapoints"
    case logs

    var context: ContextKind {
        switch self {
        case .spans: .span
        case .spanEvents: .spanevent
        case .metrics: .metric
        case .dataPoints: .datapoint
        case .logs: .log
        }
    }

    var signal: Signal {
        switch self {
        case .spans, .spanEvents: .traces
        case .metrics, .dataPoints: .metrics
        case .logs: .logs
        }
    }
}

/// A metric that counts or sums up items.
package struct CountedMetric: Sendable, Equatable {
    /// An attribute that tells points apart.
    package struct Attribute: Sendable, Equatable {
        package enum Default: Sendable, Equatable {
            case text(String)
            case int(Int64)
            case double(Double)
        }

        package let key: AttributeKey
        /// For items without it; without a default they are not counted.
        package let value: Default?
    }

    package let name: String
    package let description: String
    package let item: CountedItem
    /// One is enough; none: all items.
    package let conditions: [Condition]
    package let attributes: [Attribute]
    /// What is added up; nil counts.
    package let source: AttributeKey?

    package static func == (left: CountedMetric, right: CountedMetric) -> Bool {
        left.name == right.name && left.description == right.description && left.item == right.item
            && left.conditions.map(\.text) == right.conditions.map(\.text)
            && left.attributes == right.attributes && left.source == right.source
    }
}

/// The keys of `count`.
package struct CountConfig: ComponentConfig {
    /// All metrics. Keys `spans`, `spanevents`, `metrics`, `datapoints`, `logs`.
    package var metrics: [CountedMetric] = []

    package init() {}

    package init(_ section: ConfigSection) {
        for item in CountedItem.allCases {
            let read = CountedMetric.read(section, item, isSum: false)
            metrics += read ?? [Self.standard(item)]
        }
        section.finish()
    }

    /// What is counted of items without a section of theirs.
    private static func standard(_ item: CountedItem) -> CountedMetric {
        let (name, what) =
            switch item {
            case .spans: ("trace.span.count", "spans")
            case .spanEvents: ("trace.span.event.count", "span events")
            case .metrics: ("metric.count", "metrics")
            case .dataPoints: ("metric.datapoint.count", "data points")
            case .logs: ("log.record.count", "log records")
            }
        return CountedMetric(
            name: name, description: "The number of \(what) observed.", item: item, conditions: [],
            attributes: [], source: nil)
    }
}

/// The keys of `sum`.
package struct SumConfig: ComponentConfig {
    /// All metrics. Keys as of `count`.
    package var metrics: [CountedMetric] = []

    package init() {}

    package init(_ section: ConfigSection) {
        for item in CountedItem.allCases { metrics += CountedMetric.read(section, item, isSum: true) ?? [] }
        section.finish()
    }
}

extension CountedMetric {
    /// The metrics of a section; nil when it is not there.
    fileprivate static func read(
        _ section: ConfigSection, _ item: CountedItem, isSum: Bool
    ) -> [CountedMetric]? {
        section.sectionMap(item.rawValue)?.map { name, part in
            if name.isEmpty { part.report(nil, error: "\(item.rawValue): metric name missing") }
            let source = isSum ? part.optionalString("source_attribute") : nil
            if isSum, source == nil, !part.isBroken("source_attribute") {
                part.report("source_attribute", error: "\(item.rawValue): metric source_attribute missing")
            }
            let attributes = (part.sectionList("attributes") ?? []).map { readAttribute($0, item) }
            if !attributes.isEmpty, item == .metrics {
                part.report("attributes", error: "metrics attributes not supported: metric \"\(name)\"")
            }
            return CountedMetric(
                name: name, description: part.string("description", default: ""), item: item,
                conditions: readConditions(part, item), attributes: attributes,
                source: source.map { AttributeKey($0) })
        }
    }

    private static func readConditions(_ part: ConfigSection, _ item: CountedItem) -> [Condition] {
        (part.locatedTexts("conditions") ?? []).compactMap { text in
            do throws(StatementError) {
                return try Condition(text.text, for: item.context)
            } catch {
                part.report(error, of: "condition", in: text)
                return nil
            }
        }
    }

    private static func readAttribute(_ section: ConfigSection, _ item: CountedItem) -> Attribute {
        let key = section.string("key", default: "")
        if key.isEmpty { section.report("key", error: "\(item.rawValue): attribute key missing") }
        // As in the Collector, "" and 0 are no defaults.
        var value: Attribute.Default?
        switch section.plainScalar("default_value") {
        case .text(let text) where !text.isEmpty: value = .text(text)
        case .int(let number) where number != 0: value = .int(number)
        case .double(let number) where number != 0: value = .double(number)
        default: break
        }
        return Attribute(key: AttributeKey(key), value: value)
    }
}
