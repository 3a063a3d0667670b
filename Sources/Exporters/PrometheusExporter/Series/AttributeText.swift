internal import OTLP

// Attribute values as the text of labels: text as it is, numbers in decimal, bytes in base 64, lists and maps
// as compact JSON.

extension [UInt8] {
    /// Deeper values are left out. What a receiver let in is never deeper.
    private static var depthMax: Int { 64 }

    mutating func append(_ text: StaticString) {
        // SAFETY: a static string's bytes live as long as the program.
        unsafe append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ bytes: WireBytes) {
        // SAFETY: the bytes live for the call.
        unsafe append(contentsOf: bytes.unsafeBytes)
    }

    /// Appends a value as the text of a label; nothing for one that is not set.
    mutating func append(_ value: AttributeValue) {
        switch value {
        case .empty: break
        case .string(let text): append(text)
        case .bool(let isTrue): append(isTrue ? "true" : "false")
        case .int(let number): append(contentsOf: String(number).utf8)
        case .double(let number): appendES6(number)
        case .bytes(let bytes): appendBase64(bytes)
        case .array, .keyValueList: appendJSON(value, depth: 0)
        }
    }

    private mutating func appendJSON(_ value: AttributeValue, depth: Int) {
        guard depth < Self.depthMax else {
            append("null")
            return
        }
        switch value {
        case .empty: append("null")
        case .bool, .int: append(value)
        case .string(let text): appendJSONText(text)
        case .double(let number):
            if number.isFinite {
                appendES6(number)
            } else {
                // JSON has no such numbers.
                append("\"")
                appendES6(number)
                append("\"")
            }
        case .bytes(let bytes):
            append("\"")
            appendBase64(bytes)
            append("\"")
        case .array(let list):
            append("[")
            var isFirst = true
            for field in list.fields where field.number == Field.List.values {
                if !isFirst { append(",") }
                isFirst = false
                appendJSON(AttributeValue(field.bytes), depth: depth + 1)
            }
            append("]")
        case .keyValueList(let list):
            appendJSONObject(list, depth: depth)
        }
    }

    /// Keys in order, each once; of several values the last counts.
    private mutating func appendJSONObject(_ list: WireBytes, depth: Int) {
        var entries: [(key: [UInt8], value: AttributeValue)] = []
        for field in list.fields where field.number == Field.List.values {
            let attribute = Attribute(field.bytes)
            entries.append((attribute.key.array, attribute.value))
        }
        append("{")
        var isFirst = true
        for entry in entries.sortedByKey() {
            if !isFirst { append(",") }
            isFirst = false
            // SAFETY: the key lives for the call.
            unsafe entry.key.withUnsafeBytes { unsafe appendJSONText(WireBytes($0)) }
            append(":")
            appendJSON(entry.value, depth: depth + 1)
        }
        append("}")
    }

    private mutating func appendJSONText(_ text: WireBytes) {
        append("\"")
        for index in 0..<text.count {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            case 0x08: append("\\b")
            case 0x0C: append("\\f")
            case 0..<0x20, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
                // As the Collector's JSON, which is made to be put into HTML.
                append("\\u00")
                append(hexLetter(byte >> 4))
                append(hexLetter(byte & 0xF))
            default: append(byte)
            }
        }
        append("\"")
    }

    /// The fewest digits that mean this number, as ECMAScript writes it.
    private mutating func appendES6(_ value: Double) {
        guard value.isFinite else {
            append(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
            return
        }
        // The standard library has the digits; an exponent from 1e+16 and below 1e-4, ECMAScript's from 1e21
        // and below 1e-6.
        if value == value.rounded(), value.magnitude < 1e15 {
            append(contentsOf: String(Int64(value)).utf8)
            return
        }
        let text = value.magnitude.description
        let parts = text.split(separator: "e")
        guard parts.count == 2, let exponent = Int(parts[1]) else {
            append(contentsOf: (value < 0 ? "-" : "").utf8)
            append(contentsOf: (text.hasSuffix(".0") ? text.dropLast(2) : text[...]).utf8)
            return
        }
        let digits = parts[0].filter { $0 != "." }
        let trimmed = digits.hasSuffix("0") && digits.count > 1 ? digits.dropLast() : digits[...]
        if value < 0 { append("-") }
        if exponent >= 21 || exponent < -6 {
            append(contentsOf: trimmed.prefix(1).utf8)
            if trimmed.count > 1 { append(contentsOf: ("." + trimmed.dropFirst()).utf8) }
            append(contentsOf: ("e" + (exponent < 0 ? "-" : "+") + String(exponent.magnitude)).utf8)
        } else if exponent < 0 {
            append(contentsOf: ("0." + String(repeating: "0", count: -exponent - 1) + trimmed).utf8)
        } else {
            let zeros = String(repeating: "0", count: Swift.max(0, exponent + 1 - trimmed.count))
            append(contentsOf: (trimmed + zeros).utf8)
        }
    }

    /// Appends bytes in base 64 (RFC 4648 section 4).
    mutating func appendBase64(_ bytes: WireBytes) {
        let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        var index = 0
        while index < bytes.count {
            let count = Swift.min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0)
            }
            for digit in 0..<4 {
                let code = Int(group >> UInt32(18 - 6 * digit) & 0x3F)
                // SAFETY: the alphabet has 64 letters.
                append(digit <= count ? unsafe alphabet.utf8Start[code] : UInt8(ascii: "="))
            }
            index += 3
        }
    }

    /// Appends bytes in hexadecimal.
    mutating func appendHex(_ bytes: WireBytes) {
        for index in 0..<bytes.count {
            append(hexLetter(bytes[index] >> 4))
            append(hexLetter(bytes[index] & 0xF))
        }
    }
}

func hexLetter(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
}

extension Array {
    /// Sorted by key; of several elements of one key the last.
    func sortedByKey<Value>() -> [Element] where Element == (key: [UInt8], value: Value) {
        let order = indices.sorted { left, right in
            self[left].key == self[right].key
                ? left < right : self[left].key.lexicographicallyPrecedes(self[right].key)
        }
        var sorted: [Element] = []
        sorted.reserveCapacity(count)
        for index in order {
            if let last = sorted.last, last.key == self[index].key { sorted.removeLast() }
            sorted.append(self[index])
        }
        return sorted
    }
}
