/// A string as it stands in a JSON text. Borrows as `WireBytes`.
package struct JSONString {
    /// What stands between the quotes: UTF-8 with escapes that were checked.
    package let bytes: WireBytes
    /// Whether there are any escapes.
    package let hasEscapes: Bool

    /// A copy of what the string means. Half of a surrogate pair becomes U+FFFD.
    package var text: String {
        guard hasEscapes else { return bytes.text }
        return unsafe String(unsafeUninitializedCapacity: decodedBytesMax) { buffer in
            // SAFETY: there is room for what the string means.
            unsafe decode(into: UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped))
        }
    }

    /// A copy of what the string means, in UTF-8.
    package var array: [UInt8] {
        guard hasEscapes else { return bytes.array }
        return unsafe [UInt8](unsafeUninitializedCapacity: decodedBytesMax) { buffer, count in
            // SAFETY: there is room for what the string means.
            count = unsafe decode(into: UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped))
        }
    }

    /// Whether the string means exactly this.
    package static func == (string: JSONString, literal: StaticString) -> Bool {
        guard string.hasEscapes else { return string.bytes == literal }
        return string.text == "\(literal)"
    }

    /// Whether the string means something else.
    package static func != (string: JSONString, literal: StaticString) -> Bool { !(string == literal) }

    private static let replacement = ("\u{FFFD}" as Unicode.Scalar).utf8

    /// What `decode` writes at most: no escape is shorter than what it means.
    var decodedBytesMax: Int { bytes.count }

    /// Writes what the string means, in UTF-8.
    ///
    /// SAFETY: the caller has room for `decodedBytesMax` bytes.
    /// - Returns: the number of bytes.
    @unsafe
    func decode(into target: UnsafeMutableRawPointer) -> Int {
        let source = unsafe bytes.unsafeBytes
        var index = 0
        var written = 0
        while index < source.count {
            let byte = unsafe source[index]
            guard byte == UInt8(ascii: "\\") else {
                unsafe target.storeBytes(of: byte, toByteOffset: written, as: UInt8.self)
                written &+= 1
                index &+= 1
                continue
            }
            let escape = unsafe source[index &+ 1]
            guard escape == UInt8(ascii: "u") else {
                unsafe target.storeBytes(of: Self.meaning(of: escape), toByteOffset: written, as: UInt8.self)
                written &+= 1
                index &+= 2
                continue
            }
            var scalar = unsafe Self.codeUnit(source, index &+ 2)
            index &+= 6
            if scalar & 0xFC00 == 0xD800, index &+ 6 <= source.count,
                unsafe source[index] == UInt8(ascii: "\\"), unsafe source[index &+ 1] == UInt8(ascii: "u")
            {
                let low = unsafe Self.codeUnit(source, index &+ 2)
                if low & 0xFC00 == 0xDC00 {
                    scalar = 0x10000 &+ (scalar & 0x3FF) << 10 | (low & 0x3FF)
                    index &+= 6
                }
            }
            for unit in Unicode.Scalar(scalar)?.utf8 ?? Self.replacement {
                unsafe target.storeBytes(of: unit, toByteOffset: written, as: UInt8.self)
                written &+= 1
            }
        }
        return written
    }

    private static func meaning(of escape: UInt8) -> UInt8 {
        switch escape {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: escape
        }
    }

    /// The number that four hexadecimal digits from an index on say.
    private static func codeUnit(_ source: UnsafeRawBufferPointer, _ index: Int) -> UInt32 {
        var unit: UInt32 = 0
        for offset in 0..<4 { unit = unit << 4 | UInt32(unsafe hexValue(source[index &+ offset]) ?? 0) }
        return unit
    }
}
