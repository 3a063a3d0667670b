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
        let dash = UInt8(ascii: "-")
        guard unsafe text[8] == dash, unsafe text[13] == dash, unsafe text[18] == dash,
            unsafe text[23] == dash
        else { return nil }
        // SAFETY: all eight bytes of each are inside.
        func load(_ start: Int) -> UInt64 {
            UInt64(littleEndian: unsafe text.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
        // Of "4-8" and "2-4-2" the dashes go: two words of four digits each make one of eight.
        let half: UInt64 = 0xffff_ffff
        guard let first = Hexadecimal.word(load(0).littleEndian),
            let second = Hexadecimal.word((load(9) & half | (load(14) & half) << 32).littleEndian),
            let third = Hexadecimal.word((load(19) & half | (load(24) & half) << 32).littleEndian),
            let fourth = Hexadecimal.word(load(28).littleEndian)
        else { return nil }
        (high, low) = (UInt64(first) << 32 | UInt64(second), UInt64(third) << 32 | UInt64(fourth))
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

    /// A new one: UUID version 4.
    package static func random() -> RecordID {
        RecordID(
            high: UInt64.random(in: 0...UInt64.max) & ~0xf000 | 0x4000,
            low: UInt64.random(in: 0...UInt64.max) & ~(3 << 62) | 1 << 63)
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
