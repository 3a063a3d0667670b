/// Numbers as pages spell them. Allocates nothing but for numbers of more than fifteen digits.
enum PageNumber {
    /// A floating-point number, `Inf`, `+Inf`, `-Inf` or `NaN` in any case, or a hexadecimal one; nil for anything else.
    static func double(_ text: Span<UInt8>) -> Double? {
        var index = 0
        let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
        if text.count > 0, isNegative || text[0] == UInt8(ascii: "+") { index = 1 }
        let first = index
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        var isFraction = false
        while index < text.count {
            let byte = text[index]
            if byte == UInt8(ascii: "."), !isFraction {
                isFraction = true
            } else {
                let digit = byte &- UInt8(ascii: "0")
                guard digit < 10 else { break }
                guard digits < 18 else { return slowDouble(text) }
                mantissa = mantissa * 10 + UInt64(digit)
                if mantissa > 0 { digits += 1 }
                if isFraction { exponent -= 1 }
            }
            index += 1
        }
        guard index > first + (isFraction ? 1 : 0) else { return word(text, from: first, isNegative) }
        if index < text.count {
            guard text[index] | 0x20 == UInt8(ascii: "e"), let more = int(text.extracting((index + 1)...)),
                abs(more) < 1000
            else { return slowDouble(text) }
            exponent += Int(more)
        }
        // Exact: both factors are whole numbers that a double holds, so that only one rounding happens.
        guard mantissa < 1 << 53, exponent >= -22, exponent <= 22 else { return slowDouble(text) }
        let magnitude =
            exponent < 0
            ? Double(mantissa) / powersOfTen[-exponent] : Double(mantissa) * powersOfTen[exponent]
        return isNegative ? -magnitude : magnitude
    }

    /// A whole number with an optional sign; nil for anything else and for what 64 bits do not hold.
    static func int(_ text: Span<UInt8>) -> Int64? {
        var index = 0
        let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
        if text.count > 0, isNegative || text[0] == UInt8(ascii: "+") { index = 1 }
        guard index < text.count, text.count - index <= 19 else { return nil }
        var value: UInt64 = 0
        while index < text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
            index += 1
        }
        guard value <= UInt64(Int64.max) else { return nil }
        return isNegative ? -Int64(value) : Int64(value)
    }

    /// Seconds with a fraction as nanoseconds, to the microsecond: a double tells no more of the present.
    static func nanoseconds(seconds: Double) -> Int64? {
        let microseconds = (seconds * 1e6).rounded()
        guard microseconds.isFinite, abs(microseconds) < 9e15 else { return nil }
        return Int64(microseconds) * 1000
    }

    private static func word(_ text: Span<UInt8>, from start: Int, _ isNegative: Bool) -> Double? {
        func isWord(_ word: StaticString) -> Bool {
            let count = word.utf8CodeUnitCount
            guard text.count - start == count else { return false }
            for index in 0..<count {
                // SAFETY: below the literal's count; literals are static.
                guard unsafe text[start + index] | 0x20 == word.utf8Start[index] else { return false }
            }
            return true
        }
        if isWord("inf") || isWord("infinity") { return isNegative ? -.infinity : .infinity }
        if isWord("nan") { return .nan }
        return nil
    }

    /// What the fast path leaves: many digits, large exponents, hexadecimal numbers.
    private static func slowDouble(_ text: Span<UInt8>) -> Double? {
        guard text.count <= 400 else { return nil }
        for index in 0..<text.count {
            switch text[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "+"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "p"),
                UInt8(ascii: "P"):
                continue
            default: return nil
            }
        }
        return text.validText.flatMap { Double($0) }
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ]
}
