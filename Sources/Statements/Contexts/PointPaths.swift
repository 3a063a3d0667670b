internal import OTLP

enum PointPaths {
    static func find(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "attributes":
            Paths.Found(
                path: AttributesPath(shown, .part, number: nil), isIndexable: true)
        case "start_time_unix_nano": Paths.Found(path: Fields.int(shown, .part, 2, .fixed64))
        case "time_unix_nano": Paths.Found(path: Fields.int(shown, .part, 3, .fixed64))
        case "start_time": Paths.Found(path: Fields.time(shown, .part, 2))
        case "time": Paths.Found(path: Fields.time(shown, .part, 3))
        case "value_double":
            Paths.Found(path: value(shown, level: .part, 4, other: 6, checksType: true))
        case "value_int": Paths.Found(path: value(shown, level: .part, 6, other: 4, checksType: true))
        case "exemplars":
            Paths.Found(
                path: FieldPath(shown) { frame throws(EvaluationError) in
                    guard let number = frame.metricType?.exemplars else { return .null }
                    return try Fields.messages(shown, .exemplars, number) { $0.part }.evaluate(frame)
                } set: { (value, frame) throws(EvaluationError) in
                    guard let number = frame.metricType?.exemplars else {
                        throw .expects("exemplars", value)
                    }
                    try Fields.messages(shown, .exemplars, number) { $0.part }.set(value, frame)
                })
        case "flags":
            Paths.Found(
                path: FieldPath(shown) { frame in
                    .int(Int64(bitPattern: frame.editor.bits(frame.part, frame.metricType?.flags ?? 8)))
                } set: { (value, frame) throws(EvaluationError) in
                    guard case .int(let flags) = value else { throw .expects("int64", value) }
                    let number = frame.metricType?.flags ?? 8
                    frame.editor.setBits(frame.part, number, .varint, IntegerForm.uint32.bits(flags))
                })
        case "count":
            Paths.Found(path: int(shown, 4, [.histogram, .exponentialHistogram, .summary], .fixed64))
        case "sum": Paths.Found(path: double(shown, 5, [.histogram, .exponentialHistogram, .summary]))
        case "bucket_counts": Paths.Found(path: numbers(shown, .counts, 6))
        case "explicit_bounds": Paths.Found(path: numbers(shown, .bounds, 7))
        case "scale": Paths.Found(path: int(shown, 6, [.exponentialHistogram], .varint, isZigzag: true))
        case "zero_count": Paths.Found(path: int(shown, 7, [.exponentialHistogram], .fixed64))
        case "positive": buckets(names, shown, 8)
        case "negative": buckets(names, shown, 9)
        case "quantile_values":
            Paths.Found(path: only([.summary], shown, Fields.messages(shown, .quantiles, 6) { $0.part }))
        default: nil
        }
    }

    static func exemplar(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "time_unix_nano": Paths.Found(path: Fields.int(shown, .exemplar, 2, .fixed64))
        case "time": Paths.Found(path: Fields.time(shown, .exemplar, 2))
        case "double_value": Paths.Found(path: value(shown, level: .exemplar, 3, other: 6, checksType: false))
        case "int_value": Paths.Found(path: value(shown, level: .exemplar, 6, other: 3, checksType: false))
        case "span_id": Paths.identifier(names, shown, .exemplar, 4, count: 8)
        case "trace_id": Paths.identifier(names, shown, .exemplar, 5, count: 16)
        case "filtered_attributes": Paths.attributes(shown, .exemplar, 7)
        default: nil
        }
    }

    /// One kind of a number that may be an integer or a float: 0 when it is the other kind.
    private static func value(
        _ shown: String, level: Level, _ number: UInt32, other: UInt32, checksType: Bool
    ) -> PathExpression {
        let isInt = number == 6
        return FieldPath(shown) { frame in
            if checksType, let type = frame.metricType, type != .gauge, type != .sum { return .null }
            let message = level.message(frame)
            let bits =
                isLast(number, or: other, in: message, frame.editor) ? frame.editor.bits(message, number) : 0
            return isInt ? .int(Int64(bitPattern: bits)) : .double(Double(bitPattern: bits))
        } set: { (value, frame) throws(EvaluationError) in
            let bits: UInt64
            switch value {
            case .int(let new) where isInt: bits = UInt64(bitPattern: new)
            case .double(let new) where !isInt: bits = new.bitPattern
            default: throw .expects(isInt ? "int64" : "float64", value)
            }
            if checksType, let type = frame.metricType, type != .gauge, type != .sum {
                throw EvaluationError("expects pmetric.NumberDataPoint but got \(type.pointName)")
            }
            let message = level.message(frame)
            frame.editor.remove(message, other)
            frame.editor.setBits(message, number, .fixed64, bits)
        }
    }

    /// Whether a field stands behind another one, or there is no other: of both the last counts.
    private static func isLast(
        _ number: UInt32, or other: UInt32, in message: MessageID, _ editor: RequestEditor
    ) -> Bool {
        guard editor.has(message, other) else { return true }
        for position in (0..<editor.fieldCount(message)).reversed() {
            let found = editor.number(message, at: position)
            if found == number || found == other { return found == number }
        }
        return false
    }

    /// A path that exists for some types of metrics: nil, and an error to set, for others.
    private static func only(_ types: Set<MetricType>, _ shown: String, _ path: PathExpression)
        -> PathExpression
    {
        FieldPath(shown) { frame throws(EvaluationError) in
            guard let type = frame.metricType, types.contains(type) else { return .null }
            return try path.evaluate(frame)
        } set: { (value, frame) throws(EvaluationError) in
            guard let type = frame.metricType, types.contains(type) else {
                let wanted = types.map(\.pointName).sorted().joined(separator: " or ")
                throw EvaluationError(
                    "expects \(wanted) but got \(frame.metricType?.pointName ?? "nothing")")
            }
            try path.set(value, frame)
        }
    }

    private static func int(
        _ shown: String, _ number: UInt32, _ types: Set<MetricType>, _ kind: WireKind, isZigzag: Bool = false
    ) -> PathExpression {
        only(
            types, shown,
            FieldPath(shown) { frame in
                let bits = frame.editor.bits(frame.part, number)
                return .int(isZigzag ? zigzag(bits) : Int64(bitPattern: bits))
            } set: { (value, frame) throws(EvaluationError) in
                guard case .int(let new) = value else { throw .expects("int64", value) }
                let bits = isZigzag ? zigzag(of: new) : UInt64(bitPattern: new)
                frame.editor.setBits(frame.part, number, kind, bits)
            })
    }

    static func zigzag(_ bits: UInt64) -> Int64 {
        Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1)
    }
    static func zigzag(of value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }

    private static func double(_ shown: String, _ number: UInt32, _ types: Set<MetricType>) -> PathExpression
    {
        only(
            types, shown,
            FieldPath(shown) { frame in
                .double(Double(bitPattern: frame.editor.bits(frame.part, number)))
            } set: { (value, frame) throws(EvaluationError) in
                guard case .double(let new) = value else { throw .expects("float64", value) }
                frame.editor.setBits(frame.part, number, .fixed64, new.bitPattern)
            })
    }

    /// Packed numbers of 8 bytes.
    private static func numbers(_ shown: String, _ kind: RecordObject.Kind, _ number: UInt32)
        -> PathExpression
    {
        only(
            [.histogram], shown,
            FieldPath(shown) { frame in
                let words = frame.editor.content(frame.part, number).array.words
                let values: [Value] = words.map {
                    kind == .counts ? .int(Int64(bitPattern: $0)) : .double(Double(bitPattern: $0))
                }
                return .object(RecordObject(kind: kind, count: values.count, parts: [], numbers: values))
            } set: { (value, frame) throws(EvaluationError) in
                var content: [UInt8] = []
                for item in try value.asList() {
                    switch item {
                    case .int(let new) where kind == .counts: content.appendFixed64(UInt64(bitPattern: new))
                    case .double(let new) where kind == .bounds: content.appendFixed64(new.bitPattern)
                    default: throw .expects(kind.rawValue, item)
                    }
                }
                frame.editor.setContent(frame.part, number, content)
            })
    }

    private static func buckets(_ names: [String], _ shown: String, _ number: UInt32) -> Paths.Found {
        switch names.count > 1 ? names[1] : "" {
        case "offset":
            let path = FieldPath(shown) { frame in
                .int(zigzag(frame.editor.bits(frame.editor.child(frame.part, number), 1)))
            } set: { (value, frame) throws(EvaluationError) in
                guard case .int(let new) = value else { throw .expects("int64", value) }
                frame.editor.setBits(frame.editor.child(frame.part, number), 1, .varint, zigzag(of: new))
            }
            return Paths.Found(path: only([.exponentialHistogram], shown, path), segments: 2)
        case "bucket_counts":
            let path = FieldPath(shown) { frame in
                let content = frame.editor.content(frame.editor.child(frame.part, number), 2).array
                let values = content.varints.map { Value.int(Int64(bitPattern: $0)) }
                return .object(RecordObject(kind: .counts, count: values.count, parts: [], numbers: values))
            } set: { (value, frame) throws(EvaluationError) in
                var content: [UInt8] = []
                for item in try value.asList() {
                    guard case .int(let new) = item else { throw .expects("[]uint64", item) }
                    content.appendVarint(UInt64(bitPattern: new))
                }
                frame.editor.setContent(frame.editor.child(frame.part, number), 2, content)
            }
            return Paths.Found(path: only([.exponentialHistogram], shown, path), segments: 2)
        default:
            let path = Fields.messages(shown, .buckets, number) { $0.part }
            return Paths.Found(path: only([.exponentialHistogram], shown, path))
        }
    }
}

extension [UInt8] {
    /// Little-endian numbers of 8 bytes.
    var words: [UInt64] {
        stride(from: 0, to: count - count % 8, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(self[start + $1]) << UInt64($1 * 8) }
        }
    }

    var varints: [UInt64] {
        var numbers: [UInt64] = []
        var (value, shift): (UInt64, UInt64) = (0, 0)
        for byte in self {
            if shift < 64 { value |= UInt64(byte & 0x7F) << shift }
            shift += 7
            if byte < 0x80 {
                numbers.append(value)
                (value, shift) = (0, 0)
            }
        }
        return numbers
    }
}
