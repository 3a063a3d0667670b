/// Go's syntax of durations: `1h2m3.5s`.
enum DurationText {
    private static let units: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]

    /// Nanoseconds.
    static func parse(_ text: String) throws(EvaluationError) -> Int64 {
        var rest = Substring(text)
        let isNegative = rest.first == "-"
        if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
        if rest == "0" { return 0 }
        guard !rest.isEmpty else { throw EvaluationError("time: invalid duration \(GoFormat.quoted(text))") }
        var total: Int64 = 0
        while !rest.isEmpty {
            let whole = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(whole.count)
            var fraction = Substring()
            if rest.first == "." {
                fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(fraction.count + 1)
            }
            guard !whole.isEmpty || !fraction.isEmpty else {
                throw EvaluationError("time: invalid duration \(GoFormat.quoted(text))")
            }
            let name = rest.prefix { $0 != "." && !($0.isASCII && $0.isNumber) }
            rest = rest.dropFirst(name.count)
            guard !name.isEmpty else {
                throw EvaluationError("time: missing unit in duration \(GoFormat.quoted(text))")
            }
            guard let unit = units.first(where: { $0.name == name }) else {
                throw EvaluationError(
                    "time: unknown unit \(GoFormat.quoted(String(name))) in duration \(GoFormat.quoted(text))"
                )
            }
            let (product, over) = (Int64(whole.isEmpty ? "0" : whole) ?? .max)
                .multipliedReportingOverflow(by: Int64(unit.nanoseconds))
            let part = (Double("0." + (fraction.isEmpty ? "0" : fraction)) ?? 0) * unit.nanoseconds
            let (sum, overflow) = total.addingReportingOverflow(product)
            let (all, beyond) = sum.addingReportingOverflow(Int64(part))
            guard !over, !overflow, !beyond else {
                throw EvaluationError("time: invalid duration \(GoFormat.quoted(text))")
            }
            total = all
        }
        return isNegative ? -total : total
    }

    /// As Go prints it: `1h2m3.5s`, `1.5ms`, `0s`.
    static func text(_ nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0s" }
        let magnitude = nanoseconds.magnitude
        let sign = nanoseconds < 0 ? "-" : ""
        if magnitude < 1_000 { return sign + "\(magnitude)ns" }
        if magnitude < 1_000_000 { return sign + decimal(magnitude, 1_000) + "µs" }
        if magnitude < 1_000_000_000 { return sign + decimal(magnitude, 1_000_000) + "ms" }
        let minutes = magnitude / 60_000_000_000
        let seconds = decimal(magnitude % 60_000_000_000, 1_000_000_000) + "s"
        if minutes == 0 { return sign + seconds }
        if minutes < 60 { return sign + "\(minutes)m" + seconds }
        return sign + "\(minutes / 60)h\(minutes % 60)m" + seconds
    }

    private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
        let rest = value % unit
        guard rest > 0 else { return "\(value / unit)" }
        var digits = String(unit + rest).dropFirst()
        while digits.last == "0" { digits = digits.dropLast() }
        return "\(value / unit)." + digits
    }
}
