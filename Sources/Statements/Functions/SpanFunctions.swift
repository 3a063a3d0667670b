internal import OTLP

/// What only spans, and their events, have.
enum SpanFunctions {
    static var converters: [Function] {
        [
            Function("IsRootSpan", []) { _ in
                { frame in
                    let parent = frame.editor.content(frame.item, Field.Span.parentSpanID)
                    return .bool((0..<parent.count).allSatisfy { parent[$0] == 0 })
                }
            }
        ]
    }
}

/// What the metric context of conditions has: about any of a metric's points.
enum MetricConverters {
    static var all: [Function] {
        [
            Function("HasAttrKeyOnDatapoint", [.required("key", .literalString)]) { arguments in
                let key = Array((arguments.text(0) ?? "").utf8)
                return { frame in .bool(first(frame, key) != nil) }
            },
            // The first point that has the key decides, as in the Collector.
            Function(
                "HasAttrOnDatapoint",
                [.required("key", .literalString), .required("expected_val", .literalString)]
            ) { arguments in
                let key = Array((arguments.text(0) ?? "").utf8)
                let expected = Bytes(arguments.text(1) ?? "")
                return { frame in
                    guard case .string(let text) = first(frame, key) else { return .bool(false) }
                    return .bool(text == expected)
                }
            },
        ]
    }

    private static func first(_ frame: Frame, _ key: [UInt8]) -> Value? {
        guard let type = frame.metricType else { return nil }
        let data = frame.editor.content(frame.item, type.rawValue)
        for point in data.fields where point.number == Field.MetricData.dataPoints {
            for field in point.bytes.fields where field.number == type.attributes {
                let entry = MapEntry(keyValue: field.bytes)
                if entry.key.equals(key) { return entry.value }
            }
        }
        return nil
    }
}
