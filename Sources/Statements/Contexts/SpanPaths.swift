internal import OTLP

enum SpanPaths {
    static let kinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]

    static func find(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "trace_id": Paths.identifier(names, shown, .item, 1, count: 16)
        case "span_id": Paths.identifier(names, shown, .item, 2, count: 8)
        case "parent_span_id": Paths.identifier(names, shown, .item, 4, count: 8)
        case "trace_state": Paths.Found(path: Fields.text(shown, .item, 3), isIndexable: true)
        case "name": Paths.Found(path: Fields.text(shown, .item, 5))
        case "kind": kind(names, shown)
        case "start_time_unix_nano": Paths.Found(path: Fields.int(shown, .item, 7, .fixed64))
        case "end_time_unix_nano": Paths.Found(path: Fields.int(shown, .item, 8, .fixed64))
        case "start_time": Paths.Found(path: Fields.time(shown, .item, 7))
        case "end_time": Paths.Found(path: Fields.time(shown, .item, 8))
        case "attributes": Paths.attributes(shown, .item, 9)
        case "dropped_attributes_count": Paths.Found(path: Fields.int(shown, .item, 10, .varint, .uint32))
        case "events": Paths.Found(path: Fields.messages(shown, .events, 11) { $0.item })
        case "dropped_events_count": Paths.Found(path: Fields.int(shown, .item, 12, .varint, .uint32))
        case "links": Paths.Found(path: Fields.messages(shown, .links, 13) { $0.item })
        case "dropped_links_count": Paths.Found(path: Fields.int(shown, .item, 14, .varint, .uint32))
        case "status": status(names, shown)
        case "flags": Paths.Found(path: flags(shown))
        default: nil
        }
    }

    static func event(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names[0] {
        case "time_unix_nano": Paths.Found(path: Fields.int(shown, .part, 1, .fixed64))
        case "time": Paths.Found(path: Fields.time(shown, .part, 1))
        case "name": Paths.Found(path: Fields.text(shown, .part, 2))
        case "attributes": Paths.attributes(shown, .part, 3)
        case "dropped_attributes_count": Paths.Found(path: Fields.int(shown, .part, 4, .varint, .uint32))
        case "event_index": Paths.Found(path: Fields.readOnly(shown) { frame in .int(Int64(frame.index)) })
        default: nil
        }
    }

    private static func kind(_ names: [String], _ shown: String) -> Paths.Found {
        switch names.count > 1 ? names[1] : "" {
        case "string": Paths.Found(path: kindText(shown, kinds), segments: 2)
        case "deprecated_string":
            Paths.Found(path: kindText(shown, kinds.map { "SPAN_KIND_" + $0.uppercased() }), segments: 2)
        default: Paths.Found(path: Fields.int(shown, .item, 6, .varint, .int32))
        }
    }

    private static func kindText(_ shown: String, _ names: [String]) -> PathExpression {
        let texts = names.map { Value.text($0) }
        return FieldPath(shown) { frame in
            let kind = frame.editor.bits(frame.item, Field.Span.kind)
            return kind < 6 ? texts[Int(kind)] : .text("")
        } set: { (value, frame) throws(EvaluationError) in
            let text = try value.expectedText()
            guard let index = names.firstIndex(of: text) else {
                throw EvaluationError("unknown span kind string, \(text)")
            }
            frame.editor.setBits(frame.item, Field.Span.kind, .varint, UInt64(index))
        }
    }

    private static func status(_ frame: Frame) -> MessageID {
        frame.editor.child(frame.item, Field.Span.status)
    }

    private static func status(_ names: [String], _ shown: String) -> Paths.Found {
        switch names.count > 1 ? names[1] : "" {
        case "code":
            return Paths.Found(
                path: FieldPath(shown) { frame in
                    .int(Int64(bitPattern: frame.editor.bits(status(frame), Field.SpanStatus.code)))
                } set: { (value, frame) throws(EvaluationError) in
                    guard case .int(let code) = value else { throw .expects("int64", value) }
                    let bits = IntegerForm.int32.bits(code)
                    frame.editor.setBits(status(frame), Field.SpanStatus.code, .varint, bits)
                }, segments: 2)
        case "message":
            return Paths.Found(
                path: FieldPath(shown) { frame in
                    .string(.borrowed(frame.editor.content(status(frame), Field.SpanStatus.message)))
                } set: { (value, frame) throws(EvaluationError) in
                    guard case .string(let text) = value else { throw .expects("string", value) }
                    frame.editor.setContent(status(frame), Field.SpanStatus.message, text.asText)
                }, segments: 2)
        default:
            return Paths.Found(path: Fields.messages(shown, .status, 15) { $0.item })
        }
    }

    /// Other than the other numbers, they do not wrap.
    private static func flags(_ shown: String) -> PathExpression {
        let path = Fields.int(shown, .item, 16, .fixed32, .uint32)
        return FieldPath(shown) { frame throws(EvaluationError) in
            try path.evaluate(frame)
        } set: { (value, frame) throws(EvaluationError) in
            if case .int(let flags) = value, UInt32(exactly: flags) == nil {
                throw EvaluationError("span flags must be between 0 and \(UInt32.max), got \(flags)")
            }
            try path.set(value, frame)
        }
    }
}

extension Value {
    /// For setters.
    func expectedText() throws(EvaluationError) -> String {
        guard case .string(let bytes) = self else { throw .expects("string", self) }
        return bytes.text
    }
}
