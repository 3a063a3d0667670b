internal import OTLP
internal import Pipeline

/// Collects text and hands it on in parts of about 64 KiB, so that a batch's text is never in memory as a whole.
///
/// What comes from telemetry (`text`, `json`) cannot pass for lines of ours: control characters, C0, DEL and C1 (in
/// which terminals take commands), and the Unicode line and paragraph separators are written as escapes, `\n`,
/// `\u001b`. A backslash stays one.
struct TextWriter {
    /// Takes one part.
    typealias Output = ([UInt8]) throws(DebugOutputError) -> Void

    /// A part ends with the first line that ends beyond this.
    static let partBytes = 64 << 10
    /// A line that gets longer than this is handed on in parts.
    static let lineBytesMax = 1 << 20

    private var buffer: [UInt8] = []
    private let output: Output
    private var wroteAny = false
    private var failure: DebugOutputError?

    init(output: @escaping Output) { self.output = output }

    /// Hands on the rest.
    /// - Returns: whether there was any text at all.
    /// - Throws: the first failure; nothing was written after it.
    mutating func finish() throws(DebugOutputError) -> Bool {
        flush()
        if let failure { throw failure }
        return wroteAny
    }

    private mutating func flush() {
        defer { buffer.removeAll(keepingCapacity: true) }
        guard !buffer.isEmpty, failure == nil else { return }
        wroteAny = true
        do throws(DebugOutputError) {
            try output(buffer)
        } catch {
            failure = error
        }
    }

    /// Ends a line.
    mutating func endLine() {
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= Self.partBytes { flush() }
    }

    /// Appends text of ours.
    mutating func put(_ text: String) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count >= Self.lineBytesMax { flush() }
    }

    /// Appends one character of ASCII.
    mutating func put(byte: UInt8) {
        buffer.append(byte)
        if buffer.count >= Self.lineBytesMax { flush() }
    }

    /// Appends a whole number.
    mutating func put(_ number: some BinaryInteger) { put(String(number)) }

    /// Appends a line of ours that ends with a value from telemetry.
    mutating func line(_ label: String, _ value: WireBytes) {
        put(label)
        text(value)
        endLine()
    }

    /// Appends a line of ours.
    mutating func line(_ text: String) {
        put(text)
        endLine()
    }
}

// MARK: - Values from telemetry

extension TextWriter {
    /// Appends text from telemetry, one line whatever it contains.
    mutating func text(_ bytes: WireBytes) { escape(bytes, asJSON: false) }

    /// Appends text from telemetry as a JSON string.
    mutating func json(_ bytes: WireBytes) {
        buffer.append(UInt8(ascii: "\""))
        escape(bytes, asJSON: true)
        buffer.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ bytes: WireBytes, asJSON: Bool) {
        var start = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            // Parts end between characters, because a log message is text.
            if index - start >= Self.partBytes, byte & 0xC0 != 0x80 {
                append(bytes, start..<index)
                start = index
            }
            let width = Self.specialWidth(bytes, index, byte, asJSON: asJSON)
            if width > 0 {
                append(bytes, start..<index)
                appendEscape(bytes, index, byte, width)
                start = index + width
            }
            index += max(width, 1)
        }
        append(bytes, start..<index)
    }

    /// How many bytes here make one character that is not written as it is; 0 for none.
    private static func specialWidth(_ bytes: WireBytes, _ index: Int, _ byte: UInt8, asJSON: Bool) -> Int {
        switch byte {
        case 0..<0x20, 0x7F: return 1
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
            return asJSON ? 1 : 0
        case 0xC2 where index + 1 < bytes.count && (0x80...0x9F).contains(bytes[index + 1]): return 2
        case 0xE2
        where index + 2 < bytes.count && bytes[index + 1] == 0x80 && bytes[index + 2] & 0xFE == 0xA8:
            return 3
        default: return 0
        }
    }

    private mutating func appendEscape(_ bytes: WireBytes, _ index: Int, _ byte: UInt8, _ width: Int) {
        switch (byte, width) {
        case (UInt8(ascii: "\n"), _): put("\\n")
        case (UInt8(ascii: "\r"), _): put("\\r")
        case (UInt8(ascii: "\t"), _): put("\\t")
        case (UInt8(ascii: "\""), _): put("\\\"")
        case (UInt8(ascii: "\\"), _): put("\\\\")
        case (_, 1): putEscaped(UInt32(byte))
        case (_, 2): putEscaped(UInt32(bytes[index + 1]))
        default: putEscaped(0x2000 | UInt32(bytes[index + 2] & 0x3F))
        }
    }

    private mutating func putEscaped(_ scalar: UInt32) {
        let digits = String(scalar, radix: 16)
        put("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
    }

    private mutating func append(_ bytes: WireBytes, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        // SAFETY: the range is within the bytes, which live for the call.
        unsafe buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes.unsafeBytes[range]))
        if buffer.count >= Self.lineBytesMax { flush() }
    }

    /// Appends an id in hexadecimal; nothing when all of its bytes are zero.
    mutating func hex(_ bytes: WireBytes) {
        guard (0..<bytes.count).contains(where: { bytes[$0] != 0 }) else { return }
        for index in 0..<bytes.count {
            buffer.append(Self.hexDigit(bytes[index] >> 4))
            buffer.append(Self.hexDigit(bytes[index] & 0xF))
            if buffer.count >= Self.lineBytesMax { flush() }
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
    }

    /// Appends a moment, nanoseconds since 1970: `2020-02-11 20:26:12.000000321 +0000 UTC`.
    mutating func time(_ unixNanoseconds: UInt64) {
        let time = UTCTime(unixNanoseconds: Int64(bitPattern: unixNanoseconds))
        put("\(time.date) \(time.timeOfDay)")
        if time.nanosecond > 0 {
            var fraction = String(time.nanosecond + 1_000_000_000).dropFirst()
            while fraction.last == "0" { fraction.removeLast() }
            put(".\(fraction)")
        }
        put(" +0000 UTC")
    }
}
