import OTLP
import TestSupport

@testable import PrometheusReceiver

/// What a parser told, one line each: series by their labels.
final class PageLog: PageSink {
    var lines: [String] = []
    private var keys: [[UInt8]: Int32] = [:]
    private var names: [String] = []
    /// How often labels were read.
    var added = 0

    func declare(_ family: Span<UInt8>, type: MetricType) {
        lines.append("TYPE \(family.messageText) \(type.word)")
    }
    func declare(_ family: Span<UInt8>, help: String) { lines.append("HELP \(family.messageText) \(help)") }
    func declare(_ family: Span<UInt8>, unit: String) { lines.append("UNIT \(family.messageText) \(unit)") }

    func series(_ key: Span<UInt8>) -> Int32? { keys[bytes(key)] }

    func add(_ key: Span<UInt8>, labels: [Label], declaredAs type: MetricType?) throws(PageError) -> Int32 {
        added += 1
        let number = Int32(names.count)
        keys[bytes(key)] = number
        names.append(labels.map { "\($0.name)=\($0.value)" }.joined(separator: ","))
        return number
    }

    func record(_ series: Int32, _ value: Double, timestamp: Int64?) throws(PageError) {
        lines.append("\(names[Int(series)]) \(value)" + (timestamp.map { " @\($0)" } ?? ""))
    }

    func record(_ series: Int32, _ histogram: NativeHistogram, timestamp: Int64?) throws(PageError) {
        lines.append(
            "\(names[Int(series)]) native schema \(histogram.schema) zero \(histogram.zeroCount) sum \(histogram.sum)"
                + " count \(histogram.count) +\(histogram.positive.firstIndex)\(histogram.positive.counts)"
                + " -\(histogram.negative.firstIndex)\(histogram.negative.counts)")
    }

    func record(_ series: Int32, _ exemplar: PageExemplar) {
        let labels = exemplar.labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        lines.append(
            "  exemplar {\(labels)} \(exemplar.value)" + (exemplar.timestamp.map { " @\($0)" } ?? ""))
    }

    func record(_ series: Int32, created: Int64) { lines.append("  created \(created)") }

    private func bytes(_ span: Span<UInt8>) -> [UInt8] { (0..<span.count).map { span[$0] } }
}

func parse<Sink: PageSink>(
    _ page: String, as format: TextParser.Format = .text, into sink: Sink, portion: Int = .max
) throws(PageError) {
    let bytes = Array(page.utf8)
    var parser = TextParser(format)
    while try !parser.parse(bytes.span, bytesMax: portion, into: sink) {}
}

func parseProtobuf<Sink: PageSink>(
    _ page: [UInt8], into sink: Sink, classic: Bool = false, portion: Int = .max
) throws {
    var parser = ProtobufParser(readsClassicBesidesNative: classic)
    try page.withUnsafeBytes { bytes in
        while try !parser.parse(WireBytes(bytes), bytesMax: portion, into: sink) {}
    }
}

/// A target whose pages are strings, and the lines of what comes out.
final class Target {
    let table: SeriesTable
    let encoder = MetricEncoder(scopeName: "test", scopeVersion: "1")
    private var time: Int64 = 0

    init(_ change: (inout SeriesRules) -> Void = { _ in }) {
        var rules = SeriesRules()
        rules.targetLabels = LabelSet([Label("job", "app"), Label("instance", "host:80")])
        change(&rules)
        table = SeriesTable(rules)
    }

    /// Scrapes once a second. `page` nil is a target that does not answer.
    @discardableResult
    func scrape(
        _ page: String?, as format: TextParser.Format = .text, accepted: Bool = true
    ) throws -> [String] {
        try scrape(accepted: accepted) { () throws(PageError) in
            guard let page else { throw .truncated("down") }
            try parse(page, as: format, into: self.table)
        }
    }

    func scrape(accepted: Bool = true, _ parse: () throws(PageError) -> Void) throws -> [String] {
        time += 1_000_000_000
        table.begin()
        var succeeded = true
        do throws(PageError) { try parse() } catch { succeeded = false }
        let counts = table.counts
        table.end(
            succeeded: succeeded,
            report: [
                succeeded ? 1 : 0, 0.5, Double(counts.scraped), Double(counts.kept), Double(counts.added),
            ],
            at: time)
        return try output(succeeded: succeeded, accepted: accepted)
    }

    /// The target goes.
    func leave() throws -> [String] {
        time += 1_000_000_000
        table.begin()
        table.end(succeeded: false, report: nil, at: time)
        return try output(succeeded: false, accepted: true)
    }

    private func output(succeeded: Bool, accepted: Bool) throws -> [String] {
        var lines: [String] = []
        var items = 0
        encoder.encode(table, at: time) { bytes, count in
            items += count
            lines += describe(bytes)
            let summary = try? bytes.withUnsafeBytes { try summarize($0, as: .metrics) }
            if summary?.items != count {
                lines.append("INVALID: \(String(describing: summary)) for \(count)")
            }
        }
        if accepted { table.settle(succeeded: succeeded) }
        return lines
    }
}

