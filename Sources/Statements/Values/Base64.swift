/// RFC 4648 with either alphabet, padded or not.
enum Base64 {
    private static let standard = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8], isURL: Bool = false, isPadded: Bool = true) -> [UInt8] {
        var alphabet = standard
        if isURL { alphabet.replaceSubrange(62..<64, with: "-_".utf8) }
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for index in 0..<3 {
                word = word << 8 | (start + index < bytes.count ? UInt32(bytes[start + index]) : 0)
            }
            for digit in 0...group.count {
                output.append(alphabet[Int(word >> (18 - 6 * UInt32(digit)) & 63)])
            }
            if isPadded { output += repeatElement(UInt8(ascii: "="), count: 3 - group.count) }
        }
        return output
    }

    /// Line breaks are skipped, as Go's decoder does. Nil: an illegal digit or length.
    static func decode(_ text: [UInt8], isURL: Bool = false, isPadded: Bool = true) -> [UInt8]? {
        var digits = text.filter { $0 != 10 && $0 != 13 }
        if isPadded {
            guard digits.count.isMultiple(of: 4) else { return nil }
            var padding = 0
            while padding < 2, digits.last == UInt8(ascii: "=") {
                digits.removeLast()
                padding += 1
            }
        }
        guard digits.count % 4 != 1 else { return nil }
        var output: [UInt8] = []
        var word: UInt32 = 0
        var bits = 0
        for digit in digits {
            guard let value = value(digit, isURL) else { return nil }
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return output
    }

    private static func value(_ digit: UInt8, _ isURL: Bool) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit) - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit) + 4
        case UInt8(ascii: "+") where !isURL, UInt8(ascii: "-") where isURL: 62
        case UInt8(ascii: "/") where !isURL, UInt8(ascii: "_") where isURL: 63
        default: nil
        }
    }
}
