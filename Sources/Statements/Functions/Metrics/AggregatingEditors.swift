internal import MetricStreams
internal import OTLP

/// `aggregate_on_attributes` and `aggregate_on_attribute_value`: points that have the same attributes become one.
enum AggregatingEditors {
    static var all: [Function] { [onAttributes, onValue] }

    private static let hasher = StreamHasher()

    private static func aggregation(named name: String) throws(FunctionError) -> PointAggregation {
        guard let found = PointAggregation(rawValue: name) else {
            throw FunctionError(
                "invalid aggregation function: '\(name)', valid options: 'sum', 'max', 'min', 'mean', 'median', "
                    + "'count'")
        }
        return found
    }

    private static var onAttributes: Function {
        Function(
            "aggregate_on_attributes",
            [.required("aggregation_function", .literalString), .optional("attributes", .literalStrings)]
        ) { arguments throws(FunctionError) in
            let aggregation = try aggregation(named: arguments.text(0) ?? "")
            let kept = arguments.texts(1)?.map { Bytes($0) }
            return { frame throws(EvaluationError) in
                try aggregate(frame, aggregation) { editor, table in
                    guard let kept else { return }
                    editor.forEachAttribute(table) { position in
                        let key = Bytes.borrowed(editor.key(table, at: position))
                        if !kept.contains(where: { $0 == key }) {
                            editor.removeAttribute(table, at: position)
                        }
                    }
                }
                return .null
            }
        }
    }

    private static var onValue: Function {
        Function(
            "aggregate_on_attribute_value",
            [
                .required("aggregation_function", .literalString), .required("attribute", .literalString),
                .required("values", .literalStrings), .required("new_value", .literalString),
            ]
        ) { arguments throws(FunctionError) in
            let aggregation = try aggregation(named: arguments.text(0) ?? "")
            let key = Bytes(arguments.text(1) ?? "")
            let values = arguments.texts(2)?.map { Bytes($0) } ?? []
            let new = Value.text(arguments.text(3) ?? "")
            return { frame throws(EvaluationError) in
                try aggregate(frame, aggregation) { editor, table in
                    key.lend { key in
                        guard case .string(let old)? = editor.value(key, in: table),
                            values.contains(where: { $0 == .borrowed(old) })
                        else { return }
                        new.lend { editor.set(key, to: $0, in: table) }
                    }
                }
                return .null
            }
        }
    }

    /// Changes the attributes of all points, then makes those that became alike one.
    private static func aggregate(
        _ frame: Frame, _ aggregation: PointAggregation,
        _ change: (RequestEditor, AttributeTable) -> Void
    ) throws(EvaluationError) {
        guard let type = frame.metricType, type != .summary, let data = frame.metricData else {
            throw EvaluationError(
                "aggregate_on_attributes does not support metrics of type \(frame.metricType?.name ?? "Empty")"
            )
        }
        guard type == .gauge || type == .sum || aggregation == .sum else {
            throw EvaluationError("\(type.name) supports the aggregation function 'sum' only")
        }
        let editor = frame.editor
        for position in 0..<editor.fieldCount(data)
        where editor.number(data, at: position) == Field.MetricData.dataPoints {
            let point = editor.child(data, at: position)
            change(editor, AttributeTable(point, type.attributes))
            editor.close(point)
        }
        aggregation.merge(data, kind: type.rawValue, of: editor, hasher)
    }
}
