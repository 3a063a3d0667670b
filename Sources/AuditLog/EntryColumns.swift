package import Hashing
internal import OTLP

/// Why bytes are no entry of this log.
package struct EntryError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// What an entry says of itself, for columns that are searched, and for checks. Always made of the entry's bytes.
package struct EntryColumns: Sendable, Equatable {
    package private(set) var sequence: UInt64 = 0
    /// SHA-256 of the entry before it.
    package private(set) var previousHash: Hash256
    /// When the gateway took it, in nanoseconds of Unix time.
    package private(set) var recorded: UInt64 = 0
    package private(set) var recordID: RecordID
    package private(set) var contentHash: Hash256
    /// The event's own time, in nanoseconds of Unix time.
    package private(set) var time: UInt64 = 0
    package private(set) var eventName = ""
    /// 32 hexadecimal digits; nil for an event without a trace. `trace_id`.
    package private(set) var traceID: String?
    /// 16 hexadecimal digits. `span_id`.
    package private(set) var spanID: String?
    /// `audit.compliance.tags`.
    package private(set) var complianceTags: [String] = []
    /// By `Text`.
    private var texts: [String?] = []

    /// The text attributes that columns have.
    private enum Text: Int, CaseIterable {
        case actorID
        case actorType
        case action
        case outcome
        case targetType
        case targetID
        case decision
        case policyVersion

        init?(_ key: JSONString) {
            if key == "audit.actor.id" {
                self = .actorID
            } else if key == "audit.actor.type" {
                self = .actorType
            } else if key == "audit.action" {
                self = .action
            } else if key == "audit.outcome" {
                self = .outcome
            } else if key == "audit.target.type" {
                self = .targetType
            } else if key == "audit.target.id" {
                self = .targetID
            } else if key == "audit.decision" {
                self = .decision
            } else if key == "audit.policy.version" {
                self = .policyVersion
            } else {
                return nil
            }
        }
    }

    private func text(_ which: Text) -> String? { texts.isEmpty ? nil : texts[which.rawValue] }

    /// `audit.actor.id`.
    package var actorID: String { text(.actorID) ?? "" }
    /// `audit.actor.type`.
    package var actorType: String { text(.actorType) ?? "" }
    /// `audit.action`.
    package var action: String { text(.action) ?? "" }
    /// `audit.outcome`.
    package var outcome: String { text(.outcome) ?? "" }
    /// `audit.target.type`.
    package var targetType: String? { text(.targetType) }
    /// `audit.target.id`.
    package var targetID: String? { text(.targetID) }
    /// `audit.decision`.
    package var decision: String? { text(.decision) }
    /// `audit.policy.version`.
    package var policyVersion: String? { text(.policyVersion) }

    /// How deep JSON nests in an entry at most: a value of OTLP takes up to four levels, and a receiver lets 64 in, a body's JSON
    /// has 128.
    private static let depthMax = 1024

    /// Whether only what links and names the entry is read, and of the texts only the record's id.
    private let isBrief: Bool

    /// Reads an entry.
    /// - Parameter isBrief: leaves out what is for columns only, for who checks millions.
    /// - Throws: it is not of the form that README.md describes.
    package init(_ entry: [UInt8], isBrief: Bool = false) throws(EntryError) {
        self.isBrief = isBrief
        let placeholder = AuditRow.firstPreviousHash
        previousHash = placeholder
        contentHash = placeholder
        recordID = .none
        if !isBrief { texts = [String?](repeating: nil, count: Text.allCases.count) }
        var found = Found()
        do throws(JSONError) {
            try read(entry, &found)
        } catch {
            throw EntryError(description: "is no JSON: \(error)")
        }
        guard found.isOurs else { throw EntryError(description: "has not the format \"sluice-audit-1\"") }
        guard let sequence = found.sequence, sequence > 0, let recorded = found.recorded,
            let previous = found.previous
        else { throw EntryError(description: "has no valid sequence, recorded and prev_hash") }
        guard let id = found.recordID else { throw EntryError(description: "has no audit.record.id") }
        (self.sequence, self.recorded, previousHash, recordID) = (sequence, recorded, previous, id)
        contentHash = AuditEvent.contentHash(record: entry[found.record], resource: entry[found.resource])
    }

    /// Reads an entry that a signed checkpoint covers, as with `isBrief`.
    /// - Throws: it is not of the form that README.md describes.
    init(signed entry: [UInt8]) throws(EntryError) {
        // SAFETY: borrowed for the call.
        guard let frame = unsafe entry.withUnsafeBytes({ unsafe EntryFrame($0) }), let id = frame.recordID
        else {
            try self.init(entry, isBrief: true)
            return
        }
        self.init(
            frame, id, AuditEvent.contentHash(record: entry[frame.record], resource: entry[frame.resource]))
    }

    private init(_ frame: EntryFrame, _ id: RecordID, _ contentHash: Hash256) {
        isBrief = true
        (sequence, previousHash, recorded) = (frame.sequence, frame.previous, frame.recorded)
        (recordID, self.contentHash) = (id, contentHash)
    }

    /// What stands at the entry's top, before it is checked.
    private struct Found {
        var isOurs = false
        var sequence: UInt64?
        var recorded: UInt64?
        var recordID: RecordID?
        var previous: Hash256?
        var record = 0..<0
        var resource = 0..<0
    }

    private mutating func read(_ entry: [UInt8], _ found: inout Found) throws(JSONError) {
        let result = unsafe entry.withUnsafeBytes { bytes in
            Result { () throws(JSONError) in
                // SAFETY: borrowed for the call.
                var reader = try unsafe JSONReader(bytes, depthMax: Self.depthMax)
                try readTop(&reader, &found)
                try reader.finish()
            }
        }
        try result.get()
    }

    private mutating func readTop(_ reader: inout JSONReader, _ found: inout Found) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key == "format" {
                found.isOurs = try reader.readString() == "sluice-audit-1"
            } else if key == "sequence" {
                found.sequence = Self.decimal(try reader.readString())
            } else if key == "recorded" {
                found.recorded = Self.decimal(try reader.readString())
            } else if key == "prev_hash" {
                found.previous = Hexadecimal.hash(try reader.readString().bytes)
            } else if key == "record" {
                _ = try reader.peek()
                let start = reader.position
                try readRecord(&reader, &found)
                found.record = start..<reader.position
            } else if key == "resource" {
                _ = try reader.peek()
                let start = reader.position
                try reader.skipValue()
                found.resource = start..<reader.position
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func readRecord(_ reader: inout JSONReader, _ found: inout Found) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key == "attributes" {
                try readAttributes(&reader, &found)
            } else if isBrief {
                try reader.skipValue()
            } else if key == "event_name" {
                eventName = try reader.readString().text
            } else if key == "timestamp" {
                time = UInt64(try reader.readString().text) ?? 0
            } else if key == "trace_id" {
                traceID = try reader.readString().text
            } else if key == "span_id" {
                spanID = try reader.readString().text
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func readAttributes(
        _ reader: inout JSONReader, _ found: inout Found
    ) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let isID = key == "audit.record.id"
            let slot = isBrief || isID ? nil : Text(key)
            let isTags = !isBrief && slot == nil && key == "audit.compliance.tags"
            guard isID || slot != nil || isTags else {
                try reader.skipValue()
                continue
            }
            try reader.beginObject()
            while let kind = try reader.nextKey() {
                if kind == "stringValue" {
                    let text = try reader.readString()
                    if isID { found.recordID = unsafe RecordID(text: text.bytes.unsafeBytes) }
                    if let slot { texts[slot.rawValue] = text.text }
                } else if isTags, kind == "arrayValue" {
                    complianceTags = try Self.strings(JSONTree(&reader)["values"])
                } else {
                    try reader.skipValue()
                }
            }
        }
    }

    /// A number of digits only; nil for anything else.
    private static func decimal(_ text: JSONString) -> UInt64? {
        let digits = unsafe text.bytes.unsafeBytes
        guard 1...20 ~= digits.count else { return nil }
        var value: UInt64 = 0
        for index in 0..<digits.count {
            let digit = unsafe digits[index] &- UInt8(ascii: "0")
            let (tens, overflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLarge) = tens.addingReportingOverflow(UInt64(digit))
            guard digit < 10, !overflows, !isTooLarge else { return nil }
            value = sum
        }
        return value
    }

    private static func strings(_ list: JSONTree) -> [String] {
        guard case .list(let items) = list else { return [] }
        return items.compactMap { item in
            guard case .string(let text) = item["stringValue"] else { return nil }
            return text
        }
    }
}

