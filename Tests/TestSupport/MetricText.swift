import OTLP

/// Metrics requests as short texts, for tests of processors of metrics.
///
///     c sum delta mono | a=x | 0..10 | int 5
///
/// A line is a point: metric, kind and properties; attributes; start and end in seconds; value. Points of one metric that
/// follow each other are in one metric. Values: `int 5`, `double 2.5`, `none`, `hist count sum [bounds] [counts]`, `exp count sum
/// scale zeros threshold offset [counts] offset [counts]`. `-` for a sum that is not there.
package enum MetricText {
    /// An `ExportMetricsServiceRequest` of a resource `service.name=checkout` and a scope `lib`.
    package static func request(_ lines: String..., service: String = "checkout", scope: String = "lib")
        -> [UInt8]
    {
        request(lines, service: service, scope: scope)
    }

    /// As above.
    package static func request(_ lines: [String], service: String = "checkout", scope: String = "lib")
        -> [UInt8]
    {
        var metrics: [(head: String, points: [[String]])] = []
        for line in lines {
            let parts = line.split(separator: "|").map { $0.split(separator: " ").map(String.init) }
            let head = parts[0].joined(separator: " ")
            let rest = [parts[1].joined(separator: " "), parts[2].joined(), parts[3].joined(separator: " ")]
            if metrics.last?.head == head {
                metrics[metrics.count - 1].points.append(rest)
            } else {
                metrics.append((head, [rest]))
            }
        }
        var writer = ProtoWriter()
        writer.message(1) { entry in
            entry.message(1) { $0.attribute(1, "service.name", service) }
            entry.message(2) { scopeEntry in
                scopeEntry.message(1) { $0.text(1, scope) }
                for metric in metrics {
                    scopeEntry.message(2) { write(metric.head, metric.points, &$0) }
                }
            }
        }
        return writer.bytes
    }

    private static func write(_ head: String, _ points: [[String]], _ writer: inout ProtoWriter) {
        let words = head.split(separator: " ").map(String.init)
        let kinds = ["gauge": 5, "sum": 7, "hist": 9, "exp": 10, "summary": 11]
        writer.text(1, words[0])
        writer.message(kinds[words[1]]!) { data in
            for point in points {
                data.message(1) { Self.point(words[1], point, &$0) }
            }
            if words.contains("delta") { data.integer(2, 1) }
            if words.contains("cumulative") { data.integer(2, 2) }
            if words.contains("mono") { data.integer(3, 1) }
        }
    }

    private static func point(_ kind: String, _ parts: [String], _ writer: inout ProtoWriter) {
        let attributes = kind == "exp" ? 1 : kind == "hist" ? 9 : 7
        for pair in parts[0].split(separator: ",") where !pair.allSatisfy({ $0 == " " }) {
            let sides = pair.split(separator: "=").map { $0.filter { $0 != " " } }
            writer.attribute(attributes, sides[0], sides[1])
        }
        let times = parts[1].split(separator: ".", omittingEmptySubsequences: true).map { UInt64($0)! }
        writer.fixed64(2, times[0] * 1_000_000_000)
        writer.fixed64(3, times[1] * 1_000_000_000)
        let value = parts[2].split(separator: " ").map(String.init)
        switch value[0] {
        case "int": writer.fixed64(6, UInt64(bitPattern: Int64(value[1])!))
        case "double": writer.double(4, Double(value[1])!)
        case "stale": writer.integer(8, 1)
        case "hist":
            writer.fixed64(4, UInt64(value[1])!)
            if let sum = Double(value[2]) { writer.double(5, sum) }
            writer.packedFixed64(6, list(value[4]).map { UInt64($0) })
            writer.packedFixed64(7, list(value[3]).map(\.bitPattern))
        case "exp": exponential(value, &writer)
        default: break
        }
    }

    private static func exponential(_ value: [String], _ writer: inout ProtoWriter) {
        writer.fixed64(4, UInt64(value[1])!)
        if let sum = Double(value[2]) { writer.double(5, sum) }
        writer.integer(6, zigzag(value[3]))
        writer.fixed64(7, UInt64(value[4])!)
        for (number, start) in [(8, 6), (9, 8)] {
            writer.message(number) {
                $0.integer(1, zigzag(value[start]))
                $0.packedVarint(2, list(value[start + 1]).map { UInt64($0) })
            }
        }
        writer.double(14, Double(value[5])!)
    }

    private static func zigzag(_ text: String) -> UInt64 {
        let number = Int64(text)!
        return UInt64(bitPattern: (number << 1) ^ (number >> 63))
    }

    private static func list(_ text: String) -> [Double] {
        text.filter { $0 != "[" && $0 != "]" }.split(separator: ",").map { Double($0)! }
    }
}
