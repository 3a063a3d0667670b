internal import Hashing

/// Finds what links and names an entry that the gateway has written, without reading all of its JSON: for those that a signed
/// checkpoint covers, of which the signature says that they have their form.
@safe
struct EntryFrame {
    private(set) var previous = AuditRow.firstPreviousHash
    private(set) var record = 0..<0
    private(set) var recorded: UInt64 = 0
    private(set) var resource = 0..<0
    private(set) var sequence: UInt64 = 0
    private(set) var recordID: RecordID?

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// Borrows the bytes for the call.
    /// - Returns: nil for what is not exactly as `AuditRow.init` writes it.
    init?(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes = unsafe bytes
        guard skip("{\"format\":\"sluice-audit-1\",\"prev_hash\":\""), let previous = readHash(),
            skip("\",\"record\":"), let record = skipObject(findsID: true), skip(",\"recorded\":\""),
            let recorded = readNumber(), skip("\",\"resource\":"), let resource = skipObject(findsID: false),
            skip(",\"sequence\":\""), let sequence = readNumber(), sequence > 0, skip("\"}"),
            position == bytes.count, recordID != nil
        else { return nil }
        (self.previous, self.record, self.recorded) = (previous, record, recorded)
        (self.resource, self.sequence) = (resource, sequence)
    }

    /// Whether these bytes come next, which are skipped then.
    private mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard unsafe bytes.count - position >= count else { return false }
        // SAFETY: there are so many bytes, of the literal too.
        for index in 0..<count {
            guard unsafe bytes[position + index] == text.utf8Start[index] else { return false }
        }
        position += count
        return true
    }

    private mutating func readHash() -> Hash256? {
        let end = position + 2 * Hash256.count
        guard unsafe end <= bytes.count else { return nil }
        defer { position = end }
        return unsafe Hexadecimal.hash(UnsafeRawBufferPointer(rebasing: bytes[position..<end]))
    }

    private mutating func readNumber() -> UInt64? {
        let start = position
        var value: UInt64 = 0
        while unsafe position < bytes.count {
            let digit = unsafe bytes[position] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            // No more than 19 digits, which always fit.
            guard position - start < 19 else { return nil }
            value = value * 10 + UInt64(digit)
            position += 1
        }
        return position > start ? value : nil
    }

    /// - Parameter findsID: whether it has the attributes one level down.
    private mutating func skipObject(findsID: Bool) -> Range<Int>? {
        let start = position
        guard unsafe position < bytes.count, unsafe bytes[position] == UInt8(ascii: "{") else { return nil }
        var depth = 0
        while unsafe position < bytes.count {
            let byte = unsafe bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                let text = position
                guard skipString() else { return nil }
                if findsID, depth == 2, position - text == 16, recordID == nil { readID(named: text) }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 { return start..<position }
            default: break
            }
        }
        return nil
    }

    /// Takes the record's id, if the string that was skipped is its key.
    private mutating func readID(named start: Int) {
        let end = position
        position = start
        guard skip("audit.record.id\":{\"stringValue\":\""), unsafe position + 36 <= bytes.count else {
            position = end
            return
        }
        recordID = unsafe RecordID(text: UnsafeRawBufferPointer(rebasing: bytes[position..<position + 36]))
        // What it skipped is read again, so that braces are counted.
        position = end
    }

    /// Behind the end of a string whose first quote was skipped; eight bytes at a time.
    private mutating func skipString() -> Bool {
        while true {
            while unsafe position + 8 <= bytes.count {
                // SAFETY: eight bytes are there.
                let word = unsafe UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let marks = Self.marks(word)
                position += marks == 0 ? 8 : marks.trailingZeroBitCount / 8
                if marks != 0 { break }
            }
            guard unsafe position < bytes.count else { return false }
            let byte = unsafe bytes[position]
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte < 32 { return false }
        }
    }

    /// The high bit of each byte that is a quote, a backslash or a control character; above the first one others may be set.
    private static func marks(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let slashes = word ^ (ones &* 0x5c)
        let found =
            ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes) | ((word &- (ones &* 0x20)) & ~word)
        return found & (ones &* 0x80)
    }
}
