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
    /// The text attributes of the record by key.
    package private(set) var texts: [String: String] = [:]
    /// `audit.compliance.tags`.
    package private(set) var complianceTags: [String] = []

    /// `audit.actor.id`.
    package var actorID: String { texts["audit.actor.id"] ?? "" }
    /// `audit.actor.type`.
    package var actorType: String { texts["audit.actor.type"] ?? "" }
    /// `audit.action`.
    package var action: String { texts["audit.action"] ?? "" }
    /// `audit.outcome`.
    package var outcome: String { texts["audit.outcome"] ?? "" }
    /// `audit.target.type`.
    package var targetType: String? { texts["audit.target.type"] }
    /// `audit.target.id`.
    package var targetID: String? { texts["audit.target.id"] }
    /// `audit.decision`.
    package var decision: String? { texts["audit.decision"] }
    /// `audit.policy.version`.
    package var policyVersion: String? { texts["audit.policy.version"] }

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
        recordID = RecordID(derivedFrom: placeholder)
        var found = Found()
        do throws(JSONError) {
            try read(entry, &found)
        } catch {
            throw EntryError(description: "is no JSON: \(error)")
        }
        guard found.format == "sluice-audit-1" else {
            throw EntryError(description: "has the format \"\(found.format)\" instead of \"sluice-audit-1\"")
        }
        guard let sequence = UInt64(found.sequence), sequence > 0, let recorded = UInt64(found.recorded),
            let previous = found.previous
        else { throw EntryError(description: "has no valid sequence, recorded and prev_hash") }
        guard let id = RecordID(text: Array((texts["audit.record.id"] ?? "").utf8)) else {
            throw EntryError(description: "has no audit.record.id")
        }
        (self.sequence, self.recorded, previousHash, recordID) = (sequence, recorded, previous, id)
        contentHash = AuditEvent.contentHash(record: entry[found.record], resource: entry[found.resource])
    }

    /// What stands at the entry's top, before it is checked.
    private struct Found {
        var format = ""
        var sequence = ""
        var recorded = ""
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
                found.format = try reader.readString().text
            } else if key == "sequence" {
                found.sequence = try reader.readString().text
            } else if key == "recorded" {
                found.recorded = try reader.readString().text
            } else if key == "prev_hash" {
                found.previous = Hexadecimal.decode(try reader.readString().bytes.array).flatMap {
                    Hash256($0)
                }
            } else if key == "record" {
                _ = try reader.peek()
                let start = reader.position
                try readRecord(&reader)
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

    private mutating func readRecord(_ reader: inout JSONReader) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if key == "attributes" {
                try readAttributes(&reader)
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

    private mutating func readAttributes(_ reader: inout JSONReader) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if isBrief, !(key == "audit.record.id") {
                try reader.skipValue()
                continue
            }
            try reader.beginObject()
            while let kind = try reader.nextKey() {
                if kind == "stringValue" {
                    texts[key.text] = try reader.readString().text
                } else if kind == "arrayValue", key == "audit.compliance.tags" {
                    complianceTags = try Self.strings(JSONTree(&reader)["values"])
                } else {
                    try reader.skipValue()
                }
            }
        }
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
        var word: UInt8 = 0
        for (index, byte) in text.enumerated() {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            word = word << 4 | digit
            if !index.isMultiple(of: 2) { bytes.append(word) }
        }
        return bytes
    }
}
