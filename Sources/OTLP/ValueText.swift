/// Where attribute values and bodies are written as text, as the Collector and Loki write them: what is a line, a label
/// or a value in the output of `debug`. Conformers say how text is escaped; what follows from that is here, once.
///
/// Not OTLP JSON, which `OTLPJSONWriter` writes.
public protocol ValueText: ~Copyable {
    /// Appends one character of ASCII.
    mutating func append(_ byte: UInt8)
    /// Appends text of ours.
    mutating func append(_ text: StaticString)
    /// Appends a whole number.
    mutating func appendDecimal(_ value: Int64)
    /// Appends UTF-8 text that stands by itself.
    mutating func appendPlain(_ bytes: WireBytes)
    /// Appends UTF-8 text as a JSON string.
    mutating func appendJSONString(_ bytes: WireBytes)
    /// Appends a map, the entries of a `KeyValueList`, as a JSON object.
    mutating func appendJSONObject(_ list: WireBytes, _ depth: Int)
    /// Appends a number.
    mutating func appendDouble(_ value: Double)
}

extension ValueText where Self: ~Copyable {
    /// Appends a value: text as it is, numbers in decimal, bytes in base 64, lists and maps as JSON, nothing for
    /// no value.
    @inlinable
    public mutating func appendText(_ value: AttributeValue) {
        switch value {
        case .empty: break
        case .string(let bytes): appendPlain(bytes)
        case .bool(let value): append(value ? "true" : "false")
        case .int(let value): appendDecimal(value)
        case .double(let value): appendDouble(value)
        case .bytes(let bytes): appendBase64(bytes)
        case .array, .keyValueList: appendJSON(value)
        }
    }

    /// Appends a value as JSON; numbers that JSON does not have as text. Values deeper than 64, deeper than a receiver
    /// lets in, are left out.
    @inlinable
    public mutating func appendJSON(_ value: AttributeValue, depth: Int = 0) {
        switch value {
        case .empty: append("null")
        case .string(let bytes): appendJSONString(bytes)
        case .bool, .int: appendText(value)
        case .double(let number):
            if !number.isFinite { append(UInt8(ascii: "\"")) }
            appendDouble(number)
            if !number.isFinite { append(UInt8(ascii: "\"")) }
        case .bytes(let bytes):
            append(UInt8(ascii: "\""))
            appendBase64(bytes)
            append(UInt8(ascii: "\""))
        case .array(let list) where depth < 64: appendJSONArray(list, depth)
        case .keyValueList(let list) where depth < 64: appendJSONObject(list, depth)
        case .array, .keyValueList: append("\"<nested too deeply>\"")
        }
    }

    @inlinable
    mutating func appendJSONArray(_ list: WireBytes, _ depth: Int) {
        append(UInt8(ascii: "["))
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { append(UInt8(ascii: ",")) }
            isFirst = false
            appendJSON(AttributeValue(field.bytes), depth: depth + 1)
        }
        append(UInt8(ascii: "]"))
    }

    /// Appends a map with its keys in the order in which they came.
    @inlinable
    public mutating func appendJSONObject(_ list: WireBytes, _ depth: Int) {
        append(UInt8(ascii: "{"))
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { append(UInt8(ascii: ",")) }
            isFirst = false
            let attribute = Attribute(field.bytes)
            appendJSONString(attribute.key)
            append(UInt8(ascii: ":"))
            appendJSON(attribute.value, depth: depth + 1)
        }
        append(UInt8(ascii: "}"))
    }

    /// Appends a number with the fewest digits that mean it, as ECMAScript and JSON write it: an exponent below
    /// 1e-6 and from 1e21; `NaN`, `+Inf` and `-Inf` for those.
    @inlinable
    public mutating func appendDouble(_ value: Double) {
        for byte in ShortestDecimal.json(value) { append(byte) }
    }

    /// Appends bytes in base 64 with padding (RFC 4648 section 4).
    @inlinable
    public mutating func appendBase64(_ bytes: WireBytes) {
        bytes.forEachBase64Digit { append($0) }
    }
}

extension WireBytes {
    /// Calls a closure with each digit of the bytes in base 64 and its padding (RFC 4648 section 4).
    @inlinable
    public func forEachBase64Digit(_ body: (UInt8) -> Void) {
        var index = 0
        while index < count {
            let left = min(3, count - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < left ? UInt32(self[index + offset]) : 0)
            }
            for digit in 0..<4 {
                let code = UInt8(truncatingIfNeeded: group >> UInt32(18 - 6 * digit) & 0x3F)
                body(digit <= left ? Self.base64Digit(code) : UInt8(ascii: "="))
            }
            index += 3
        }
    }

    @inlinable
    static func base64Digit(_ code: UInt8) -> UInt8 {
        switch code {
        case 0..<26: UInt8(ascii: "A") + code
        case 26..<52: UInt8(ascii: "a") + code - 26
        case 52..<62: UInt8(ascii: "0") + code - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }
}
