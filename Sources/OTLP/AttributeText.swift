/// Attribute values as text as the Collector's `AsString` gives them: texts as they are, bytes in base 64, lists and maps as
/// JSON with sorted keys, no value as nothing.
package struct AttributeText: ValueText {
    /// UTF-8.
    package private(set) var bytes: [UInt8] = []

    /// The text of a value.
    package init(_ value: AttributeValue) {
        if case .double(let number) = value, !number.isFinite { append("json: unsupported value: ") }
        appendText(value)
    }

    package mutating func append(_ byte: UInt8) { bytes.append(byte) }

    package mutating func append(_ text: StaticString) {
        // SAFETY: the text is static.
        unsafe bytes.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    package mutating func appendDecimal(_ value: Int64) { bytes += "\(value)".utf8 }

    package mutating func appendPlain(_ text: WireBytes) { unsafe bytes.append(contentsOf: text.unsafeBytes) }

    /// Escapes what Go's encoder does, `<`, `>` and `&` among it.
    package mutating func appendJSONString(_ text: WireBytes) {
        append(UInt8(ascii: "\""))
        for scalar in text.text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\n": append("\\n")
            case "\r": append("\\r")
            case "\t": append("\\t")
            case "\u{8}": append("\\b")
            case "\u{C}": append("\\f")
            case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                bytes += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
            default: bytes += UTF8.encode(scalar).map { Array($0) } ?? []
            }
        }
        append(UInt8(ascii: "\""))
    }

    package mutating func appendJSONObject(_ list: WireBytes, _ depth: Int) {
        var entries: [(key: [UInt8], attribute: Attribute)] = []
        for field in list.fields where field.number == Field.List.values {
            let attribute = Attribute(field.bytes)
            entries.append((attribute.key.array, attribute))
        }
        entries.sort { $0.key.lexicographicallyPrecedes($1.key) }
        append(UInt8(ascii: "{"))
        for (index, entry) in entries.enumerated() {
            if index > 0 { append(UInt8(ascii: ",")) }
            appendJSONString(entry.attribute.key)
            append(UInt8(ascii: ":"))
            appendJSON(entry.attribute.value, depth: depth + 1)
        }
        append(UInt8(ascii: "}"))
    }
}
