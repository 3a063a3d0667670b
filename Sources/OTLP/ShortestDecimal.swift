/// A finite number as 0.`digits` times ten to the power of `point`: the fewest digits that mean it.
public struct ShortestDecimal {
    private let isNegative: Bool
    /// In ASCII, without zeros at either end; `0` for zero.
    private var digits: [UInt8] = []
    package private(set) var point = 0

    /// Precondition: the number is finite.
    package init(_ value: Double) {
        isNegative = value.sign == .minus
        digits.reserveCapacity(24)
        // The standard library's description has the fewest digits, in either form: `123.0`, `1.5e+16`.
        var isFraction = false
        var exponent: Int?
        var isDown = false
        for byte in value.magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"): exponent = 0
            case UInt8(ascii: "-"): isDown = true
            case UInt8(ascii: "+"): break
            default:
                if let written = exponent {
                    exponent = written * 10 + Int(byte - UInt8(ascii: "0"))
                } else if byte != UInt8(ascii: "0") || !digits.isEmpty {
                    digits.append(byte)
                    if !isFraction { point += 1 }
                } else if isFraction {
                    point -= 1
                }
            }
        }
        if let exponent { point += isDown ? -exponent : exponent }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        if digits.isEmpty {
            digits = [UInt8(ascii: "0")]
            point = 1
        }
    }

    /// Without an exponent.
    package var plain: String { String(decoding: plainBytes, as: UTF8.self) }

    /// With an exponent of so many digits at least.
    package func scientific(exponentDigits: Int) -> String {
        String(decoding: scientificBytes(exponentDigits: exponentDigits), as: UTF8.self)
    }

    private var sign: [UInt8] { isNegative ? [UInt8(ascii: "-")] : [] }

    private var plainBytes: [UInt8] {
        let zero = UInt8(ascii: "0")
        var bytes = sign
        if point <= 0 {
            bytes += [zero, UInt8(ascii: ".")]
            bytes += repeatElement(zero, count: -point)
            bytes += digits
        } else if point >= digits.count {
            bytes += digits
            bytes += repeatElement(zero, count: point - digits.count)
        } else {
            bytes += digits[..<point]
            bytes.append(UInt8(ascii: "."))
            bytes += digits[point...]
        }
        return bytes
    }

    private func scientificBytes(exponentDigits: Int) -> [UInt8] {
        var bytes = sign + [digits[0]]
        if digits.count > 1 {
            bytes.append(UInt8(ascii: "."))
            bytes += digits[1...]
        }
        let exponent = String((point - 1).magnitude).utf8
        bytes += [UInt8(ascii: "e"), point < 1 ? UInt8(ascii: "-") : UInt8(ascii: "+")]
        bytes += repeatElement(UInt8(ascii: "0"), count: max(0, exponentDigits - exponent.count))
        bytes += exponent
        return bytes
    }

    /// A number in ASCII as JSON and ECMAScript write it: an exponent below 1e-6 and from 1e21; `NaN`, `+Inf`, `-Inf`.
    public static func json(_ value: Double) -> [UInt8] {
        guard value.isFinite else { return Array(notFinite(value).utf8) }
        let decimal = ShortestDecimal(value)
        let isPlain = value == 0 || (1e-6..<1e21).contains(value.magnitude)
        return isPlain ? decimal.plainBytes : decimal.scientificBytes(exponentDigits: 1)
    }

    /// `NaN`, `+Inf` or `-Inf`.
    package static func notFinite(_ value: Double) -> String {
        value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf"
    }
}
