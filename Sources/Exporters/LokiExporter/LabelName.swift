// Attribute keys as names of labels and structured metadata.

internal import OTLP

extension ByteDraft {
    /// Characters of a key without a letter or digit that its name says.
    private static let spelledMax = 8

    /// Appends a key as Loki's own OTLP endpoint names it: runs of other characters than letters and digits are one
    /// underscore, a digit in front gets `key_` before it, `__x__` keeps its underscores.
    ///
    /// A key without a letter or digit of ASCII would be underscores only, for which Loki refuses the whole push: it is
    /// spelled by its characters' code points, such as `key_540d_524d`.
    mutating func appendName(_ key: UnsafeRawBufferPointer) {
        guard unsafe key.contains(where: { Self.isLetterOrDigit($0) }) else {
            return unsafe appendSpelled(key)
        }
        let isReserved =
            unsafe key.count > 4 && key[0] == 0x5F && key[1] == 0x5F && key[key.count - 1] == 0x5F
            && key[key.count - 2] == 0x5F
        if isReserved {
            append("__")
            unsafe appendCollapsed(UnsafeRawBufferPointer(rebasing: key[2..<(key.count - 2)]))
            append("__")
            return
        }
        if let first = unsafe key.first, first &- 0x30 < 10 { append("key_") }
        unsafe appendCollapsed(key)
    }

    private mutating func appendSpelled(_ key: UnsafeRawBufferPointer) {
        append("key_")
        let start = unsafe UnsafeRawBufferPointer(rebasing: key.prefix(4 * Self.spelledMax))
        let text = unsafe String(decoding: start, as: UTF8.self)
        for (index, scalar) in text.unicodeScalars.prefix(Self.spelledMax).enumerated() {
            if index > 0 { append(UInt8(ascii: "_")) }
            for digit in String(scalar.value, radix: 16).utf8 { append(digit) }
        }
    }

    private mutating func appendCollapsed(_ key: UnsafeRawBufferPointer) {
        var isAfterUnderscore = false
        reserve(key.count)
        for index in 0..<key.count {
            let byte = unsafe key[index]
            if Self.isLetterOrDigit(byte) {
                append(byte)
                isAfterUnderscore = false
            } else if !isAfterUnderscore {
                append(UInt8(ascii: "_"))
                isAfterUnderscore = true
            }
        }
    }

    @inline(__always)
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10
    }
}

/// The name of a label or of structured metadata for a key; see `ByteDraft.appendName`.
func labelName(_ key: [UInt8]) -> [UInt8] {
    var draft = ByteDraft(capacity: key.count + 8)
    unsafe key.withUnsafeBytes { unsafe draft.appendName($0) }
    return draft.array
}
