internal import OTLP

/// What kind of points a metric has, by the number of the field that holds them.
enum MetricType: UInt32 {
    case gauge = 5
    case sum = 7
    case histogram = 9
    case exponentialHistogram = 10
    case summary = 11

    init?(_ editor: RequestEditor, _ metric: MessageID) {
        guard let number = editor.metricKind(metric) else { return nil }
        self.init(rawValue: number)
    }

    /// The number of the type in statements.
    var symbol: Int64 {
        switch self {
        case .gauge: 1
        case .sum: 2
        case .histogram: 3
        case .exponentialHistogram: 4
        case .summary: 5
        }
    }

    var name: String {
        switch self {
        case .gauge: "Gauge"
        case .sum: "Sum"
        case .histogram: "Histogram"
        case .exponentialHistogram: "ExponentialHistogram"
        case .summary: "Summary"
        }
    }

    var hasTemporality: Bool { self == .sum || self == .histogram || self == .exponentialHistogram }

    /// The attributes of its points.
    var attributes: UInt32 {
        switch self {
        case .gauge, .sum, .summary: 7
        case .histogram: 9
        case .exponentialHistogram: 1
        }
    }

    /// The exemplars of its points.
    var exemplars: UInt32? {
        switch self {
        case .gauge, .sum: 5
        case .histogram: 8
        case .exponentialHistogram: 11
        case .summary: nil
        }
    }

    var flags: UInt32 { self == .histogram || self == .exponentialHistogram ? 10 : 8 }

    var pointName: String {
        switch self {
        case .gauge, .sum: "pmetric.NumberDataPoint"
        case .histogram: "pmetric.HistogramDataPoint"
        case .exponentialHistogram: "pmetric.ExponentialHistogramDataPoint"
        case .summary: "pmetric.SummaryDataPoint"
        }
    }
}

enum MetricPaths {
    static func find(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "name": Paths.Found(path: Fields.text(shown, .item, 1))
        case "description": Paths.Found(path: Fields.text(shown, .item, 2))
        case "unit": Paths.Found(path: Fields.text(shown, .item, 3))
        case "metadata": Paths.attributes(shown, .item, 12)
        case "data_points": Paths.Found(path: Fields.messages(shown, .gauge, 1) { $0.metricData })
        case "type":
            Paths.Found(
                path: FieldPath(shown) { frame in
                    .int(frame.metricType?.symbol ?? 0)
                } set: { (_, _) in
                    // As the Collector: the type of a metric cannot be set, and that is no error.
                })
        case "aggregation_temporality":
            Paths.Found(
                path: FieldPath(shown) { frame in
                    guard frame.metricType?.hasTemporality == true, let data = frame.metricData else { return .null }
                    return .int(Int64(bitPattern: frame.editor.bits(data, Field.MetricData.temporality)))
                } set: { (value, frame) throws(EvaluationError) in
                    guard case .int(let temporality) = value else { throw .expects("int64", value) }
                    guard frame.metricType?.hasTemporality == true, let data = frame.metricData else { return }
                    let bits = IntegerForm.int32.bits(temporality)
                    frame.editor.setBits(data, Field.MetricData.temporality, .varint, bits)
                })
        case "is_monotonic":
            Paths.Found(
                path: FieldPath(shown) { frame in
                    guard frame.metricType == .sum, let data = frame.metricData else { return .null }
                    return .bool(frame.editor.bits(data, Field.MetricData.isMonotonic) != 0)
                } set: { (value, frame) throws(EvaluationError) in
                    guard case .bool(let isMonotonic) = value else { throw .expects("bool", value) }
                    guard frame.metricType == .sum, let data = frame.metricData else { return }
                    frame.editor.setBits(data, Field.MetricData.isMonotonic, .varint, isMonotonic ? 1 : 0)
                })
        default: nil
        }
    }
}
