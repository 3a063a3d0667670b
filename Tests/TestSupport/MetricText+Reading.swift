import OTLP

extension MetricText {
    /// The points of a request, one line each as `request` takes them, attributes sorted; other resources than `checkout` and
    /// other scopes than `lib` before it.
    package static func lines(_ request: [UInt8]) -> [String] {
        request.withUnsafeBytes { buffer in
            var lines: [String] = []
            for resource in WireBytes(buffer).fields where resource.number == 1 {
                let attributes = resource.bytes.list.first { $0.number == 1 }.map { text($0.bytes, 1) } ?? ""
                for scope in resource.bytes.fields where scope.number == 2 {
                    let name = scope.bytes.list.first { $0.number == 1 }?.bytes.list.first?.bytes.text ?? ""
                    var prefix = attributes == "service.name=checkout" ? "" : attributes + " / "
                    if name != "lib" { prefix += name + " / " }
                    for metric in scope.bytes.fields where metric.number == 2 {
                        lines += Self.metric(metric.bytes).map { prefix + $0 }
                    }
                }
            }
            return lines
        }
    }

    private static func metric(_ metric: WireBytes) -> [String] {
        let kinds: [UInt32: String] = [5: "gauge", 7: "sum", 9: "hist", 10: "exp", 11: "summary"]
        var name = ""
        var kind = ""
        var data = WireBytes.none
        for field in metric.fields {
            if field.number == 1 { name = field.bytes.text }
            guard let known = kinds[field.number] else { continue }
            kind = known
            data = field.bytes
        }
        var head = name + " " + kind
        for field in data.fields {
            if field.number == 2 { head += field.bits == 1 ? " delta" : field.bits == 2 ? " cumulative" : "" }
            if field.number == 3, field.bits == 1 { head += " mono" }
        }
        return data.fields.filter { $0.number == 1 }.map { head + " | " + point(kind, $0.bytes) }
    }

    private static func point(_ kind: String, _ point: WireBytes) -> String {
        let attributes: UInt32 = kind == "exp" ? 1 : kind == "hist" ? 9 : 7
        let start = (point.list.last { $0.number == 2 }?.bits ?? 0) / 1_000_000_000
        let end = (point.list.last { $0.number == 3 }?.bits ?? 0) / 1_000_000_000
        return "\(text(point, attributes)) | \(start)..\(end) | \(value(kind, point))"
    }

    private static func text(_ message: WireBytes, _ number: UInt32) -> String {
        message.fields.filter { $0.number == number }.map { field in
            let attribute = Attribute(field.bytes)
            switch attribute.value {
            case .string(let text): return "\(attribute.key.text)=\(text.text)"
            case .int(let number): return "\(attribute.key.text)=\(number)"
            default: return "\(attribute.key.text)=?"
            }
        }.sorted().joined(separator: ",")
    }

    private static func value(_ kind: String, _ point: WireBytes) -> String {
        func bits(_ number: UInt32) -> UInt64? { point.list.last { $0.number == number }?.bits }
        func double(_ number: UInt32) -> String { bits(number).map { short(Double(bitPattern: $0)) } ?? "-" }
        switch kind {
        case "gauge", "sum":
            if let int = bits(6) { return "int \(Int64(bitPattern: int))" }
            if bits(4) != nil { return "double \(double(4))" }
            return bits(8) == 1 ? "stale" : "none"
        case "hist":
            let bounds = fixed(point, 7).map { short(Double(bitPattern: $0)) }.joined(separator: ",")
            let counts = fixed(point, 6).map { "\($0)" }.joined(separator: ",")
            return "hist \(bits(4) ?? 0) \(double(5)) [\(bounds)] [\(counts)]"
        case "exp":
            let scale = signed(bits(6) ?? 0)
            let threshold = short(Double(bitPattern: bits(14) ?? 0))
            return "exp \(bits(4) ?? 0) \(double(5)) \(scale) \(bits(7) ?? 0) \(threshold) "
                + buckets(point, 8) + " " + buckets(point, 9)
        default: return kind
        }
    }

    private static func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }

    private static func signed(_ bits: UInt64) -> Int64 { Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1) }

    private static func fixed(_ message: WireBytes, _ number: UInt32) -> [UInt64] {
        let packed = message.list.last { $0.number == number }?.bytes.array ?? []
        return stride(from: 0, to: packed.count, by: 8).map { start in
            packed[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    private static func buckets(_ point: WireBytes, _ number: UInt32) -> String {
        guard let message = point.list.last(where: { $0.number == number })?.bytes else { return "0 []" }
        let offset = signed(message.list.last { $0.number == 1 }?.bits ?? 0)
        var counts: [UInt64] = []
        var current: UInt64 = 0
        var shift: UInt64 = 0
        for byte in message.list.last(where: { $0.number == 2 })?.bytes.array ?? [] {
            current |= UInt64(byte & 0x7F) << shift
            shift += 7
            guard byte < 0x80 else { continue }
            counts.append(current)
            (current, shift) = (0, 0)
        }
        return "\(offset) [" + counts.map { "\($0)" }.joined(separator: ",") + "]"
    }
}

extension WireBytes {
    fileprivate var list: [WireField] { Array(fields) }
}