/// Lines without the five series that every scrape adds.
func own(_ lines: [String]) -> [String] {
    lines.filter {
        !$0.hasPrefix("up ") && !$0.hasPrefix("scrape_") && !$0.hasPrefix("resource ")
            && !$0.hasPrefix("scope ")
    }
}

/// A request of metrics as lines, read without the code under test.
func describe(_ request: [UInt8]) -> [String] {
    var lines: [String] = []
    request.withUnsafeBytes { bytes in
        for resource in WireBytes(bytes).fields {
            for part in resource.bytes.fields where part.number == 1 {
                lines.append("resource " + attributes(part.bytes, 1))
            }
            for scope in resource.bytes.fields where scope.number == 2 {
                for part in scope.bytes.fields where part.number == 1 {
                    let name = part.bytes.fields.filter { $0.number < 3 }.map { $0.bytes.text }
                    lines.append("scope " + name.joined(separator: " ") + attributes(part.bytes, 3))
                }
                for metric in scope.bytes.fields where metric.number == 2 { lines += describe(metric.bytes) }
            }
        }
    }
    return lines
}

private func describe(_ metric: WireBytes) -> [String] {
    var name = ""
    var words = ""
    var lines: [String] = []
    for field in metric.fields {
        switch field.number {
        case 1: name = field.bytes.text
        case 2: words += " (\(field.bytes.text))"
        case 3: words += " [\(field.bytes.text)]"
        case 12: break
        default:
            let kind =
                [5: "gauge", 7: "sum", 9: "histogram", 10: "exponential", 11: "summary"][field.number] ?? "?"
            let isMonotonic = field.bytes.fields.contains { $0.number == 3 && $0.bool }
            let temporality = field.bytes.fields.first { $0.number == 2 && !$0.isBytes }?.int64 ?? 0
            let full = isMonotonic ? "counter" : kind
            for point in field.bytes.fields where point.number == 1 {
                lines.append(
                    "\(name)\(words) \(full)\(kind == "gauge" || kind == "summary" || temporality == 2 ? "" : "?")"
                        + pointText(point.bytes, kind))
            }
        }
    }
    return lines
}

private func pointText(_ point: WireBytes, _ kind: String) -> String {
    let attributesField: UInt32 = kind == "histogram" ? 9 : kind == "exponential" ? 1 : 7
    var text = attributes(point, attributesField)
    for field in point.fields {
        switch (kind, field.number) {
        case (_, 2): text += " start \(field.bits / 1_000_000_000)"
        case (_, 3): text += " at \(field.bits / 1_000_000_000)"
        case (_, attributesField): break
        case ("gauge", 4), ("sum", 4): text += " = \(field.double)"
        case ("gauge", 5), ("sum", 5), ("histogram", 8), ("exponential", 11):
            text += " exemplar"
            for part in field.bytes.fields {
                switch part.number {
                case 3: text += " \(part.double)"
                case 4, 5: text += " id\(part.bytes.count)"
                case 7: text += " \(part.bytes.fields.map { $0.number == 1 ? $0.bytes.text : "" }.joined())"
                default: break
                }
            }
        case ("gauge", 8), ("sum", 8), ("summary", 8), ("histogram", 10), ("exponential", 10):
            text += field.bits == 1 ? " STALE" : ""
        case ("histogram", 4), ("exponential", 4), ("summary", 4): text += " count \(field.bits)"
        case ("histogram", 5), ("exponential", 5), ("summary", 5): text += " sum \(field.double)"
        case ("histogram", 6): text += " buckets \(words(field.bytes).map { $0 })"
        case ("histogram", 7): text += " bounds \(words(field.bytes).map { Double(bitPattern: $0) })"
        case ("summary", 6): text += " q" + field.bytes.fields.map { ":\($0.double)" }.joined()
        case ("exponential", 6): text += " scale \(field.zigzag)"
        case ("exponential", 7): text += " zero \(field.bits)"
        case ("exponential", 8), ("exponential", 9):
            text += field.number == 8 ? " +" : " -"
            for part in field.bytes.fields {
                text += part.number == 1 ? "\(part.zigzag)" : "\(part.bytes.array)"
            }
        default: text += " field \(field.number)"
        }
    }
    return text
}

private func words(_ bytes: WireBytes) -> [UInt64] {
    stride(from: 0, to: bytes.count, by: 8).map { start in
        (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << UInt64($1 * 8) }
    }
}

private func attributes(_ message: WireBytes, _ number: UInt32) -> String {
    let pairs = message.fields.filter { $0.number == number }.map { field in
        var pair = ["", ""]
        for part in field.bytes.fields {
            if part.number == 1 { pair[0] = part.bytes.text }
            if part.number == 2 { pair[1] = part.bytes.fields.first { $0.number == 1 }?.bytes.text ?? "?" }
        }
        return pair.joined(separator: "=")
    }
    return pairs.isEmpty ? "" : "{" + pairs.joined(separator: ",") + "}"
}
