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

    /// What `signal_to_metrics` has beside.
    static var measuring: [Function] {
        [
            Function("AdjustedCount", []) { _ in
                { (frame) throws(EvaluationError) in .double(try adjustedCount(frame)) }
            }
        ]
    }

    /// How many spans a sampled one stands for: the inverse of the probability in `ot=th:…` of the trace state (OpenTelemetry,
    /// "TraceState: Probability Sampling"); 1 without.
    private static func adjustedCount(_ frame: Frame) throws(EvaluationError) -> Double {
        let header = frame.editor.content(frame.item, Field.Span.traceState)
        if header.count == 0 { return 1 }
        guard let members = TraceState.members(header) else {
            throw EvaluationError("failed to parse w3c tracestate: \(header.text)")
        }
        guard let own = members.first(where: { $0.key == "ot" }) else { return 1 }
        for field in own.value.split(separator: ";") where field.hasPrefix("th:") {
            let digits = field.dropFirst(3)
            guard (1...14).contains(digits.utf8.count), let value = UInt64(digits, radix: 16) else {
                throw EvaluationError("failed to parse w3c tracestate: th:\(digits) is no threshold")
            }
            let rejected = value << UInt64(4 * (14 - digits.utf8.count))
            return 0x1p56 / Double((1 << 56) - rejected)
        }
        return 1
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
