package import Hashing

/// An event that is to be kept: its content in canonical JSON (RFC 8785), before it has a place in the log.
package struct AuditEvent: Sendable {
    package let recordID: RecordID
    /// The log record as a canonical JSON object; README.md has its keys.
    package let record: [UInt8]
    /// The resource as a canonical JSON object.
    package let resource: [UInt8]
    /// SHA-256 of `{"record":…,"resource":…}`: two events of one id with equal ones are the same.
    package let contentHash: Hash256

    package init(recordID: RecordID, record: [UInt8], resource: [UInt8]) {
        self.recordID = recordID
        self.record = record
        self.resource = resource
        contentHash = Self.contentHash(record: record[...], resource: resource[...])
    }

    /// SHA-256 of `{"record":…,"resource":…}`.
    package static func contentHash(record: ArraySlice<UInt8>, resource: ArraySlice<UInt8>) -> Hash256 {
        var content = Array("{\"record\":".utf8)
        content.reserveCapacity(record.count + resource.count + 32)
        content += record
        content += Array(",\"resource\":".utf8)
        content += resource
        content.append(UInt8(ascii: "}"))
        return Hash256(of: content)
    }
}

/// One row of the log. The `entry` is what counts: it is kept verbatim, everything else can be made of it again.
package struct AuditRow: Sendable, Equatable {
    /// The record's number, from 1, without gaps. The index of its leaf in the tree is one less.
    package let sequence: UInt64
    package let recordID: RecordID
    /// See `AuditEvent.contentHash`.
    package let contentHash: Hash256
    /// When the gateway put it there, in nanoseconds of Unix time.
    package let recorded: UInt64
    /// Canonical JSON, at most `entryBytesMax` bytes; README.md has its form.
    package let entry: [UInt8]

    package init(
        sequence: UInt64, recordID: RecordID, contentHash: Hash256, recorded: UInt64, entry: [UInt8]
    ) {
        self.sequence = sequence
        self.recordID = recordID
        self.contentHash = contentHash
        self.recorded = recorded
        self.entry = entry
    }

    /// Bytes of an entry at most: more cannot stand in a bundle of C2SP tlog-tiles, whose lengths are 16 bits.
    package static let entryBytesMax = 65_535
    /// `prev_hash` of the first entry: SHA-256 of nothing.
    package static let firstPreviousHash = Hash256(of: [])

    /// The entry's leaf in the tree: SHA-256 of a zero byte and the entry (RFC 6962 section 2.1).
    package var leafHash: Hash256 { Hash256(of: 0, then: entry) }
    /// `prev_hash` of the next entry: SHA-256 of the entry.
    package var entryHash: Hash256 { Hash256(of: entry) }

    /// Gives an event its place.
    ///
    /// - Parameters:
    ///   - sequence: one more than that of the entry before it.
    ///   - recorded: when the gateway put it there, in nanoseconds of Unix time; not before that of the entry before it.
    package init(_ event: AuditEvent, sequence: UInt64, previous: Hash256, recorded: UInt64) {
        var entry = Array("{\"format\":\"sluice-audit-1\",\"prev_hash\":\"".utf8)
        entry.reserveCapacity(event.record.count + event.resource.count + 256)
        entry += previous.hex
        entry += Array("\",\"record\":".utf8)
        entry += event.record
        entry += Array(",\"recorded\":\"\(recorded)\",\"resource\":".utf8)
        entry += event.resource
        entry += Array(",\"sequence\":\"\(sequence)\"}".utf8)
        self.init(
            sequence: sequence, recordID: event.recordID, contentHash: event.contentHash, recorded: recorded,
            entry: entry)
    }

    /// The bytes that an event's entry has at most.
    package static func entryBytes(of event: AuditEvent) -> Int {
        event.record.count + event.resource.count + 200
    }
}
