internal import Glibc

/// Floating-point numbers as the Collector writes them.
enum NumberText {
    /// Six decimals: `1.230000`; `+Inf`, `-Inf`, `NaN`.
    static func fixed(_ value: Double) -> String {
        guard value.isFinite else { return notFinite(value) }
        // The largest number has 309 digits before the point.
        return unsafe String(unsafeUninitializedCapacity: 512) { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { buffer in
                // SAFETY: the buffer has the size that is named, and the format takes one double.
                let count = unsafe withVaList([value]) { arguments in
                    unsafe vsnprintf(buffer.baseAddress, buffer.count, "%.6f", arguments)
                }
                return Int(count)
            }
        }
    }

    /// The fewest digits that mean this number, with an exponent below 1e-4 and from 1e+06.
    static func general(_ value: Double) -> String {
        guard value.isFinite else { return notFinite(value) }
        let decimal = ShortestDecimal(value)
        let exponent = decimal.point - 1
        return exponent < -4 || exponent >= 6 ? decimal.scientific(exponentDigits: 2) : decimal.plain
    }

    /// The fewest digits that mean this number, as JSON and ECMAScript write it.
    static func json(_ value: Double) -> String {
        guard value.isFinite else { return notFinite(value) }
        let decimal = ShortestDecimal(value)
        guard value != 0 else { return decimal.plain }
        return value.magnitude < 1e-6 || value.magnitude >= 1e21
            ? decimal.scientific(exponentDigits: 1) : decimal.plain
    }

    private static func notFinite(_ value: Double) -> String {
        value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf"
    }
}

/// A finite number as 0.`digits` times ten to the power of `point`.
private struct ShortestDecimal {
    let isNegative: Bool
    /// Without zeros at either end; `0` for zero.
    private(set) var digits: [Character] = []
    private(set) var point = 0

    init(_ value: Double) {
        isNegative = value.sign == .minus
        // The standard library's description has the fewest digits, in either form: `123.0`, `1.5e+16`.
        let parts = value.magnitude.description.split(separator: "e")
        var isFraction = false
        for character in parts[0] {
            if character == "." {
                isFraction = true
                continue
            }
            digits.append(character)
            if !isFraction { point += 1 }
        }
        if parts.count > 1, let exponent = Int(parts[1]) { point += exponent }
        while digits.count > 1, digits.first == "0" {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        if digits == ["0"] { point = 1 }
    }

    private var sign: String { isNegative ? "-" : "" }

    var plain: String {
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + String(digits) }
        if point >= digits.count {
            return sign + String(digits) + String(repeating: "0", count: point - digits.count)
        }
        return sign + String(digits[..<point]) + "." + String(digits[point...])
    }

    func scientific(exponentDigits: Int) -> String {
        let fraction = digits.count > 1 ? "." + String(digits[1...]) : ""
        let exponent = String((point - 1).magnitude)
        let zeros = String(repeating: "0", count: max(0, exponentDigits - exponent.utf8.count))
        return sign + String(digits[0]) + fraction + (point < 1 ? "e-" : "e+") + zeros + exponent
    }
}
