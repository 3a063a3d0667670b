internal import OTLP

enum LogPaths {
    static func find(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "time_unix_nano": Paths.Found(path: Fields.int(shown, .item, 1, .fixed64))
        case "observed_time_unix_nano": Paths.Found(path: Fields.int(shown, .item, 11, .fixed64))
        case "time": Paths.Found(path: Fields.time(shown, .item, 1))
        case "observed_time": Paths.Found(path: Fields.time(shown, .item, 11))
        case "severity_number": Paths.Found(path: Fields.int(shown, .item, 2, .varint, .int32))
        case "severity_text": Paths.Found(path: Fields.text(shown, .item, 3))
        case "body" where names.count > 1 && names[1] == "string":
            Paths.Found(path: bodyText(shown), segments: 2)
        case "body": Paths.Found(path: BodyPath(shown), isIndexable: true)
        case "attributes": Paths.attributes(shown, .item, 6)
        case "dropped_attributes_count": Paths.Found(path: Fields.int(shown, .item, 7, .varint, .uint32))
        case "flags": Paths.Found(path: Fields.int(shown, .item, 8, .fixed32, .uint32))
        case "trace_id": Paths.identifier(names, shown, .item, 9, count: 16)
        case "span_id": Paths.identifier(names, shown, .item, 10, count: 8)
        case "event_name": Paths.Found(path: Fields.text(shown, .item, 12))
        default: nil
        }
    }

    private static func bodyText(_ shown: String) -> PathExpression {
        let body = BodyPath(shown)
        return FieldPath(shown) { frame throws(EvaluationError) in
            .string(TextForm.attributeText(try body.evaluate(frame)))
        } set: { (value, frame) throws(EvaluationError) in
            try body.set(.text(value.expectedText()), frame)
        }
    }
}
