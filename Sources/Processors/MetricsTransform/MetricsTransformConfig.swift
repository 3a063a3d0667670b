package import Configuration
package import MetricStreams
internal import Pipeline
package import RegularExpression

/// The keys of the `metricstransform` processor.
package struct MetricsTransformConfig: ComponentConfig {
    /// What to do, in order, each to what the one before it left. Key `transforms`.
    package var transforms: [Transform] = []

    /// What is done with the metrics that match.
    package enum Action: String, CaseIterable, Sendable {
        /// A changed copy is added.
        case insert
        /// They are changed where they are.
        case update
        /// They become one.
        case combine
        /// They move to a resource with further attributes.
        case group
    }

    /// One of `transforms`.
    package struct Transform: Sendable, Equatable {
        /// A metric's name, or an expression that occurs in it. Required. Key `include`.
        package var include = ""
        /// The expression, with `match_type: regexp`. Keys `match_type`, `include`.
        package var expression: RegularExpression?
        /// Attributes that points must have. Key `experimental_match_labels`.
        package var labels: [LabelMatch] = []
        /// Required. Key `action`.
        package var action = Action.update
        /// The new name; `$1` and `${name}` are groups of the expression. Key `new_name`.
        package var newName = ""
        /// How points that became alike are merged. Key `aggregation_type`.
        package var aggregation: PointAggregation?
        /// Attributes of the new resource. Key `group_resource_labels`.
        package var groupLabels: [ConfigPair] = []
        /// What is done to the points, in order. Key `operations`.
        package var operations: [Operation] = []

        package init() {}
    }

    /// An attribute that a point must have with this value. An empty one stands for an absent attribute, too.
    package struct LabelMatch: Sendable, Equatable {
        package let key: String
        package let value: String
        /// What must occur in the value, with `match_type: regexp`.
        package let expression: RegularExpression?
    }

    /// One of `operations`.
    package enum Operation: Sendable, Equatable {
        case addLabel(key: String, value: String)
        case updateLabel(key: String, newKey: String, values: [ConfigPair])
        case deleteLabelValue(key: String, value: String)
        case toggleScalarDataType
        case scaleValue(Double)
        case aggregateLabels([String], PointAggregation)
        case aggregateLabelValues(key: String, values: [String], newValue: String, PointAggregation)
    }

    package init(_ section: ConfigSection) {
        transforms = (section.sectionList("transforms") ?? []).map(Transform.init)
        section.finish()
    }
}

/// Words of the configuration, as the Collector's messages list them.
enum MetricsTransformWords {
    static func list(_ words: [String]) -> String {
        "[" + words.map { "\"\($0)\"" }.joined(separator: " ") + "]"
    }

    static let aggregations = PointAggregation.allCases.map(\.rawValue)
}