/// Hexadecimal digits.
package enum Hexadecimal {
    /// The bytes of an even number of digits of either case; nil for anything else.
    package static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = digit(text[index]), let low = digit(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// The digest of 64 digits of either case; nil for anything else.
    static func hash(_ text: WireBytes) -> Hash256? { unsafe hash(text.unsafeBytes) }

    /// The digest of 64 digits of either case; nil for anything else.
    static func hash(_ text: UnsafeRawBufferPointer) -> Hash256? {
        guard text.count == 2 * Hash256.count else { return nil }
        return unsafe withUnsafeTemporaryAllocation(byteCount: Hash256.count, alignment: 8) { bytes in
            for start in stride(from: 0, to: Hash256.count, by: 4) {
                // SAFETY: the text has twice as many digits.
                let digits = unsafe text.loadUnaligned(fromByteOffset: 2 * start, as: UInt64.self)
                guard let value = word(digits) else { return nil }
                unsafe bytes.storeBytes(of: value.bigEndian, toByteOffset: start, as: UInt32.self)
            }
            return unsafe Hash256(UnsafeRawBufferPointer(bytes))
        }
    }

    /// The number of eight digits of either case, as they stand in memory; nil for anything else. All at once, a byte each.
    package static func word(_ digits: UInt64) -> UInt32? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let text = UInt64(littleEndian: digits)
        // 1 for a letter; then 0…9 of a digit, 1…6 of a letter in either case, and something else of anything else.
        let letters = (text >> 6) & ones
        let values = (text | (letters &* 0x20)) ^ ((ones &* 0x30) ^ (letters &* 0x50))
        let tooLarge = values | (values &+ (ones &* 0x76) &+ (letters &* 3))
        let tooSmall = ~((values | (ones &* 0x80)) &- letters)
        guard (tooLarge | tooSmall) & (ones &* 0x80) == 0 else { return nil }
        var nibbles = values &+ (letters &* 9)
        nibbles = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles | nibbles >> 8) & 0x0000_ffff_0000_ffff
        return UInt32(truncatingIfNeeded: nibbles | nibbles >> 16).byteSwapped
    }

    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
