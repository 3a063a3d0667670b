package import OTLP

/// What statements run for: each resource, each span …
package enum ContextKind: String, Sendable, CaseIterable {
    case resource
    case scope
    case span
    case spanevent
    case metric
    case datapoint
    case exemplar
    case log

    /// The contexts whose paths statements of this one may use, itself first.
    var visible: [ContextKind] {
        switch self {
        case .resource: [.resource]
        case .scope: [.scope, .resource]
        case .span: [.span, .scope, .resource]
        case .spanevent: [.spanevent, .span, .scope, .resource]
        case .metric: [.metric, .scope, .resource]
        case .datapoint: [.datapoint, .metric, .scope, .resource]
        case .exemplar: [.exemplar, .datapoint, .metric, .scope, .resource]
        case .log: [.log, .scope, .resource]
        }
    }

    /// The names that may begin a path.
    var pathNames: [String] {
        var names = visible.map(\.rawValue)
        if visible.contains(.scope) { names.append("instrumentation_scope") }
        return (names + ["otelcol"]).sorted()
    }

    /// The context that the first segment of a path names.
    static func named(_ name: String) -> ContextKind? {
        name == "instrumentation_scope" ? .scope : ContextKind(rawValue: name)
    }

    /// Every name that may begin a path in any context.
    static let allNames: Set<String> = Set(
        allCases.map(\.rawValue) + ["instrumentation_scope", "otelcol", "profile"])

    /// The words that stand for numbers.
    var symbols: [String: Int64] {
        switch self {
        case .resource, .scope: [:]
        case .span, .spanevent: Self.spanSymbols
        case .metric: Self.metricSymbols
        case .datapoint, .exemplar: Self.pointSymbols
        case .log: Self.logSymbols
        }
    }

    private static let spanSymbols: [String: Int64] = [
        "SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3,
        "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5,
        "STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2,
    ]

    private static let metricSymbols: [String: Int64] = [
        "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0, "AGGREGATION_TEMPORALITY_DELTA": 1,
        "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
        "METRIC_DATA_TYPE_NONE": 0, "METRIC_DATA_TYPE_GAUGE": 1, "METRIC_DATA_TYPE_SUM": 2,
        "METRIC_DATA_TYPE_HISTOGRAM": 3, "METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM": 4,
        "METRIC_DATA_TYPE_SUMMARY": 5,
    ]

    private static let pointSymbols = metricSymbols.merging(["FLAG_NONE": 0, "FLAG_NO_RECORDED_VALUE": 1]) {
        $1
    }

    private static let logSymbols: [String: Int64] = {
        var symbols: [String: Int64] = ["SEVERITY_NUMBER_UNSPECIFIED": 0]
        for (index, level) in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].enumerated() {
            for step in 1...4 {
                symbols["SEVERITY_NUMBER_\(level)" + (step == 1 ? "" : "\(step)")] = Int64(index * 4 + step)
            }
        }
        return symbols
    }()

    /// The contexts of a signal, from the widest to the narrowest.
    package static func of(_ signal: Signal) -> [ContextKind] {
        switch signal {
        case .traces: [.resource, .scope, .span, .spanevent]
        case .metrics: [.resource, .scope, .metric, .datapoint, .exemplar]
        case .logs: [.resource, .scope, .log]
        }
    }
}
