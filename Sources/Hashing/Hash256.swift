internal import CNettle

/// A SHA-256 digest (FIPS 180-4): 32 bytes, compared and hashed as a value. Any thread.
package struct Hash256: Hashable, Sendable {
    /// The 32 bytes, four words in the machine's order.
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Takes a digest as it was kept; nil when it does not have 32 bytes.
    package init?(_ bytes: [UInt8]) {
        // SAFETY: borrowed for the call.
        guard let hash = unsafe bytes.withUnsafeBytes({ unsafe Hash256($0) }) else { return nil }
        self = hash
    }

    /// Takes a digest as it was kept; nil when it does not have 32 bytes.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.count else { return nil }
        unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyMemory(from: bytes) }
    }

    private init() {}

    /// Bytes of a digest.
    package static let count = 32

    /// The digest of bytes.
    package init(of bytes: [UInt8]) {
        self = unsafe bytes.withUnsafeBytes { unsafe Self.digest(nil, $0) }
    }

    /// The digest of one byte and the bytes after it: a leaf of RFC 6962's tree when it is 0.
    package init(of first: UInt8, then bytes: [UInt8]) {
        self = unsafe bytes.withUnsafeBytes { unsafe Self.digest(first, $0) }
    }

    /// The digest of one byte and two digests: an inner node of RFC 6962's tree when it is 1.
    package init(of first: UInt8, _ left: Hash256, _ right: Hash256) {
        var pair = (left.words, right.words)
        self = unsafe withUnsafeBytes(of: &pair) { unsafe Self.digest(first, $0) }
    }

    /// The digests of two messages, each with a byte in front of it or none. Faster than of one after the other where both have
    /// about the same length.
    package static func pair(
        _ oneFirst: UInt8?, _ one: UnsafeRawBufferPointer, _ otherFirst: UInt8?,
        _ other: UnsafeRawBufferPointer
    ) -> (Hash256, Hash256) {
        var (result, second) = (Hash256(), Hash256())
        unsafe withUnsafeMutableBytes(of: &result.words) { output in
            unsafe withUnsafeMutableBytes(of: &second.words) { secondOutput in
                // SAFETY: both messages are borrowed for the call, both outputs have 32 bytes.
                unsafe cnettle_sha256_pair(
                    message(oneFirst, one, output), message(otherFirst, other, secondOutput))
            }
        }
        return (result, second)
    }

    /// The digests of two messages of one byte and two digests each, which are `parts[index...]`.
    /// - Precondition: there are four digests from there on.
    package static func pair(of first: UInt8, _ parts: [Hash256], at index: Int) -> (Hash256, Hash256) {
        precondition(index >= 0 && index + 4 <= parts.count, "two messages have four parts")
        return unsafe parts.withUnsafeBytes { bytes in
            let (start, middle, end) = (index * count, (index + 2) * count, (index + 4) * count)
            // SAFETY: four digests lie there one behind the other, borrowed for the call.
            return unsafe pair(
                first, UnsafeRawBufferPointer(rebasing: bytes[start..<middle]),
                first, UnsafeRawBufferPointer(rebasing: bytes[middle..<end]))
        }
    }

    private static func message(
        _ first: UInt8?, _ bytes: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) -> cnettle_message {
        // SAFETY: the output has 32 bytes and so an address.
        unsafe cnettle_message(
            first: first.map { Int32($0) } ?? -1,
            data: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            count: bytes.count,
            digest: output.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self))
    }

    private static func digest(_ first: UInt8?, _ bytes: UnsafeRawBufferPointer) -> Hash256 {
        var result = Hash256()
        unsafe withUnsafeMutableBytes(of: &result.words) { output in
            // SAFETY: the bytes are borrowed for the call, the output has 32 bytes and so an address.
            unsafe cnettle_sha256(
                first.map { Int32($0) } ?? -1, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
                bytes.count, output.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self))
        }
        return result
    }

    /// The 32 bytes.
    package var bytes: [UInt8] { unsafe withUnsafeBytes(of: words) { unsafe Array($0) } }

    /// Adds the 32 bytes to others.
    package func append(to bytes: inout [UInt8]) {
        unsafe withUnsafeBytes(of: words) { unsafe bytes.append(contentsOf: $0) }
    }

    /// In lower-case hexadecimal.
    package var hex: [UInt8] { Digest.hexadecimal(bytes) }

    package static func == (one: Hash256, other: Hash256) -> Bool { one.words == other.words }

    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

extension Hash256: CustomStringConvertible {
    /// In lower-case hexadecimal.
    package var description: String { String(decoding: hex, as: UTF8.self) }
}
