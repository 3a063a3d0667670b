package import Hashing

/// An `audit.record.id`: a UUID (RFC 9562), the idempotency key of a record. Compared by value, not by spelling.
package struct RecordID: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// All zeros, which is no record's.
    static let none = RecordID(high: 0, low: 0)

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Takes the 16 bytes, in network order; nil for another count.
    package init?(_ bytes: [UInt8]) {
        // SAFETY: borrowed for the call.
        guard let id = unsafe bytes.withUnsafeBytes({ unsafe RecordID($0) }) else { return nil }
        self = id
    }

    /// Takes the 16 bytes, in network order; nil for another count.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        // SAFETY: both words are inside.
        high = unsafe UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        low = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// Reads 32 hexadecimal digits of either case in groups of 8-4-4-4-12; nil for anything else.
    package init?(text: [UInt8]) {
        // SAFETY: borrowed for the call.
        guard let id = unsafe text.withUnsafeBytes({ unsafe RecordID(text: $0) }) else { return nil }
        self = id
    }

    /// Reads 32 hexadecimal digits of either case in groups of 8-4-4-4-12; nil for anything else.
    package init?(text: UnsafeRawBufferPointer) {
        guard text.count == 36 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for index in 0..<36 {
            let byte = unsafe text[index]
            switch index {
            case 8, 13, 18, 23:
                guard byte == UInt8(ascii: "-") else { return nil }
            default:
                guard let digit = Hexadecimal.digit(byte) else { return nil }
                let value = UInt64(digit)
                if index < 18 { words.0 = words.0 << 4 | value } else { words.1 = words.1 << 4 | value }
            }
        }
        (high, low) = words
    }

    /// Derives one for an event that has none: UUID version 8 with the first bits of a digest of its content, so that the same
    /// event sent again is the same record.
    package init(derivedFrom digest: Hash256) {
        var bytes = Array(digest.bytes.prefix(16))
        bytes[6] = bytes[6] & 0x0f | 0x80
        bytes[8] = bytes[8] & 0x3f | 0x80
        (high, low) = (
            bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }, bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
        )
    }

    /// The 16 bytes, in network order.
    package var bytes: [UInt8] {
        var words = (high.bigEndian, low.bigEndian)
        // SAFETY: copied at once.
        return unsafe withUnsafeBytes(of: &words) { unsafe Array($0) }
    }
}

extension RecordID: CustomStringConvertible {
    /// In lower case with dashes.
    package var description: String {
        var text = Digest.hexadecimal(bytes)
        for index in [20, 16, 12, 8] { text.insert(UInt8(ascii: "-"), at: index) }
        return String(decoding: text, as: UTF8.self)
    }
}
