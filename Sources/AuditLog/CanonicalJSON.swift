internal import OTLP

/// JSON in its canonical form (RFC 8785, JCS) under construction.
package struct CanonicalJSON: Sendable {
    /// The text so far.
    package private(set) var bytes: [UInt8] = []

    /// Empty text.
    package init() {}

    /// Empty text that has room.
    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    /// Appends JSON that is canonical already.
    package mutating func append(json: [UInt8]) { bytes += json }

    /// Appends JSON of ours.
    package mutating func append(_ json: StaticString) {
        json.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
    }

    /// Appends UTF-8 as a string: only what must be escaped is (section 3.2.2.2).
    package mutating func append(string text: [UInt8]) {
        // SAFETY: borrowed for the call.
        unsafe text.withUnsafeBytes { unsafe append(string: $0) }
    }

    /// Appends UTF-8 as a string.
    mutating func append(string text: WireBytes) { unsafe append(string: text.unsafeBytes) }

    /// Appends text as a string.
    package mutating func append(string text: String) {
        var text = text
        // SAFETY: borrowed for the call.
        text.withUTF8 { unsafe append(string: UnsafeRawBufferPointer($0)) }
    }

    private mutating func append(string text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        // What is behind `start` and needs no escape is appended at once.
        var start = 0
        for index in 0..<text.count {
            let byte = unsafe text[index]
            guard byte < 32 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            unsafe bytes.append(contentsOf: text[start..<index])
            start = index + 1
            append(escaped: byte)
        }
        unsafe bytes.append(contentsOf: text[start...])
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func append(escaped byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 8: append("\\b")
        case 9: append("\\t")
        case 10: append("\\n")
        case 12: append("\\f")
        case 13: append("\\r")
        default:
            append("\\u00")
            for digit in [byte >> 4, byte & 15] {
                bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
    }

    /// Appends a number as ECMAScript writes it (section 3.2.2.3).
    /// - Precondition: it is finite; what is not has no form in JSON.
    package mutating func append(_ value: Double) {
        precondition(value.isFinite, "JSON has finite numbers only")
        // Minus zero is written as zero.
        bytes += ShortestDecimal.json(value == 0 ? 0 : value)
    }

    /// Appends an object; entries are put into the order of RFC 8785: by the UTF-16 code units of their keys.
    /// - Parameter entries: keys in UTF-8, none twice, and values in canonical JSON.
    package mutating func append(object entries: [(key: [UInt8], value: [UInt8])]) {
        append(sorted: entries.sorted { Self.precedes($0.key, $1.key) })
    }

    /// Appends an object whose entries are in that order.
    mutating func append(sorted entries: [(key: [UInt8], value: [UInt8])]) {
        bytes.reserveCapacity(entries.reduce(bytes.count + 2) { $0 + $1.key.count + $1.value.count + 8 })
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for (key, value) in entries {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            append(string: key)
            bytes.append(UInt8(ascii: ":"))
            bytes += value
        }
        bytes.append(UInt8(ascii: "}"))
    }

    /// Whether one key in UTF-8 stands before another in the order of their UTF-16 code units. It is the order of the bytes but
    /// for characters beyond U+FFFF, whose surrogates are smaller than U+E000…U+FFFF.
    static func precedes(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        for index in 0..<min(one.count, other.count) where one[index] != other[index] {
            return rank(one[index]) < rank(other[index])
        }
        return one.count < other.count
    }

    /// Of the first byte of a character: 0xEE and 0xEF begin U+E000…U+FFFF, higher ones what is beyond.
    private static func rank(_ byte: UInt8) -> UInt8 {
        switch byte {
        case 0xf0...: byte - 2
        case 0xee...: byte + 8
        default: byte
        }
    }
}
