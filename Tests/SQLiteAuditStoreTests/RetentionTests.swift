import AuditLog
import Hashing
import Testing

@testable import SQLiteAuditStore

/// Without these whoever gives old months away would lose the proof of the rest, or could remove entries and call it retention.
@Suite("Retention")
struct RetentionTests {
    /// Until the end of January 2026 so many entries, then 300 more.
    private func log(_ count: Int) throws -> TestLog {
        let log = TestLog()
        log.now = 1_768_000_000_000_000_000
        try log.filled(count)
        log.now = 1_770_700_000_000_000_000
        let writer = log.writer()
        try writer.open()
        _ = try writer.append([(count..<count + 300).map { TestLog.event($0) }])
        _ = try writer.checkpoint()
        writer.close()
        return log
    }

    private func detach(
        _ log: TestLog, _ month: String = "2026-01", key: SigningKey? = nil,
        now: UInt64 = 1_780_000_000_000_000_000
    ) throws -> (ClosedRange<UInt64>, [String: [UInt8]]) {
        let store = SQLiteAuditStore(path: log.path)
        try store.open(.detaching)
        defer { store.close() }
        var files: [String: [UInt8]] = [:]
        let range = try LogExport(store).detach(
            through: try #require(AuditMonth(text: month)), key: key ?? log.key, now: now
        ) { files[$0] = $1 }
        return (range, files)
    }

    @Test("a month is detached beside the writer, the rest is proven, and what is gone is still known")
    func detaching() throws {
        let log = try log(2100)
        let kept = try #require(try log.lastCheckpoint())
        let writer = log.writer()
        try writer.open()
        let (range, files) = try detach(log)
        #expect(range == 1...2100)
        // Every bundle that has one of them, whole.
        #expect(files.keys.filter { $0.hasPrefix("tile/entries/") }.count == 9)
        #expect(files["checkpoint"] == Array(kept.note.utf8))
        let report = try log.verify([kept.note])
        #expect(report.findings == [])
        #expect((report.detached, report.entries, report.size) == (2100, 300, 2400))
        #expect(
            try writer.append([[TestLog.event(7)], [TestLog.event(9000)]]) == [
                .committed(new: 0, known: 1), .committed(new: 1, known: 0),
            ])
        writer.close()
        let store = SQLiteAuditStore(path: log.path)
        try store.open(.reading)
        defer { store.close() }
        let export = try LogExport(store)
        #expect(try export.proof(of: TestLog.id(2200)).hasPrefix("c2sp.org/tlog-proof@v1"))
        let gone = #expect(throws: ExportError.self) { try export.proof(of: TestLog.id(7)) }
        #expect(gone?.description.contains("was detached") == true)
        var bundles: [String] = []
        try export.tiles { path, _ in if path.hasPrefix("tile/entries/") { bundles.append(path) } }
        #expect(bundles == ["tile/entries/009.p/96"])
    }

    /// SQL that puts a record of a detached month in again would give one id two contents.
    @Test("a record of a detached month is not inserted again, not by SQL either")
    func again() throws {
        let log = try log(600)
        _ = try detach(log)
        let database = try Database(log.path, isWritable: true)
        let error = #expect(throws: AuditStoreError.self) {
            try database.run(
                "INSERT INTO audit_entries SELECT 901, record_id, content_hash, 1, x'00' FROM audit_ids WHERE sequence = 7"
            )
        }
        #expect(error?.description.contains("in a month that is detached") == true)
    }

    @Test("what cannot be detached is said")
    func refused() throws {
        let log = try log(200)
        let early = #expect(throws: ExportError.self) { try detach(log, now: 1_768_000_000_000_000_000) }
        #expect(early?.description.contains("is not over") == true)
        #expect(throws: ExportError.self) { try detach(log, key: SigningKey.random(name: "audit.test/a")) }
        let none = #expect(throws: ExportError.self) { try detach(log, "2025-12") }
        #expect(none?.description.contains("no entries until") == true)
        let all = #expect(throws: ExportError.self) { try detach(log, "2026-02") }
        #expect(all?.description.contains("full tile") == true)
        #expect(try log.verify().entries == 500)
    }

    @Test(
        "what is done to a log with detached entries is found and named",
        arguments: [
            ("DELETE FROM audit_entries WHERE sequence = 601", 1),
            ("DELETE FROM audit_detached", 1),
            ("UPDATE audit_detached SET last = 601", 1),
            ("UPDATE audit_detached SET note = replace(note, 'detached 600', 'detached 601'), last = 601", 1),
            ("UPDATE audit_tiles SET hashes = zeroblob(8192) WHERE tile = 1", 1),
            ("DELETE FROM audit_tiles WHERE tile = 0", 1),
            (
                "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"x\"', '\"y\"') AS BLOB) WHERE sequence = 601",
                601
            ),
            (
                "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"x\"', '\"y\"') AS BLOB) WHERE sequence = 900",
                900
            ),
            ("DELETE FROM audit_entries WHERE sequence = 700", 700),
            ("DELETE FROM audit_entries WHERE sequence > 850", 851),
        ])
    func tampered(sql: String, first: UInt64) throws {
        let log = try log(600)
        _ = try detach(log)
        try log.tamper("DROP TRIGGER audit_detached_no_update; DROP TRIGGER audit_detached_no_delete; \(sql)")
        let findings = try log.verify().findings
        let sequences = findings.compactMap(\.sequence)
        #expect(sequences.min() == first || (first == 1 && !findings.isEmpty), "\(findings)")
    }

    @Test("a log without any checkpoint is said to be wrong")
    func noCheckpoints() throws {
        let log = try log(10)
        try log.tamper("DELETE FROM audit_checkpoints")
        #expect(try log.verify().findings.contains { $0.description.contains("has no checkpoint") })
        #expect(throws: AuditStoreError.self) { try log.writer().open() }
    }
}
