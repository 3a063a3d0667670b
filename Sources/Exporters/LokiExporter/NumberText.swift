// Numbers, ids and bytes as text.

internal import OTLP

extension ByteDraft {
    /// Appends a whole number in decimal.
    mutating func appendDecimal(_ value: UInt64) {
        unsafe append(room: 20) { target in
            var digits = 1
            var bound: UInt64 = 10
            while value >= bound {
                digits &+= 1
                let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
                if overflow { break }
                bound = next
            }
            var rest = value
            var index = digits
            // SAFETY: index is below 20. Two digits a division: each waits for the one before.
            while rest >= 100 {
                index &-= 2
                let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
                unsafe Self.putPair(UInt8(truncatingIfNeeded: pair), at: target + index)
                rest = quotient
            }
            if rest >= 10 {
                unsafe Self.putPair(UInt8(truncatingIfNeeded: rest), at: target)
            } else {
                unsafe target[0] = UInt8(truncatingIfNeeded: rest) &+ 0x30
            }
            return digits
        }
    }

    /// Writes two digits.
    @inline(__always)
    private static func putPair(_ pair: UInt8, at target: UnsafeMutablePointer<UInt8>) {
        let (tens, ones) = pair.quotientAndRemainder(dividingBy: 10)
        unsafe target[0] = tens &+ 0x30
        unsafe target[1] = ones &+ 0x30
    }

    /// Appends a whole number in decimal.
    mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// Appends bytes in lower-case hexadecimal.
    @inline(__always)
    mutating func appendHex(_ bytes: WireBytes) {
        // SAFETY: every read is below the count, and the room is twice that.
        let source = unsafe bytes.unsafeBytes
        let count = bytes.count
        unsafe append(room: count &* 2) { target in
            var index = 0
            // Four bytes at a time: each into a lane of 16 bits, its halves into the lane's bytes.
            while index &+ 4 <= count {
                let four = unsafe source.loadUnaligned(fromByteOffset: index, as: UInt32.self)
                var lanes = UInt64(UInt32(littleEndian: four))
                lanes = (lanes | lanes << 16) & 0x0000_FFFF_0000_FFFF
                lanes = (lanes | lanes << 8) & 0x00FF_00FF_00FF_00FF
                let halves = (lanes >> 4) & 0x000F_000F_000F_000F | (lanes & 0x000F_000F_000F_000F) << 8
                let letters = ((halves &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
                let digits = halves &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
                unsafe UnsafeMutableRawPointer(target + index &* 2).storeBytes(
                    of: digits.littleEndian, as: UInt64.self)
                index &+= 4
            }
            while index < count {
                let byte = unsafe source.load(fromByteOffset: index, as: UInt8.self)
                unsafe target[index &* 2] = Self.hexDigit(byte >> 4)
                unsafe target[index &* 2 &+ 1] = Self.hexDigit(byte & 15)
                index &+= 1
            }
            return count &* 2
        }
    }

    @inline(__always)
    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value &+ (value < 10 ? 0x30 : 0x57)
    }

    /// Appends bytes in base 64 with padding (RFC 4648 section 4).
    mutating func appendBase64(_ bytes: WireBytes) {
        var index = 0
        reserve((bytes.count + 2) / 3 * 4)
        while index < bytes.count {
            let left = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < left ? UInt32(bytes[index + offset]) : 0)
            }
            for digit in 0..<4 {
                let code = UInt8(truncatingIfNeeded: group >> UInt32(18 - 6 * digit) & 0x3F)
                append(digit <= left ? Self.base64Digit(code) : UInt8(ascii: "="))
            }
            index += 3
        }
    }

    private static func base64Digit(_ code: UInt8) -> UInt8 {
        switch code {
        case 0..<26: UInt8(ascii: "A") + code
        case 26..<52: UInt8(ascii: "a") + code - 26
        case 52..<62: UInt8(ascii: "0") + code - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }

    /// Appends a number with the fewest digits that mean it, as ECMAScript and JSON write it: an exponent below
    /// 1e-6 and from 1e21; `NaN`, `+Inf` and `-Inf` for those.
    mutating func appendDouble(_ value: Double) {
        guard value.isFinite else {
            append(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf")
            return
        }
        if value < 0 { append(UInt8(ascii: "-")) }
        // Of the standard library's text, `123.0` or `1.5e+16`, the digits are the fewest; the form is made here.
        var digits: [UInt8] = []
        var point = 0
        var isFraction = false
        let parts = value.magnitude.description.split(separator: "e")
        for byte in parts[0].utf8 {
            if byte == UInt8(ascii: ".") {
                isFraction = true
                continue
            }
            digits.append(byte)
            if !isFraction { point += 1 }
        }
        if parts.count > 1, let exponent = Int(parts[1]) { point += exponent }
        while digits.count > 1, digits.first == UInt8(ascii: "0") {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        appendDigits(digits, point: value == 0 ? 1 : point)
    }

    /// 0.`digits` times ten to the power of `point`.
    private mutating func appendDigits(_ digits: [UInt8], point: Int) {
        if point > 21 || point < -5 {
            append(digits[0])
            if digits.count > 1 {
                append(UInt8(ascii: "."))
                append(digits[1...])
            }
            append(point < 1 ? "e-" : "e+")
            appendDecimal(UInt64((point - 1).magnitude))
            return
        }
        if point <= 0 {
            append("0.")
            for _ in 0..<(-point) { append(UInt8(ascii: "0")) }
            append(digits)
            return
        }
        append(digits.prefix(point))
        for _ in 0..<max(0, point - digits.count) { append(UInt8(ascii: "0")) }
        guard digits.count > point else { return }
        append(UInt8(ascii: "."))
        append(digits[point...])
    }
}
