// Bytes as JSON has them: hexadecimal digits or base 64.

extension RequestBytes {
    /// Writes the bytes that hexadecimal digits or base 64 mean.
    /// - Returns: false when they mean none.
    mutating func decode(
        _ text: WireBytes, isHexadecimal: Bool
    ) throws(Full) -> Bool {
        isHexadecimal ? try decodeHexadecimal(text) : try decodeBase64(text)
    }

    /// The same of digits that were unescaped.
    mutating func decode(_ text: [UInt8], isHexadecimal: Bool) throws(Full) -> Bool {
        let result: Result<Bool, Full> = unsafe text.withUnsafeBytes { text in
            do throws(Full) {
                return .success(try unsafe decode(WireBytes(text), isHexadecimal: isHexadecimal))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private mutating func decodeHexadecimal(_ text: WireBytes) throws(Full) -> Bool {
        guard text.count % 2 == 0 else { return false }
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = hexValue(text[index]), let low = hexValue(text[index + 1]) else { return false }
            try byte(high << 4 | low)
        }
        return true
    }

    /// Either alphabet of RFC 4648, with or without padding.
    private mutating func decodeBase64(_ text: WireBytes) throws(Full) -> Bool {
        var count = text.count
        while count > 0, text.count - count < 2, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
        guard count == text.count || text.count % 4 == 0, count % 4 != 1 else { return false }
        var group: UInt32 = 0
        for index in 0..<count {
            guard let value = base64Value(text[index]) else { return false }
            group = group << 6 | value
            if index % 4 > 0 {
                // The second digit of a group completes its first byte, and so on.
                try byte(UInt8(truncatingIfNeeded: group >> UInt32(6 - 2 * (index % 4))))
            }
        }
        return true
    }

    private func base64Value(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
