internal import Glibc
internal import OTLP

/// Floating-point numbers as the Collector writes them.
enum NumberText {
    /// Six decimals: `1.230000`; `+Inf`, `-Inf`, `NaN`.
    static func fixed(_ value: Double) -> String {
        guard value.isFinite else { return ShortestDecimal.notFinite(value) }
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
        guard value.isFinite else { return ShortestDecimal.notFinite(value) }
        let decimal = ShortestDecimal(value)
        let exponent = decimal.point - 1
        return exponent < -4 || exponent >= 6 ? decimal.scientific(exponentDigits: 2) : decimal.plain
    }
}
