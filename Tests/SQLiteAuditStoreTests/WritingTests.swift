import AuditLog
import Hashing
import Testing

@testable import SQLiteAuditStore

/// Without these an acknowledged event could be missing, twice, or in a log that two gateways write.
@Suite("Writing")
struct WritingTests {
    /// A restart goes on where the last process ended, whatever it had in memory.
    @Test("a log is written, closed, opened and written on")
    func reopening() throws {
        let log = TestLog()
        try log.filled(700)
        let writer = log.writer()
        try writer.open()
        #expect(writer.size == 700)
        #expect(writer.uncovered == 0)
        #expect(
            try writer.append([[TestLog.event(700)], [TestLog.event(701)]]) == [
                .committed(new: 1, known: 0), .committed(new: 1, known: 0),
            ])
        #expect(writer.uncovered == 2)
        #expect(try writer.checkpoint()?.size == 702)
        #expect(try writer.checkpoint() == nil)
        writer.close()
        let report = try log.verify()
        #expect(report.findings == [])
        #expect(report.entries == 702)
        #expect(report.checkpoints == 9)
        #expect(report.uncovered == 0)
    }

    /// If it failed, who looks at a log while its gateway is restarted would be told of an error that is none.
    @Test("whoever reads a log whose gateway starts and ends meanwhile sees it whole")
    func readingWhileWritersEnd() async throws {
        let log = TestLog()
        try log.filled(3)
        let path = log.path
        let reading = Task.detached {
            for _ in 0..<1000 {
                let store = SQLiteAuditStore(path: path)
                try store.open(.reading)
                store.close()
            }
        }
        for number in 3..<203 {
            let writer = log.writer()
            try writer.open()
            _ = try writer.append([[TestLog.event(number)]])
            writer.close()
        }
        try await reading.value
        #expect(try log.verify().entries == 203)
    }

    /// A client that got no answer sends its events again; they must not be in the log twice.
    @Test("the same event again is known, another one with its id is refused")
    func idempotency() throws {
        let log = TestLog()
        let writer = log.writer()
        try writer.open()
        _ = try writer.append([[TestLog.event(1)]])
        let results = try writer.append([
            [TestLog.event(1), TestLog.event(2)], [TestLog.event(1, text: "other"), TestLog.event(3)],
            [TestLog.event(2)], [TestLog.event(4), TestLog.event(4)],
            [TestLog.event(5), TestLog.event(5, text: "y")],
        ])
        #expect(
            results == [
                .committed(new: 1, known: 1), .conflict(TestLog.id(1), sequence: 1),
                .committed(new: 0, known: 1), .committed(new: 1, known: 1),
                .conflict(TestLog.id(5), sequence: nil),
            ])
        #expect(writer.size == 3)
    }

    /// Two gateways on one log would give two records one number.
    @Test("a second writer is refused, readers are not")
    func lock() throws {
        let log = TestLog()
        let (first, second) = (log.writer(), log.writer())
        try first.open()
        let error = #expect(throws: AuditStoreError.self) { try second.open() }
        #expect(error?.kind == .locked)
        _ = try first.append([[TestLog.event(1)]])
        _ = try first.checkpoint()
        #expect(try log.verify().findings == [])
        first.close()
        try second.open()
        second.close()
    }

    /// An operator who copies a configuration must not write into another log.
    @Test("a log of another name is refused, and a missing one is not made by reading")
    func origin() throws {
        let log = TestLog()
        try log.filled(1)
        let other = AuditWriter(SQLiteAuditStore(path: log.path), origin: "b", keys: [log.key]) { 1 }
        #expect(throws: AuditStoreError.self) { try other.open() }
        #expect(throws: AuditStoreError.self) { try SQLiteAuditStore(path: log.path + "x").open(.reading) }
        let nowhere = SQLiteAuditStore(path: "/nowhere/audit.db")
        #expect(throws: AuditStoreError.self) { try nowhere.open(.writing(origin: "b")) }
    }

    /// A key file that was exchanged by mistake would make checkpoints that no keyring knows.
    @Test("a log goes on with its own key, or with a new one beside it")
    func keys() throws {
        let log = TestLog()
        try log.filled(2)
        let new = SigningKey.random(name: "audit.test/a")
        func writer(_ keys: [SigningKey]) -> AuditWriter {
            AuditWriter(SQLiteAuditStore(path: log.path), origin: "audit.test/a", keys: keys) { log.now }
        }
        let error = #expect(throws: AuditStoreError.self) { try writer([new]).open() }
        #expect(error?.description.contains("previous_key_file") == true)
        let both = writer([new, log.key])
        try both.open()
        _ = try both.append([[TestLog.event(7)]])
        let rotated = try #require(try both.checkpoint())
        both.close()
        #expect(try Keyring(new.verifier).checkpoint(of: rotated.note).size == 3)
        #expect(try log.verify().findings == [])
        let alone = writer([new])
        try alone.open()
        alone.close()
    }

    /// A clock that jumps back must not make a log that looks as if entries had been moved.
    @Test("a clock that goes back does not go back in the log")
    func clock() throws {
        let log = TestLog()
        let writer = log.writer()
        try writer.open()
        _ = try writer.append([[TestLog.event(1)]])
        log.now = 5
        _ = try writer.append([[TestLog.event(2)]])
        _ = try writer.checkpoint()
        writer.close()
        #expect(try log.verify().findings == [])
    }

    /// Whoever only has SQL, as an application with a bug, changes nothing; not with OR REPLACE either.
    @Test(
        "SQL that changes something is refused",
        arguments: [
            "UPDATE audit_entries SET entry = x'00' WHERE sequence = 1", "DELETE FROM audit_entries",
            "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries WHERE sequence = 1",
            "INSERT OR REPLACE INTO audit_entries SELECT 3, record_id, content_hash, recorded, entry FROM audit_entries WHERE sequence = 1",
            "INSERT INTO audit_entries SELECT 9, zeroblob(16), content_hash, recorded, entry FROM audit_entries WHERE sequence = 1",
            "UPDATE audit_checkpoints SET size = 1", "DELETE FROM audit_checkpoints",
            "INSERT OR REPLACE INTO audit_checkpoints VALUES (1, 1, 1, '')",
            "UPDATE audit_log SET origin = 'b'",
            "DELETE FROM audit_log", "INSERT OR REPLACE INTO audit_log VALUES (1, 'b', 'c')",
        ])
    func appendOnly(sql: String) throws {
        let log = TestLog()
        try log.filled(2)
        let database = try Database(log.path, isWritable: true)
        let error = #expect(throws: AuditStoreError.self) { try database.run(sql) }
        #expect(error?.description.contains("append-only") == true)
    }
}
