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
            // Behind which a tile is left.
            ("DELETE FROM audit_entries WHERE sequence > 500", 501),
            ("DELETE FROM audit_entries WHERE sequence > 200", 201),
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

    /// What stands beside the log's own rows is read by whoever searches the tables, and an id that was put there would have an event
    /// acknowledged that is not kept.
    @Test(
        "rows, tiles and ids that belong to no entry are found",
        arguments: [
            (
                "INSERT INTO audit_entries SELECT -5, zeroblob(16), content_hash, recorded, entry FROM audit_entries WHERE sequence = 7",
                "a row has the number -5"
            ),
            (
                "INSERT INTO audit_entries SELECT 0, zeroblob(16), content_hash, recorded, entry FROM audit_entries WHERE sequence = 7",
                "a row has the number 0"
            ),
            (
                "INSERT INTO audit_tiles SELECT 0, 99, hashes FROM audit_tiles WHERE tile = 0",
                "tile 99 of level 0 belongs to no entries"
            ),
            (
                "INSERT INTO audit_tiles SELECT 1, 0, hashes FROM audit_tiles WHERE tile = 0",
                "tile 0 of level 1 belongs to no entries"
            ),
            (
                "INSERT INTO audit_tiles SELECT 7, 0, hashes FROM audit_tiles WHERE tile = 0",
                "tile 0 of level 7 belongs to no entries"
            ),
            ("INSERT INTO audit_ids VALUES (zeroblob(16), 601, zeroblob(32))", "an id for entry 601, which"),
            ("INSERT INTO audit_ids VALUES (zeroblob(16), -1, zeroblob(32))", "an id for entry -1, which"),
            ("INSERT INTO audit_ids VALUES (zeroblob(16), 5, zeroblob(32))", "an id for entry 5, which"),
        ])
    func strays(sql: String, words: String) throws {
        let log = TestLog()
        try log.filled(600)
        try log.tamper(sql)
        let findings = try log.verify().findings
        #expect(findings.contains { "\($0)".contains(words) }, "\(findings)")
    }

    /// A machine that is restored from yesterday's disk would give today's numbers to other events, and the log two histories.
    @Test("a writer refuses a log that is behind the checkpoint that was kept, and one that is another")
    func kept() throws {
        let (old, other) = (TestLog(), TestLog())
        try old.filled(300)
        let writer = AuditWriter(SQLiteAuditStore(path: other.path), origin: "audit.test/a", keys: [old.key])
        {
            1
        }
        try writer.open()
        _ = try writer.append([(0..<300).map { TestLog.event($0, text: "y") }])
        let same = try #require(try writer.checkpoint())
        _ = try writer.append([[TestLog.event(300)]])
        let later = try #require(try writer.checkpoint())
        writer.close()
        func open(_ note: String) throws {
            let writer = old.writer()
            defer { writer.close() }
            try writer.open(after: AuditWriter.KeptCheckpoint(note: note, place: "/kept"))
        }
        let behind = #expect(throws: AuditStoreError.self) { try open(later.note) }
        #expect(behind?.kind == .damaged)
        #expect(behind?.description.contains("has 301 entries and the store 300") == true)
        #expect(behind?.description.contains("sluice audit verify --checkpoint /kept") == true)
        let another = #expect(throws: AuditStoreError.self) { try open(same.note) }
        #expect(another?.description.contains("one of its first 300 entries is another one") == true)
        // Its own, one of another log, and none.
        try open(try #require(try old.lastCheckpoint()).note)
        try open(
            SignedNote(Checkpoint(origin: "b", size: 900, root: Hash256(of: [])).text, signedBy: [old.key])
                .note)
        try open("")
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
        var report = try log.verify()
        #expect(report.findings == [])
        #expect(report.uncovered == 300)
        // In nanoseconds; the first commit is of 1001.
        #expect(report.uncoveredSince == 1004)
        #expect(!report.lacksCheckpoints(now: 1004))
        #expect(report.lacksCheckpoints(now: 1004 + 600_000_000_001))
        // Whoever writes a row chooses its time: one ahead of all clocks warns, too, and the last one there is must
        // not end the command before it has said what it found.
        report.uncoveredSince = .max
        #expect(report.lacksCheckpoints(now: 1004))
        report.uncoveredSince = 1004 + 600_000_000_001
        #expect(report.lacksCheckpoints(now: 1004))
        // Clocks of two machines may differ a little.
        report.uncoveredSince = 1005
        #expect(!report.lacksCheckpoints(now: 1004))
        #expect(try !TestLog(of: 300).verify().lacksCheckpoints(now: .max))
    }

    /// One row far behind the others must not keep a verification busy with empty ranges for ever, silent about what
    /// it found before.
    @Test(
        "a gap of any size is named at once",
        arguments: [1_000_000_000_000, 4_611_686_018_427_387_904, 9_223_372_036_854_775_807] as [UInt64])
    func far(sequence: UInt64) throws {
        let log = try TestLog(of: 10)
        try log.tamper(
            "INSERT INTO audit_entries SELECT \(sequence), zeroblob(16), content_hash, recorded, entry "
                + "FROM audit_entries WHERE sequence = 10")
        let report = try log.verify()
        #expect(report.findings.map(\.description) == ["entries 11 to \(sequence - 1) are missing"])
        #expect(report.findings.map(\.sequence) == [11])
        #expect((report.entries, report.size) == (10, 10))
    }

    /// A log is read in ranges by several threads: what is wrong must be named across their borders, too.
    @Test(
        "what is done to a log of several ranges is found and named",
        arguments: [
            (
                "DELETE FROM audit_entries WHERE sequence BETWEEN 8190 AND 8200",
                "entries 8190 to 8200 are missing"
            ),
            // As the next checkpoint says, which is of 8200.
            ("DELETE FROM audit_entries WHERE sequence > 8192", "entries 8193 to 8200 are missing"),
            (
                "UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"x\"', '\"y\"') AS BLOB) WHERE sequence = 8192",
                "entry 8192 was changed: entry 8193"
            ),
            ("UPDATE audit_entries SET recorded = 1 WHERE sequence = 8193", "entry 8193 ("),
        ])
    func ranges(sql: String, text: String) throws {
        let log = try TestLog(of: 8300)
        #expect(try log.verify().findings == [])
        try log.tamper(sql)
        let findings = try log.verify().findings
        #expect(findings.contains { $0.description.contains(text) }, "\(findings)")
    }
}
