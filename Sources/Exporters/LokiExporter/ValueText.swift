// Attribute values and bodies as text: what is a line, a label or a metadata value.

internal import OTLP

extension ByteDraft {
    /// Deeper values are left out. What a receiver let in is never deeper.
    private static let depthMax = 64

    /// Appends a value: text as it is, numbers in decimal, bytes in base 64, lists and maps as JSON, nothing for
    /// no value.
    mutating func appendText(_ value: AttributeValue) {
        switch value {
        case .empty: break
        case .string(let bytes): append(bytes)
        case .bool(let value): append(value ? "true" : "false")
        case .int(let value): appendDecimal(value)
        case .double(let value): appendDouble(value)
        case .bytes(let bytes): appendBase64(bytes)
        case .array, .keyValueList: appendJSON(value)
        }
    }

    /// Appends a value as JSON. Keys in the order in which they came; numbers that JSON does not have as text.
    mutating func appendJSON(_ value: AttributeValue, depth: Int = 0) {
        switch value {
        case .empty: append("null")
        case .string(let bytes): unsafe appendJSONString(bytes.unsafeBytes)
        case .bool, .int: appendText(value)
        case .double(let number):
            if number.isFinite {
                appendDouble(number)
            } else {
                append(UInt8(ascii: "\""))
                appendDouble(number)
                append(UInt8(ascii: "\""))
            }
        case .bytes(let bytes):
            append(UInt8(ascii: "\""))
            appendBase64(bytes)
            append(UInt8(ascii: "\""))
        case .array, .keyValueList:
            guard depth < Self.depthMax else {
                append("\"<nested too deeply>\"")
                return
            }
            if case .array(let list) = value { appendJSONArray(list, depth) }
            if case .keyValueList(let list) = value { appendJSONObject(list, depth) }
        }
    }

    private mutating func appendJSONArray(_ list: WireBytes, _ depth: Int) {
        append(UInt8(ascii: "["))
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { append(UInt8(ascii: ",")) }
            isFirst = false
            appendJSON(AttributeValue(field.bytes), depth: depth + 1)
        }
        append(UInt8(ascii: "]"))
    }

    private mutating func appendJSONObject(_ list: WireBytes, _ depth: Int) {
        append(UInt8(ascii: "{"))
        var isFirst = true
        for field in list.fields where field.number == Field.List.values {
            if !isFirst { append(UInt8(ascii: ",")) }
            isFirst = false
            let attribute = Attribute(field.bytes)
            unsafe appendJSONString(attribute.key.unsafeBytes)
            append(UInt8(ascii: ":"))
            appendJSON(attribute.value, depth: depth + 1)
        }
        append(UInt8(ascii: "}"))
    }

    /// Appends UTF-8 text as a JSON string.
    mutating func appendJSONString(_ bytes: UnsafeRawBufferPointer) {
        append(UInt8(ascii: "\""))
        unsafe appendEscaped(bytes)
        append(UInt8(ascii: "\""))
    }

    /// Appends text for between double quotes, in the escapes that JSON, Go and logfmt share.
    mutating func appendEscaped(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        for index in 0..<bytes.count {
            let byte = unsafe bytes[index]
            guard byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F else { continue }
            unsafe append(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            start = index + 1
            switch byte {
            case 0x22: append("\\\"")
            case 0x5C: append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            default:
                append("\\u00")
                append(UInt8(ascii: "0") + byte >> 4)
                append((byte & 15) + (byte & 15 < 10 ? 0x30 : 0x57))
            }
        }
        unsafe append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }
}
