internal import OTLP

/// Values as text, as Go prints them.
enum TextForm {
    /// `%v`.
    static func text(_ value: Value) -> String {
        switch value {
        case .null: "<nil>"
        case .bool(let value): value ? "true" : "false"
        case .int(let value): "\(value)"
        case .double(let value): general(value)
        case .string(let bytes): bytes.text
        case .bytes(let bytes): "[" + bytes.array.map { "\($0)" }.joined(separator: " ") + "]"
        case .list(.items(let items)): "[" + items.map(text).joined(separator: " ") + "]"
        case .list, .map: String(decoding: json(value), as: UTF8.self)
        case .time(let time): TimeText.shown(time)
        case .duration(let duration): DurationText.text(duration.count)
        case .traceID(let bytes), .spanID(let bytes): hex(bytes.array)
        case .object(let object): object.kind.rawValue
        }
    }

    /// `%v` of a float: an exponent below 1e-4 and from 1e6 on.
    static func general(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf" }
        let decimal = ShortestDecimal(value)
        return value != 0 && (decimal.point < -3 || decimal.point > 6)
            ? decimal.scientific(exponentDigits: 2) : decimal.plain
    }

    static func hex(_ bytes: [UInt8]) -> String { String(decoding: hexDigits(bytes), as: UTF8.self) }

    static func hexDigits(_ bytes: [UInt8]) -> [UInt8] {
        func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        return text
    }

    /// The Collector's `AsString` of an attribute value: texts as they are, bytes in base64, lists and maps as JSON.
    static func attributeText(_ value: Value) -> Bytes {
        if case .string(let bytes) = value { return bytes }
        var text: [UInt8] = []
        value.lend { text = AttributeText($0).bytes }
        return .owned(text)
    }

    // MARK: - JSON

    static func json(_ value: Value) -> [UInt8] {
        var output: [UInt8] = []
        appendJSON(value, to: &output)
        return output
    }

    private static func appendJSON(_ value: Value, to output: inout [UInt8]) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .int(let value): output += "\(value)".utf8
        case .double(let value): output += number(value).utf8
        case .string(let bytes): appendJSON(string: bytes.text, to: &output)
        case .bytes(let bytes):
            appendJSON(string: String(decoding: Base64.encode(bytes.array), as: UTF8.self), to: &output)
        case .list(let list):
            output.append(UInt8(ascii: "["))
            for (index, item) in list.items.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                appendJSON(item, to: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .map(let map):
            output.append(UInt8(ascii: "{"))
            let sorted = map.entries.sorted { $0.key.order($1.key) < 0 }
            for (index, entry) in sorted.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                appendJSON(string: entry.key.text, to: &output)
                output.append(UInt8(ascii: ":"))
                appendJSON(entry.value, to: &output)
            }
            output.append(UInt8(ascii: "}"))
        case .duration(let duration): output += "\(duration.count)".utf8
        case .time(let time): appendJSON(string: TimeText.rfc3339(time), to: &output)
        default: appendJSON(string: text(value), to: &output)
        }
    }

    /// An exponent below 1e-6 and from 1e21 on, of two digits at least.
    private static func number(_ value: Double) -> String {
        guard value.isFinite else { return text(.double(value)) }
        let decimal = ShortestDecimal(value)
        return value != 0 && (abs(value) < 1e-6 || abs(value) >= 1e21)
            ? decimal.scientific(exponentDigits: 2) : decimal.plain
    }

    /// `<`, `>` and `&` escaped, as Go's encoder does.
    private static func appendJSON(string text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\"".utf8
            case "\\": output += "\\\\".utf8
            case "\n": output += "\\n".utf8
            case "\r": output += "\\r".utf8
            case "\t": output += "\\t".utf8
            case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                output += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
            default: output += String(Character(scalar)).utf8
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
