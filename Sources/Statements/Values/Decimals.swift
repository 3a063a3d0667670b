/// Floats with a given number of digits, rounded from their exact value, half to even.
enum Decimals {
    /// Digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        let (whole, places) = exact(value.magnitude)
        let rounded = round(whole, keeping: whole.count - places + digits)
        var text = Array(rounded.utf8)
        if digits == 0 { return sign(value) + rounded }
        while text.count <= digits { text.insert(UInt8(ascii: "0"), at: 0) }
        let split = text.count - digits
        return sign(value) + String(decoding: text[..<split], as: UTF8.self) + "."
            + String(decoding: text[split...], as: UTF8.self)
    }

    /// One digit, the point, so many digits, an exponent of two digits at least.
    static func scientific(_ value: Double, _ digits: Int) -> String {
        let (mantissa, exponent) = significant(value, digits + 1)
        let fraction = mantissa.dropFirst()
        let magnitude = exponent.magnitude
        return sign(value) + mantissa.prefix(1) + (fraction.isEmpty ? "" : "." + fraction)
            + (exponent < 0 ? "e-" : "e+") + (magnitude < 10 ? "0" : "") + "\(magnitude)"
    }

    /// So many significant digits at most, in the shorter form.
    static func general(_ value: Double, _ digits: Int) -> String {
        let (mantissa, exponent) = significant(value, digits)
        var kept = mantissa
        while kept.count > 1, kept.last == "0" { kept = String(kept.dropLast()) }
        if exponent < -4 || exponent >= digits { return scientific(value, kept.count - 1) }
        return fixed(value, max(0, kept.count - 1 - exponent))
    }

    private static func sign(_ value: Double) -> String { value.sign == .minus ? "-" : "" }

    private static func significant(_ value: Double, _ count: Int) -> (digits: String, exponent: Int) {
        guard value != 0 else { return (String(repeating: "0", count: count), 0) }
        let (whole, places) = exact(value.magnitude)
        let digits = Array(whole.drop { $0 == 0 })
        var exponent = digits.count - places - 1
        var text = round(digits, keeping: count)
        if text.count > count {
            text = String(text.dropLast())
            exponent += 1
        }
        return (text, exponent)
    }

    /// All decimal digits of a float, most significant first, and how many of them stand behind the point.
    private static func exact(_ value: Double) -> (digits: [UInt8], places: Int) {
        guard value != 0 else { return ([0], 0) }
        var mantissa = value.significandBitPattern
        var exponent = Int(value.exponentBitPattern) - 1075
        if value.exponentBitPattern == 0 { exponent += 1 } else { mantissa |= 1 << 52 }
        // Least significant digit first.
        var digits = String(mantissa).utf8.reversed().map { $0 - 48 }
        let factor: UInt16 = exponent > 0 ? 2 : 5
        for _ in 0..<abs(exponent) {
            var carry: UInt16 = 0
            for index in digits.indices {
                let product = UInt16(digits[index]) * factor + carry
                digits[index] = UInt8(product % 10)
                carry = product / 10
            }
            if carry > 0 { digits.append(UInt8(carry)) }
        }
        let places = exponent < 0 ? -exponent : 0
        while digits.count <= places { digits.append(0) }
        return (digits.reversed(), places)
    }

    /// The first digits, rounded by the rest; zeros behind when there are fewer.
    private static func round(_ digits: [UInt8], keeping count: Int) -> String {
        guard count >= 0 else { return "0" }
        var kept = Array(digits.prefix(count))
        if count > digits.count { kept += repeatElement(0, count: count - digits.count) }
        if count < digits.count {
            let rest = digits[count...]
            let isHalf = rest.first == 5 && rest.dropFirst().allSatisfy { $0 == 0 }
            if isHalf ? (kept.last ?? 0) % 2 == 1 : digits[count] >= 5 {
                var index = kept.count - 1
                while index >= 0, kept[index] == 9 {
                    kept[index] = 0
                    index -= 1
                }
                if index >= 0 { kept[index] += 1 } else { kept.insert(1, at: 0) }
            }
        }
        return kept.isEmpty ? "0" : String(decoding: kept.map { $0 + 48 }, as: UTF8.self)
    }
}
