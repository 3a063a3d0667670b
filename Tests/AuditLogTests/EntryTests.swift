import Hashing
import Testing

@testable import AuditLog

/// Without these an entry could not be read again, or a row's copies would not be those of its entry.
@Suite("Entry")
struct EntryTests {
    static let id = "550e8400-e29b-41d4-a716-446655440000"

    static func event(_ id: String = id, name: String = "deployment.update") -> AuditEvent {
        let record =
            "{\"attributes\":{\"audit.action\":{\"stringValue\":\"UPDATE\"},\"audit.actor.id\":{\"stringValue\":\"user-123\"},"
            + "\"audit.compliance.tags\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"SOC2\"}]}},"
            + "\"audit.record.id\":{\"stringValue\":\"\(id)\"}},\"event_name\":\"\(name)\",\"timestamp\":\"7\"}"
        // The identifier is one of the test's own.
        return AuditEvent(
            recordID: RecordID(text: Array(id.utf8)) ?? RecordID(derivedFrom: Hash256(of: [])),
            record: Array(record.utf8), resource: Array("{\"attributes\":{}}".utf8))
    }

    /// A short cut that sees something else would let a change pass, or find one where there is none.
    @Test(
        "what is read of a signed entry is what is read of all of it",
        arguments: [
            "deployment.update", "a \\\"quoted\\\" \\\\ name\\n", "audit.record.id", "ünïcödé 🦊 {[}]",
            "audit.record.id\\\":{\\\"stringValue\\\":\\\"x", "",
        ])
    func frame(name: String) throws {
        let row = AuditRow(Self.event(name: name), sequence: 7, previous: Hash256(of: [1]), recorded: 99)
        #expect(try EntryColumns(signed: row.entry) == EntryColumns(row.entry, isBrief: true))
        #expect(row.entry.withUnsafeBytes { EntryFrame($0) } != nil)
        // Each byte changed by itself: the same is said, or, where it is JSON no more, what was linked is not looked at.
        for index in row.entry.indices {
            for byte in [UInt8(ascii: "0"), UInt8(ascii: "\""), UInt8(ascii: "}"), 0xff] {
                var entry = row.entry
                entry[index] = byte
                guard let whole = try? EntryColumns(entry, isBrief: true) else { continue }
                #expect(try EntryColumns(signed: entry) == whole, "\(index), \(byte)")
            }
            #expect(throws: EntryError.self) { try EntryColumns(signed: Array(row.entry[..<index])) }
        }
    }

    /// A reader that takes another value than the writer put there would compare the wrong things.
    @Test("an entry says what its row says")
    func columns() throws {
        let row = AuditRow(Self.event(), sequence: 1, previous: AuditRow.firstPreviousHash, recorded: 99)
        let columns = try EntryColumns(row.entry)
        #expect(columns.sequence == 1)
        #expect(columns.previousHash == AuditRow.firstPreviousHash)
        #expect(columns.recorded == 99)
        #expect(columns.recordID == row.recordID)
        #expect(columns.contentHash == row.contentHash)
        #expect(columns.time == 7)
        #expect(columns.eventName == "deployment.update")
        #expect(columns.actorID == "user-123")
        #expect(columns.action == "UPDATE")
        #expect(columns.complianceTags == ["SOC2"])
        #expect(columns.traceID == nil)
    }

    /// A verifier of another make needs the very bytes.
    @Test("an entry has the documented bytes")
    func bytes() {
        let row = AuditRow(
            AuditEvent(
                recordID: Self.event().recordID, record: Array("{}".utf8), resource: Array("{}".utf8)),
            sequence: 12, previous: AuditRow.firstPreviousHash, recorded: 5)
        #expect(
            String(decoding: row.entry, as: UTF8.self)
                == "{\"format\":\"sluice-audit-1\",\"prev_hash\":"
                + "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
                + "\"record\":{},\"recorded\":\"5\",\"resource\":{},\"sequence\":\"12\"}")
    }

    /// A row that was changed by hand must not be taken for an entry.
    @Test(
        "what is no entry is refused",
        arguments: [
            "", "{}", "[1]", "{\"format\":\"other\"}", "{\"format\":\"sluice-audit-1\",\"sequence\":\"1\"}",
        ])
    func refused(text: String) {
        #expect(throws: EntryError.self) { try EntryColumns(Array(text.utf8)) }
    }

    /// The same event sent twice is one record whatever the case of its id.
    @Test("record ids are compared by value")
    func recordIDs() throws {
        let id = try #require(RecordID(text: Array(Self.id.utf8)))
        #expect(RecordID(text: Array(Self.id.uppercased().utf8)) == id)
        #expect(RecordID(id.bytes) == id)
        #expect("\(id)" == Self.id)
        #expect(RecordID(text: Array(Self.id.dropLast().utf8)) == nil)
        #expect(RecordID(text: Array("550e8400xe29b-41d4-a716-446655440000".utf8)) == nil)
    }

    /// A checkpoint that cannot be read again proves nothing.
    @Test("a checkpoint's text is read again")
    func checkpoint() throws {
        let checkpoint = Checkpoint(origin: "audit.example/a", size: 7, root: Hash256(of: [1]))
        #expect(Checkpoint(text: checkpoint.text) == checkpoint)
        #expect(Checkpoint(text: "a\n07\n\(checkpoint.text.split(separator: "\n")[2])\n") == nil)
        #expect(Checkpoint(text: "a\n7\nAAAA\n") == nil)
    }
}
