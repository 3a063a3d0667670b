/// Values in Prometheus' own spelling.
enum PrometheusText {
    /// A duration: whole numbers with the units `y`, `w`, `d`, `h`, `m`, `s`, `ms`, largest first, such as `1h30m`, or `0`.
    static func duration(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        let units: [(name: String, milliseconds: Int64)] = [
            ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000),
            ("s", 1000), ("ms", 1),
        ]
        var rest = Array(text.utf8)[...]
        guard !rest.isEmpty else { return nil }
        var total: Int64 = 0
        var next = 0
        while !rest.isEmpty {
            let digits = rest.prefix { SeriesText.isDigit($0) }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { !SeriesText.isDigit($0) }
            rest = rest.dropFirst(name.count)
            let unit = String(decoding: name, as: UTF8.self)
            guard let number = Int64(String(decoding: digits, as: UTF8.self)),
                let index = units.firstIndex(where: { $0.name == unit }), index >= next
            else { return nil }
            next = index + 1
            let (product, overflow) = number.multipliedReportingOverflow(by: units[index].milliseconds)
            let (sum, overflowToo) = total.addingReportingOverflow(product)
            guard !overflow, !overflowToo, sum < Int64.max / 1_000_000 else { return nil }
            total = sum
        }
        return .milliseconds(total)
    }

    /// A number of bytes, such as `10MB` or `512KiB`; units are powers of 1024 with and without the `i`.
    static func bytes(_ text: String) -> Int? {
        let digits = text.utf8.prefix { SeriesText.isDigit($0) }
        let unit = String(decoding: text.utf8.dropFirst(digits.count), as: UTF8.self)
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
        let names = ["", "K", "M", "G", "T"]
        guard unit.isEmpty || unit.hasSuffix("B") else { return nil }
        let letter = unit.count > 2 && unit.hasSuffix("iB") ? unit.dropLast(2) : unit.dropLast()
        guard let power = names.firstIndex(of: String(letter)) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * power))
        return overflow ? nil : product
    }
}
