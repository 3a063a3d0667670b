/// Reads a text as logfmt, as the Collector's former exporter read bodies: words are keys without a value.
enum LogfmtReader {
    /// The pairs of a line in order, values unescaped; nil when it is no logfmt, or more than one line.
    static func pairs(_ line: some Collection<UInt8>) -> [(key: [UInt8], value: [UInt8])]? {
        var pairs: [(key: [UInt8], value: [UInt8])] = []
        var rest = Array(line)[...]
        guard !rest.contains(UInt8(ascii: "\n")), String(validating: rest, as: UTF8.self) != nil else {
            return nil
        }
        while true {
            rest = rest.drop { $0 <= 0x20 }
            guard !rest.isEmpty else { return pairs }
            let key = rest.prefix { $0 > 0x20 && $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: "\"") }
            rest = rest.dropFirst(key.count)
            guard !key.isEmpty, rest.first != UInt8(ascii: "\"") else { return nil }
            guard rest.first == UInt8(ascii: "=") else {
                pairs.append((Array(key), []))
                continue
            }
            rest = rest.dropFirst()
            guard let value = value(&rest) else { return nil }
            pairs.append((Array(key), value))
        }
    }

    /// Takes a value; nil when it is malformed.
    private static func value(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard rest.first == UInt8(ascii: "\"") else {
            let value = rest.prefix { $0 > 0x20 }
            rest = rest.dropFirst(value.count)
            let isPlain = !value.contains { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "\"") }
            return isPlain ? Array(value) : nil
        }
        rest = rest.dropFirst()
        var value: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return value
            case UInt8(ascii: "\\"): guard unescape(&rest, &value) else { return nil }
            default: value.append(byte)
            }
        }
        return nil
    }

    /// Reads what follows a backslash, as in JSON.
    private static func unescape(_ rest: inout ArraySlice<UInt8>, _ value: inout [UInt8]) -> Bool {
        guard let byte = rest.popFirst() else { return false }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "'"): value.append(byte)
        case UInt8(ascii: "n"): value.append(0x0A)
        case UInt8(ascii: "r"): value.append(0x0D)
        case UInt8(ascii: "t"): value.append(0x09)
        case UInt8(ascii: "b"): value.append(0x08)
        case UInt8(ascii: "f"): value.append(0x0C)
        case UInt8(ascii: "u"):
            let digits = String(decoding: rest.prefix(4), as: UTF8.self)
            guard digits.utf8.count == 4, let code = UInt16(digits, radix: 16) else { return false }
            rest = rest.dropFirst(4)
            // Half of a pair stands for nothing.
            value += Array(String(Unicode.Scalar(UInt32(code)).map { Character($0) } ?? "\u{FFFD}").utf8)
        default: return false
        }
        return true
    }
}
