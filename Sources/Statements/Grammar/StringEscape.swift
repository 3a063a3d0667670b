/// The escapes inside of texts: Go's, any other is refused.
enum StringEscape {
    /// Reads one escape, its backslash included.
    static func append(
        to result: inout [UInt8], from bytes: [UInt8], at position: inout Int
    ) throws(StatementError) {
        let start = position
        guard start + 1 < bytes.count else { throw StatementError("a text is not closed", at: start) }
        let letter = bytes[start + 1]
        position += 2
        switch letter {
        case UInt8(ascii: "a"): result.append(7)
        case UInt8(ascii: "b"): result.append(8)
        case UInt8(ascii: "f"): result.append(12)
        case UInt8(ascii: "n"): result.append(10)
        case UInt8(ascii: "r"): result.append(13)
        case UInt8(ascii: "t"): result.append(9)
        case UInt8(ascii: "v"): result.append(11)
        case UInt8(ascii: "\\"), UInt8(ascii: "\""): result.append(letter)
        case UInt8(ascii: "x"): result.append(UInt8(try digits(2, bytes, &position, start)))
        case UInt8(ascii: "u"): try append(try digits(4, bytes, &position, start), to: &result, start)
        case UInt8(ascii: "U"): try append(try digits(8, bytes, &position, start), to: &result, start)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            let octal = bytes[(start + 1)...].prefix(3).map { Int($0) - 48 }
            let value = octal.reduce(0) { $0 * 8 + $1 }
            guard octal.count == 3, octal.allSatisfy((0...7).contains), value < 256 else {
                throw wrong(bytes, start)
            }
            result.append(UInt8(value))
            position = start + 4
        default: throw wrong(bytes, start)
        }
    }

    private static func digits(
        _ count: Int, _ bytes: [UInt8], _ position: inout Int, _ start: Int
    ) throws(StatementError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard position < bytes.count, let digit = bytes[position].hexDigit else {
                throw wrong(bytes, start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private static func append(_ value: UInt32, to result: inout [UInt8], _ start: Int) throws(StatementError)
    {
        guard let scalar = UnicodeScalar(value) else {
            throw StatementError("the escape is no Unicode character", at: start)
        }
        result += Array(String(Character(scalar)).utf8)
    }

    private static func wrong(_ bytes: [UInt8], _ start: Int) -> StatementError {
        let shown = String(decoding: bytes[start...].prefix(2), as: UTF8.self)
        return StatementError(
            "invalid escape \(shown) in a text", at: start, help: "a backslash itself is written twice: \\\\")
    }
}
