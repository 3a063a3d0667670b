// Numbers and ids as text.

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
}
