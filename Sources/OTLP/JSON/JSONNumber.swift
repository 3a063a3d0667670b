/// A number as it stands in a JSON text. Borrows as `WireBytes`.
package struct JSONNumber {
    /// Its characters.
    package let bytes: WireBytes
    private let isNegative: Bool
    /// The first 19 digits that are not zeros in front, without the point.
    private let digits: UInt64
    /// What the digits are to be multiplied with: ten to this power.
    private let exponent: Int
    /// Whether `digits` are all but for zeros.
    private let isExact: Bool

    /// The number at the start of a text; nil when there is none as JSON writes it.
    init?(prefixOf text: WireBytes) {
        var scan = Scan(text)
        isNegative = scan.skip(UInt8(ascii: "-"))
        guard let whole = scan.skipDigits(), whole == 1 || text[isNegative ? 1 : 0] != UInt8(ascii: "0")
        else {
            return nil
        }
        var exponent = 0
        if scan.skip(UInt8(ascii: ".")) {
            guard let decimals = scan.skipDigits() else { return nil }
            exponent = -decimals
        }
        exponent += scan.droppedDigits
        if scan.skip(UInt8(ascii: "e")) || scan.skip(UInt8(ascii: "E")) {
            let isDown = scan.skip(UInt8(ascii: "-"))
            if !isDown { _ = scan.skip(UInt8(ascii: "+")) }
            guard let written = scan.skipExponent() else { return nil }
            exponent += isDown ? -written : written
        }
        digits = scan.digits
        self.exponent = exponent
        isExact = scan.isExact
        bytes = text.prefix(scan.index)
    }

    /// The number that is the whole of a text; nil when it is none as JSON writes it.
    init?(whole text: WireBytes) {
        self.init(prefixOf: text)
        guard bytes.count == text.count else { return nil }
    }

    /// The number, when it is whole and not negative and fits.
    package var uint64: UInt64? {
        guard let magnitude, !isNegative || magnitude == 0 else { return nil }
        return magnitude
    }

    /// The number, when it is whole and fits.
    package var int64: Int64? {
        guard let magnitude else { return nil }
        if !isNegative { return Int64(exactly: magnitude) }
        return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
    }

    /// The whole number without its sign: `1`, `1.0`, `10e-1`, `1e3`.
    private var magnitude: UInt64? {
        if exponent == 0, isExact { return digits }
        if digits == 0 { return 0 }
        guard isExact else {
            // 20 digits or more: whole and in range only as plain digits, behind which zeros may follow a point.
            var value: UInt64 = 0
            var isBehindPoint = false
            for index in (isNegative ? 1 : 0)..<bytes.count {
                if bytes[index] == UInt8(ascii: "."), !isBehindPoint {
                    isBehindPoint = true
                    continue
                }
                let digit = UInt64(bytes[index]) &- UInt64(UInt8(ascii: "0"))
                guard digit < 10 else { return nil }
                if isBehindPoint {
                    guard digit == 0 else { return nil }
                    continue
                }
                let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
                let (sum, carry) = tens.addingReportingOverflow(digit)
                guard !overflow, !carry else { return nil }
                value = sum
            }
            return value
        }
        guard (-19...19).contains(exponent) else { return nil }
        var value = digits
        for _ in 0..<exponent.magnitude {
            if exponent < 0 {
                guard value % 10 == 0 else { return nil }
                value /= 10
            } else {
                let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
                guard !overflow else { return nil }
                value = tens
            }
        }
        return value
    }

    private static let powersOfTen: [23 of Double] = [
        1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
        1e19,
        1e20, 1e21, 1e22,
    ]

    /// The nearest double; an infinity when the number is too large for one.
    package var double: Double {
        // Both are exact as doubles, so one division or multiplication rounds once, to the nearest.
        if isExact, digits <= 1 << 53, (-22...22).contains(exponent) {
            let value = Double(digits)
            let power = Self.powersOfTen[Int(exponent.magnitude)]
            let scaled = exponent < 0 ? value / power : value * power
            return isNegative ? -scaled : scaled
        }
        guard let value = Double(bytes.text) else { preconditionFailure("a JSON number is a number") }
        return value
    }
}

/// Walks over the characters of a number.
private struct Scan {
    private let text: WireBytes
    private(set) var index = 0
    /// The first 19 digits that are not zeros in front.
    private(set) var digits: UInt64 = 0
    /// Digits behind those.
    private(set) var droppedDigits = 0
    /// Whether they are all zeros.
    private(set) var isExact = true

    init(_ text: WireBytes) { self.text = text }

    mutating func skip(_ character: UInt8) -> Bool {
        guard index < text.count, text[index] == character else { return false }
        index += 1
        return true
    }

    private mutating func nextDigit() -> UInt8? {
        guard index < text.count else { return nil }
        let digit = text[index] &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        index += 1
        return digit
    }

    /// Reads digits; returns how many, nil for none.
    mutating func skipDigits() -> Int? {
        let start = index
        while let digit = nextDigit() {
            if digits < 1_000_000_000_000_000_000 {
                digits = digits &* 10 &+ UInt64(digit)
            } else {
                droppedDigits += 1
                if digit != 0 { isExact = false }
            }
        }
        return index > start ? index - start : nil
    }

    /// Reads an exponent's digits; one beyond all doubles counts as that.
    mutating func skipExponent() -> Int? {
        let start = index
        var exponent = 0
        while let digit = nextDigit() { exponent = min(exponent * 10 + Int(digit), 1 << 40) }
        return index > start ? exponent : nil
    }
}

extension WireBytes {
    /// The first bytes of these.
    fileprivate func prefix(_ count: Int) -> WireBytes {
        precondition(count <= self.count, "fewer bytes than asked for")
        // SAFETY: the count was checked.
        return unsafe WireBytes(base: base, count: count)
    }
}
