import Configuration
package import NIOCore
package import OTLP
package import Pipeline

extension PipelineOutput {
    /// A pipeline behind a connector, which ends in this consumer.
    package static func test(
        _ pipeline: String, _ signal: Signal = .traces, _ consumer: any Consumer, answersLater: Bool = false
    ) -> PipelineOutput {
        guard let id = ComponentID("test") else { preconditionFailure("test is an id") }
        let account = NodeAccount(kind: .connector, id: id, signal: signal)
        return PipelineOutput(
            PipelineInput(consumer, answersLater: answersLater),
            pipeline: PipelineID(signal: signal, name: pipeline), account)
    }
}

/// A request of metrics as lines, one for each point: `name{key=value,…} value`, sorted. Times are left out.
package enum MetricLines {
    package static func read(_ batches: [Batch]) -> [String] {
        batches.flatMap { $0.slices.flatMap { read($0.bytes) } }.sorted()
    }

    package static func read(_ bytes: ByteBuffer) -> [String] {
        bytes.withUnsafeReadableBytes { bytes in
            var lines: [String] = []
            for resource in WireBytes(bytes).fields where resource.number == 1 {
                for scope in resource.bytes.fields where scope.number == 2 {
                    for metric in scope.bytes.fields where metric.number == 2 {
                        lines += points(metric.bytes)
                    }
                }
            }
            return lines
        }
    }

    private static func points(_ metric: WireBytes) -> [String] {
        let head = MetricHead(metric)
        let name = head.name.text
        return head.data.fields.filter { $0.number == 1 }.map { point in
            switch head.kind {
            case 9: name + labels(point.bytes, 9) + histogram(point.bytes)
            case 10: name + labels(point.bytes, 1) + exponential(point.bytes)
            default: name + labels(point.bytes, 7) + number(point.bytes)
            }
        }
    }

    package static func labels(_ message: WireBytes, _ number: UInt32) -> String {
        let pairs = message.fields.filter { $0.number == number }.map { field in
            let attribute = Attribute(field.bytes)
            return attribute.key.text + "=" + text(attribute.value)
        }
        return "{" + pairs.joined(separator: ",") + "}"
    }

    private static func text(_ value: AttributeValue) -> String {
        switch value {
        case .string(let text): text.text
        case .bool(let flag): "\(flag)"
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        default: "?"
        }
    }

    private static func number(_ point: WireBytes) -> String {
        for field in point.fields {
            if field.number == 4 { return " \(field.double)" }
            if field.number == 6 { return " \(field.int64)" }
        }
        return " -"
    }

    private static func histogram(_ point: WireBytes) -> String {
        var count: UInt64 = 0
        var sum = 0.0
        var filled: [String] = []
        for field in point.fields {
            switch field.number {
            case 4: count = field.bits
            case 5: sum = field.double
            case 6:
                for (index, value) in words(field.bytes).enumerated() where value > 0 {
                    filled.append("\(index):\(value)")
                }
            default: break
            }
        }
        return " n=\(count) sum=\(sum) [" + filled.joined(separator: " ") + "]"
    }

    private static func exponential(_ point: WireBytes) -> String {
        var count: UInt64 = 0
        var zero: UInt64 = 0
        var scale: Int64 = 0
        for field in point.fields {
            switch field.number {
            case 4: count = field.bits
            case 6: scale = field.zigzag
            case 7: zero = field.bits
            default: break
            }
        }
        return " n=\(count) zero=\(zero) scale=\(scale)"
    }

    private static func words(_ bytes: WireBytes) -> [UInt64] {
        stride(from: 0, to: bytes.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
        }
    }
}
