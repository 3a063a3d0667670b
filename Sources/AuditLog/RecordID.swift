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
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Reads 32 hexadecimal digits of either case in groups of 8-4-4-4-12; nil for anything else.
    package init?(text: some Collection<UInt8>) {
        guard text.count == 36 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in text.enumerated() {
            switch index {
            case 8, 13, 18, 23:
                guard byte == UInt8(ascii: "-") else { return nil }
            default:
                guard let digit = Self.digit(byte) else { return nil }
                if index < 18 { words.0 = words.0 << 4 | digit } else { words.1 = words.1 << 4 | digit }
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
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The 16 bytes, in network order.
    package var bytes: [UInt8] {
        [high, low].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(word >> UInt64($0) & 255) }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
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
