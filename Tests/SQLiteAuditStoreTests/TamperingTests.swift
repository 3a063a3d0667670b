import AuditLog
import Hashing
import Testing

@testable import SQLiteAuditStore

/// Without these somebody with the file could change the past, and nobody would see it.
@Suite("Tampering")
struct TamperingTests {
    /// Each thing that may be done to rows, and the first record that is said to be wrong.
    @Test(
        "what is done to rows is found and named",
        arguments: [
            // Changed.
            (
                "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"x\"', '\"y\"') AS BLOB) WHERE sequence = 123",
                123
            ),
            // The last one, which no other links to.
            (
                "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"x\"', '\"y\"') AS BLOB) WHERE sequence = 600",
                600
            ),
            // A copy beside it.
            ("UPDATE audit_entries SET content_hash = zeroblob(32) WHERE sequence = 7", 7),
            ("UPDATE audit_entries SET recorded = 1 WHERE sequence = 8", 8),
            // Removed: the first, one in the middle, the tail.
            ("DELETE FROM audit_entries WHERE sequence = 1", 1),
            ("DELETE FROM audit_entries WHERE sequence = 300", 300),
            ("DELETE FROM audit_entries WHERE sequence > 550", 551),
            ("DELETE FROM audit_entries", 1),
            // Added behind everything, by copying.
            (
                "INSERT INTO audit_entries SELECT 601, zeroblob(16), content_hash, recorded, entry FROM audit_entries WHERE sequence = 600",
                601
            ),
            // Two exchanged.
            (
                "UPDATE audit_entries SET sequence = 9999 WHERE sequence = 40; UPDATE audit_entries SET sequence = 40 WHERE sequence = 41; UPDATE audit_entries SET sequence = 41 WHERE sequence = 9999",
                40
            ),
            // Tiles.
            ("DELETE FROM audit_tiles WHERE tile = 1", 257),
            ("UPDATE audit_tiles SET hashes = zeroblob(8192) WHERE tile = 0", 1),
        ])
    func rows(sql: String, first: UInt64) throws {
        let log = TestLog()
        try log.filled(600)
        try log.tamper(sql)
        let report = try log.verify()
        #expect(report.findings.compactMap(\.sequence).min() == first, "\(report.findings)")
    }

    /// Somebody who knows the form rewrites the whole rest of the log, tiles included, so that it holds together.
    @Test("a log that was rewritten with all its links is found by its checkpoints")
    func rewritten() throws {
        let log = TestLog()
        try log.filled(600)
        let kept = try #require(try log.lastCheckpoint())
        // Everything is written anew by another key, in which record 123 says something else.
        let other = TestLog()
        let writer = AuditWriter(
            SQLiteAuditStore(path: other.path), origin: "audit.test/a", keys: [other.key]
        ) { 1 }
        try writer.open()
        _ = try writer.append([(0..<600).map { TestLog.event($0, text: $0 == 122 ? "y" : "x") }])
        _ = try writer.checkpoint()
        writer.close()
        // Their key is not ours, and our checkpoint from elsewhere does not agree.
        let store = SQLiteAuditStore(path: other.path)
        try store.open(.reading)
        let ours = try AuditVerifier(store, keyring: Keyring(log.key.verifier), foreign: [kept.note]).verify()
        // Both of their checkpoints, that of the creation too, and the root.
        #expect(ours.findings.count == 3)
        #expect(ours.findings.contains { $0.description.contains("another root") })
        store.close()
    }

    /// A database that was put back to an older state is whole in itself: only who kept a checkpoint sees it.
    @Test("a rolled-back log is found by a checkpoint kept elsewhere, and the writer goes on")
    func rolledBack() throws {
        let (old, new) = (TestLog(), TestLog())
        try old.filled(300)
        let writer = AuditWriter(SQLiteAuditStore(path: new.path), origin: "audit.test/a", keys: [old.key]) {
            1
        }
        try writer.open()
        _ = try writer.append([(0..<400).map { TestLog.event($0) }])
        let later = try #require(try writer.checkpoint())
        writer.close()
        #expect(try old.verify().findings == [])
        let report = try old.verify([later.note])
        #expect(report.findings.compactMap(\.sequence).min() == 301)
    }

    /// A gateway must not go on writing behind what it did not write.
    @Test(
        "a writer refuses a log that contradicts its last checkpoint",
        arguments: [
            "DELETE FROM audit_entries WHERE sequence > 550", "DELETE FROM audit_tiles WHERE tile = 0",
            "UPDATE audit_tiles SET hashes = zeroblob(8192)",
            "UPDATE audit_entries SET entry = x'7b7d' WHERE sequence = 600",
            "UPDATE audit_checkpoints SET note = 'x' WHERE size = 600",
        ])
    func writer(sql: String) throws {
        let log = TestLog()
        try log.filled(600)
        try log.tamper(sql)
        let error = #expect(throws: AuditStoreError.self) { try log.writer().open() }
        #expect(error?.kind == .damaged)
        #expect(error?.description.contains("sluice audit verify") == true)
    }

    /// Checkpoints are evidence only with the signature of the log's own key.
    @Test(
        "changed checkpoints are found",
        arguments: [
            "UPDATE audit_checkpoints SET size = 5 WHERE size = 600",
            "UPDATE audit_checkpoints SET note = replace(note, '600', '601') WHERE size = 600",
            "UPDATE audit_checkpoints SET note = '' WHERE size = 600",
        ])
    func checkpoints(sql: String) throws {
        let log = TestLog()
        try log.filled(600)
        try log.tamper(sql)
        #expect(try !log.verify().findings.isEmpty)
    }

    /// What no checkpoint covers is said, since nothing signed speaks for it.
    @Test("entries without a checkpoint are counted")
    func uncovered() throws {
        let log = TestLog()
        try log.filled(600)
        try log.tamper("DELETE FROM audit_checkpoints WHERE size > 300")
        let report = try log.verify()
        #expect(report.findings == [])
        #expect(report.uncovered == 300)
    }
}
