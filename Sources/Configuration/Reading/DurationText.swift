/// Reads a duration as the Collector writes them: decimal numbers with the units `ns`, `us`, `ms`, `s`, `m`
/// and `h`, one after the other (`1m30s`, `1.5h`), an optional sign, or a bare `0`.
///
/// - Returns: nil when the text is not a valid duration or does not fit 64 bits of nanoseconds (292 years).
package func parseDuration(_ text: String) -> Duration? {
    var rest = Substring(text).utf8
    var isNegative = false
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
        isNegative = rest.first == UInt8(ascii: "-")
        rest = rest.dropFirst()
    }
    if rest.elementsEqual("0".utf8) { return .zero }
    guard !rest.isEmpty else { return nil }
    var total: Int64 = 0
    while !rest.isEmpty {
        let whole = rest.prefix(while: isDigit)
        rest = rest.dropFirst(whole.count)
        var fraction = rest.prefix(0)
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = rest.prefix(while: isDigit)
            rest = rest.dropFirst(fraction.count)
        }
        guard whole.count + fraction.count > 0 else { return nil }
        let unitText = rest.prefix { !isDigit($0) && $0 != UInt8(ascii: ".") }
        rest = rest.dropFirst(unitText.count)
        guard let unit = nanoseconds(ofUnit: unitText) else { return nil }
        guard let count = whole.isEmpty ? 0 : Int64(String(decoding: whole, as: UTF8.self)) else {
            return nil
        }
        let product = count.multipliedReportingOverflow(by: unit)
        guard !product.overflow else { return nil }
        // Digits below a nanosecond are dropped, as in Go; 18 of them are beyond any unit here.
        var part: Int64 = 0
        var scale = unit
        for digit in fraction.prefix(18) where scale > 0 {
            let step = Int64(digit - UInt8(ascii: "0"))
            part += step * scale / 10
            scale /= 10
        }
        let sum = total.addingReportingOverflow(product.partialValue)
        let all = sum.partialValue.addingReportingOverflow(part)
        guard !sum.overflow, !all.overflow else { return nil }
        total = all.partialValue
    }
    return .nanoseconds(isNegative ? -total : total)
}

private func nanoseconds(ofUnit unit: Substring.UTF8View) -> Int64? {
    switch String(decoding: unit, as: UTF8.self) {
    case "ns": 1
    case "us", "\u{b5}s", "\u{3bc}s": 1_000
    case "ms": 1_000_000
    case "s": 1_000_000_000
    case "m": 60_000_000_000
    case "h": 3_600_000_000_000
    default: nil
    }
}

extension Duration {
    /// Whole nanoseconds, held at the ends of 64 bits.
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let scaled = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let sum = scaled.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000)
        if scaled.overflow || sum.overflow { return seconds < 0 ? .min : .max }
        return sum.partialValue
    }

    /// The duration as the Collector writes it: `200ms`, `1m30s`, `0s`.
    package var text: String {
        let total = wholeNanoseconds
        guard total != 0 else { return "0s" }
        let magnitude = total.magnitude
        let sign = total < 0 ? "-" : ""
        if magnitude < 1_000 { return "\(sign)\(magnitude)ns" }
        if magnitude < 1_000_000 { return sign + Self.decimal(magnitude, per: 1_000) + "us" }
        if magnitude < 1_000_000_000 { return sign + Self.decimal(magnitude, per: 1_000_000) + "ms" }
        let hours = magnitude / 3_600_000_000_000
        let minutes = magnitude / 60_000_000_000 % 60
        let seconds = magnitude % 60_000_000_000
        var out = sign
        if hours > 0 { out += "\(hours)h" }
        if minutes > 0 { out += "\(minutes)m" }
        if seconds > 0 { out += Self.decimal(seconds, per: 1_000_000_000) + "s" }
        return out
    }

    private static func decimal(_ value: UInt64, per unit: UInt64) -> String {
        let fraction = value % unit
        guard fraction > 0 else { return String(value / unit) }
        var digits = String(fraction)
        digits = String(repeating: "0", count: String(unit).count - 1 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        return "\(value / unit).\(digits)"
    }
}
