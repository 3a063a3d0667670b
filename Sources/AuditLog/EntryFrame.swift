internal import Glibc
internal import Hashing

/// Finds what links and names an entry that the gateway has written, without reading all of its JSON: for those that a signed
/// checkpoint covers, of which the signature says that they have their form.
@safe
package struct EntryFrame {
    /// What stores have columns of.
    package enum Field: Int, CaseIterable {
        case eventName
        case timestamp
        case traceID
        case spanID
        case actorID
        case actorType
        case action
        case outcome
        case targetType
        case targetID
        case decision
        case policyVersion
        /// From behind its colon to the record's end.
        case complianceTags
    }

    private(set) var previous = AuditRow.firstPreviousHash
    private(set) var record = 0..<0
    private(set) var recorded: UInt64 = 0
    private(set) var resource = 0..<0
    private(set) var sequence: UInt64 = 0
    private(set) var recordID: RecordID?
    /// Whether each field that is there is text without escapes, as `field` gives it.
    package private(set) var isPlain = true

    /// The places of fields; empty for what is not there.
    private var fields = InlineArray<13, Range<Int>>(repeating: 0..<0)
    private let findsFields: Bool
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// Borrows the bytes as long as it lives.
    /// - Parameter findsFields: whether `field` is asked for anything.
    /// - Returns: nil for what is not exactly as `AuditRow.init` writes it.
    init?(_ bytes: UnsafeRawBufferPointer, findsFields: Bool = false) {
        unsafe self.bytes = unsafe bytes
        self.findsFields = findsFields
        guard skip("{\"format\":\"sluice-audit-1\",\"prev_hash\":\""), let previous = readHash(),
            skip("\",\"record\":"), let record = skipObject(isRecord: true), skip(",\"recorded\":\""),
            let recorded = readNumber(), skip("\",\"resource\":"), let resource = skipObject(isRecord: false),
            skip(",\"sequence\":\""), let sequence = readNumber(), sequence > 0, skip("\"}"),
            position == bytes.count, recordID != nil
        else { return nil }
        (self.previous, self.record, self.recorded) = (previous, record, recorded)
        (self.resource, self.sequence) = (resource, sequence)
    }

    /// The bytes of a field's text, borrowed as the entry's are; nil for one that is not there.
    package func field(_ field: Field) -> UnsafeRawBufferPointer? {
        let range = fields[field.rawValue]
        return range.lowerBound == 0 ? nil : unsafe bytes(range)
    }

    /// Some of the entry's bytes, borrowed as these are.
    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        // SAFETY: only its own places are asked for.
        unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
    }

    /// Whether these bytes come next, which are skipped then.
    private mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard unsafe bytes.count - position >= count else { return false }
        // SAFETY: there are so many bytes, of the literal too.
        guard unsafe memcmp(bytes.baseAddress.unsafelyUnwrapped + position, text.utf8Start, count) == 0
        else { return false }
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

    /// - Parameter isRecord: whether the id and the fields are looked for.
    private mutating func skipObject(isRecord: Bool) -> Range<Int>? {
        let start = position
        guard unsafe position < bytes.count, unsafe bytes[position] == UInt8(ascii: "{") else { return nil }
        var depth = 0
        // Of a canonical record they come first.
        var isInAttributes = isRecord && isNext("{\"attributes\":{")
        while unsafe position < bytes.count {
            let byte = unsafe bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                let text = position
                guard skipString() else { return nil }
                if depth == 2, isInAttributes {
                    readAttribute(text)
                } else if depth == 1, isRecord, findsFields {
                    readTop(text)
                }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 1 { isInAttributes = false }
                if depth == 0 { return start..<position }
            default: break
            }
        }
        return nil
    }

    private mutating func isNext(_ text: StaticString) -> Bool {
        let start = position
        defer { position = start }
        return skip(text)
    }

    /// Takes what an attribute's key names, which ends with a quote before the position, and steps over a value that is text. Any other
    /// is read on, so that braces are counted.
    private mutating func readAttribute(_ start: Int) {
        let (end, count) = (position, position - 1 - start)
        let isOurs = count >= 12 && isAt(start, "audit.")
        let isID = isOurs && count == 15 && recordID == nil && isAt(start, "audit.record.id")
        let field = isOurs && findsFields && !isID ? attribute(start, count) : nil
        if field == .complianceTags {
            fields[Field.complianceTags.rawValue] = unsafe end + 1..<max(end + 1, bytes.count)
            return
        }
        if skip(":{\"stringValue\":\"") {
            let text = position
            if skipString() {
                let range = text..<position - 1
                if skip("}") {
                    if isID { recordID = unsafe RecordID(text: bytes(range)) }
                    if let field { take(field, range) }
                    return
                }
            }
        }
        if field != nil { isPlain = false }
        position = end
    }

    private func attribute(_ start: Int, _ count: Int) -> Field? {
        switch count {
        case 12: isAt(start, "audit.action") ? .action : nil
        case 13: isAt(start, "audit.outcome") ? .outcome : nil
        case 14:
            isAt(start, "audit.actor.id") ? .actorID : isAt(start, "audit.decision") ? .decision : nil
        case 15: isAt(start, "audit.target.id") ? .targetID : nil
        case 16: isAt(start, "audit.actor.type") ? .actorType : nil
        case 17: isAt(start, "audit.target.type") ? .targetType : nil
        case 20: isAt(start, "audit.policy.version") ? .policyVersion : nil
        case 21: isAt(start, "audit.compliance.tags") ? .complianceTags : nil
        default: nil
        }
    }

    /// The same for a key of the record itself.
    private mutating func readTop(_ start: Int) {
        let end = position
        let field: Field
        switch end - 1 - start {
        case 7 where isAt(start, "span_id"): field = .spanID
        case 8 where isAt(start, "trace_id"): field = .traceID
        case 9 where isAt(start, "timestamp"): field = .timestamp
        case 10 where isAt(start, "event_name"): field = .eventName
        default: return
        }
        // A text that reads like the key has no value.
        if skip(":\"") {
            let text = position
            if skipString() {
                take(field, text..<position - 1)
                return
            }
            isPlain = false
        } else if isNext(":") {
            isPlain = false
        }
        position = end
    }

    private mutating func take(_ field: Field, _ text: Range<Int>) {
        fields[field.rawValue] = text
        // SAFETY: inside the bytes.
        if unsafe memchr(
            bytes.baseAddress.unsafelyUnwrapped + text.lowerBound, Int32(UInt8(ascii: "\\")), text.count)
            != nil
        {
            isPlain = false
        }
    }

    private func isAt(_ start: Int, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard unsafe start + count <= bytes.count else { return false }
        // SAFETY: there are so many bytes, of the literal too.
        return unsafe memcmp(bytes.baseAddress.unsafelyUnwrapped + start, text.utf8Start, count) == 0
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
