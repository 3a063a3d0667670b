// Attribute values and bodies as text: what is a line, a label or a metadata value.

internal import OTLP

extension ByteDraft: ValueText {
    mutating func appendPlain(_ bytes: WireBytes) { append(bytes) }

    /// As the Collector and Loki write attributes: `Infinity`, not `+Inf`.
    mutating func appendDouble(_ value: Double) {
        if value.isInfinite {
            append(value < 0 ? "-Infinity" : "Infinity")
        } else {
            for byte in ShortestDecimal.json(value) { append(byte) }
        }
    }

    mutating func appendJSONString(_ bytes: WireBytes) { unsafe appendJSONString(bytes.unsafeBytes) }

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
