import Hashing
import Testing

@testable import AuditLog
@testable import PostgreSQLAuditStore

/// Without these a column that is not what its entry says would pass, or a log that is in order would be called wrong.
@Suite("Copies in PostgreSQL")
struct CopiesTests {
    private static let id = "550e8400-e29b-41d4-a716-446655440000"

    /// A row of an entry with these attributes beside its id, and what stands behind the record's attributes.
    private static func row(_ attributes: [(String, String)], _ rest: String) -> AuditRow {
        let all = (attributes + [("audit.record.id", "{\"stringValue\":\"\(id)\"}")]).sorted { $0.0 < $1.0 }
        let record =
            "{\"attributes\":{" + all.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}\(rest)}"
        let event = AuditEvent(
            recordID: RecordID(text: Array(id.utf8)) ?? .random(), record: Array(record.utf8),
            resource: Array("{\"attributes\":{}}".utf8))
        return AuditRow(
            event, sequence: 3, previous: Hash256(of: [1]), recorded: 1_768_000_000_123_456_789)
    }

    private static func text(_ value: String) -> String { "{\"stringValue\":\"\(value)\"}" }

    private static func tags(_ values: String...) -> String {
        "{\"arrayValue\":{\"values\":[" + values.map(text).joined(separator: ",") + "]}}"
    }

    private static let top =
        ",\"body\":{\"stringValue\":\"audit.action\"},\"event_name\":\"deployment.update\",\"span_id\":\"0011223344556677\","
        + "\"timestamp\":\"1767999999123456789\",\"trace_id\":\"550e8400e29b41d4a716446655440000\""

    private static let whole = row(
        [
            ("audit.action", text("UPDATE")), ("audit.actor.id", text("ünï-🦊")),
            ("audit.actor.type", text("user")),
            ("audit.compliance.tags", tags("SOC2", "ISO27001")), ("audit.decision", text("approved")),
            ("audit.details", "{\"kvlistValue\":{\"values\":[{\"key\":\"audit.action\",\"value\":{}}]}}"),
            ("audit.outcome", text("success")), ("audit.policy.version", text("v2.1.0")),
            ("audit.target.id", text("ns/api")), ("audit.target.type", text("k8s.deployment")),
        ], top)

    /// What a server says of a row that it keeps as the gateway wrote it.
    private static func fields(_ row: AuditRow) throws -> [[UInt8]?] {
        try [[1]] + RowCopy.fields(of: row)[4..<18]
    }

    private static func bytes(_ fields: [[UInt8]?]) -> [UInt8] {
        var bytes: [UInt8] = []
        for field in fields {
            BinaryForm.append(Int32(field?.count ?? -1), to: &bytes)
            bytes += field ?? []
        }
        return bytes
    }

    /// Whether they agree at first sight; nil when the entry cannot be read that way.
    private static func agree(_ row: AuditRow, _ copies: [UInt8]) -> Bool? {
        row.entry.withUnsafeBytes { entry in
            copies.withUnsafeBytes { copies in
                EntryFrame(entry, findsFields: true).map { frame in
                    let place = RowPage.Row(
                        sequence: row.sequence, recordID: row.recordID, contentHash: row.contentHash,
                        recorded: row.recorded, entry: 0..<0, copies: 0..<0)
                    return Copies().agree(place, frame, copies)
                }
            }
        }
    }

    /// Of millions of rows nearly each must be done at first sight.
    @Test("plain rows agree at first sight")
    func plain() throws {
        let rows = [
            Self.whole, Self.row([], ""), Self.row([("audit.compliance.tags", Self.tags())], ""),
            Self.row([("audit.actor.id", Self.text(""))], ",\"timestamp\":\"0\""),
            Self.row([("audit.compliance.tags", Self.tags(""))], Self.top),
            Self.row([("audit.actor.id", Self.text(String(repeating: "x", count: 255)))], Self.top),
        ]
        for row in rows { #expect(Self.agree(row, Self.bytes(try Self.fields(row))) == true) }
    }

    /// What is not plain is read whole, and is as good.
    @Test("rows with escapes, long texts and other types are looked at closely, and are in order")
    func odd() throws {
        let long = String(repeating: "x", count: 256)
        let rows = [
            Self.row([("audit.actor.id", Self.text("a\\\"b\\\\c\\u0000"))], Self.top),
            Self.row([("audit.actor.id", Self.text(long))], Self.top),
            Self.row([("audit.actor.id", "{\"intValue\":\"7\"}")], Self.top),
            Self.row([("audit.compliance.tags", Self.tags("a\\\\", long))], Self.top),
            Self.row(
                [("audit.compliance.tags", "{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"}]}}")], Self.top),
            Self.row([("audit.compliance.tags", Self.text("SOC2"))], Self.top),
            Self.row([], ",\"trace_id\":\"55\""),
            Self.row([], ",\"event_name\":\"a\\nb\",\"trace_id\":\"xy\""),
        ]
        for row in rows {
            let copies = Self.bytes(try Self.fields(row))
            #expect(Self.agree(row, copies) == false, "\(String(decoding: row.entry, as: UTF8.self))")
            #expect(Copies().findings(row, copies[...]) == [])
        }
    }

    /// Each column by itself, in each of the ways in which it can be another.
    @Test("a copy that is another is seen at first sight, and named")
    func wrong() throws {
        let good = try Self.fields(Self.whole)
        for index in good.indices {
            let value = good[index] ?? []
            let others: [[UInt8]?] = [
                nil, [], value + [0], Array(value.dropLast()), value.map { $0 ^ 1 },
                value.isEmpty ? [1] : Array(value.dropLast()) + [value[value.count - 1] ^ 1],
            ]
            for other in others where other != good[index] {
                var fields = good
                fields[index] = other
                let copies = Self.bytes(fields)
                #expect(Self.agree(Self.whole, copies) == false, "\(index)")
                #expect(Copies().findings(Self.whole, copies[...]).map(\.sequence) == [3], "\(index)")
            }
        }
        // One tag that reads like two.
        var joined = good
        joined[14] = BinaryForm.array(texts: ["SOC2\"},{\"stringValue\":\"ISO27001"])
        #expect(Self.agree(Self.whole, Self.bytes(joined)) == false)
    }

    /// Beyond the last row, or a whole page further, there may be more.
    @Test("a gap longer than a page is said to be one")
    func gap() throws {
        let log = try TestLog()
        try log.fill(0..<20)
        try log.tamper("UPDATE audit_entries SET sequence = sequence + 10000 WHERE sequence > 5")
        let findings = try log.verify().findings
        #expect(findings.contains { $0.description == "entries 6 to 10005 are missing" }, "\(findings)")
        try log.tamper("DELETE FROM audit_entries WHERE sequence <= 5")
        #expect(try log.verify().findings.contains { $0.description == "entries 1 to 10005 are missing" })
    }
}
