/// How many of 2^56 random values are rejected: the `th` of OpenTelemetry's consistent sampling. An item is sampled when its
/// randomness is not below.
struct Threshold: Sendable, Equatable, Comparable {
    /// 0 samples all, 2^56 none.
    let rejected: UInt64

    static let always = Threshold(rejected: 0)
    static let never = Threshold(rejected: 1 << 56)
    /// Hexadecimal digits of 56 bits.
    static let digits = 14
    /// The least probability that has a threshold.
    static let leastProbability = 0x1p-56

    init(rejected: UInt64) { self.rejected = rejected }

    /// The threshold of a probability, rounded to so many significant digits; near 0 and 1 to more, so that the relative error
    /// stays small. Nil below 2^-56 and above 1.
    init?(probability: Double, precision: Int) {
        guard probability <= 1, probability >= Self.leastProbability else { return nil }
        let leading = max(Self.leadingDigits(probability), Self.leadingDigits(1 - probability))
        let digits = min(Self.digits, precision + leading)
        var rejected = (1 << 56) - UInt64((probability * 0x1p56).rounded())
        let shift = UInt64(4 * (Self.digits - digits))
        if shift > 0 { rejected = ((rejected + 1 << (shift - 1)) >> shift) << shift }
        self.rejected = rejected
    }

    /// The zeros in front of a fraction of hexadecimal digits.
    private static func leadingDigits(_ fraction: Double) -> Int {
        fraction == 0 ? 0 : max(0, -(fraction.exponent + 1) / 4)
    }

    /// Reads `th`: 1 to 14 hexadecimal digits, of which the missing ones are zeros.
    init?(digits text: some Collection<UInt8>) {
        guard let value = UInt64(hexadecimal: text, atMost: Self.digits) else { return nil }
        rejected = value << UInt64(4 * (Self.digits - text.count))
    }

    var probability: Double { Double((1 << 56) - rejected) * 0x1p-56 }

    func samples(_ randomness: UInt64) -> Bool { rejected <= randomness }

    static func < (left: Threshold, right: Threshold) -> Bool { left.rejected < right.rejected }

    /// `th`: without zeros at the end, `0` for all.
    var text: [UInt8] {
        var text = Randomness.digits(rejected)
        while text.count > 1, text.last == UInt8(ascii: "0") { text.removeLast() }
        return text
    }
}

/// Random values of 56 bits: the `rv` of consistent sampling.
enum Randomness {
    static let greatest: UInt64 = 1 << 56 - 1

    /// 14 lower-case hexadecimal digits.
    static func digits(_ value: UInt64) -> [UInt8] {
        stride(from: UInt64(52), through: 0, by: -4).map { shift in
            let digit = UInt8(truncatingIfNeeded: value >> shift & 15)
            return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        }
    }

    /// Reads exactly 14 hexadecimal digits.
    static func value(_ text: some Collection<UInt8>) -> UInt64? {
        text.count == Threshold.digits ? UInt64(hexadecimal: text, atMost: Threshold.digits) : nil
    }

    /// What hashing makes of an id or a value: 14 bits that decide, spread so that all 56 differ.
    static func hashed(_ bytes: some Collection<UInt8>, seed: UInt32) -> UInt64 {
        var hash: UInt32 = 0x811c_9dc5
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
            hash = (hash ^ (seed >> shift & 0xFF)) &* 0x0100_0193
        }
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        let bucket = UInt64(hash) & 0x3FFF
        let unused = UInt64(hash) >> 18
        return (0x3FFF - bucket) << 42 | (unused ^ unused << 10) << 14 | bucket
    }
}

extension UInt64 {
    /// Reads 1 to `count` hexadecimal digits of either case.
    fileprivate init?(hexadecimal text: some Collection<UInt8>, atMost count: Int) {
        guard !text.isEmpty, text.count <= count else { return nil }
        var value: UInt64 = 0
        for byte in text {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        self = value
    }
}
