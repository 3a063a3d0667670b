/// What only spans, and their events, have.
enum SpanFunctions {
    static var converters: [Function] {
        [
            Function("IsRootSpan", []) { _ in
                { frame in .bool((frame.item.content(4)?.array ?? []).allSatisfy { $0 == 0 }) }
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
                return { frame in .bool(first(frame.item, key) != nil) }
            },
            // The first point that has the key decides, as in the Collector.
            Function(
                "HasAttrOnDatapoint",
                [.required("key", .literalString), .required("expected_val", .literalString)]
            ) { arguments in
                let key = Array((arguments.text(0) ?? "").utf8)
                let expected = Bytes(arguments.text(1) ?? "")
                return { frame in
                    guard case .string(let text) = first(frame.item, key) else { return .bool(false) }
                    return .bool(text == expected)
                }
            },
        ]
    }

    private static func first(_ metric: Message, _ key: [UInt8]) -> Value? {
        guard let type = MetricType(metric), let data = metric.metricData else { return nil }
        for point in data.children(1) {
            for index in point.entries.indices where point.entries[index].number == type.attributes {
                guard case .borrowed(let bytes) = point.content(at: index) else { continue }
                let entry = MapEntry(keyValue: bytes)
                if entry.key.equals(key) { return entry.value }
            }
        }
        return nil
    }
}
