import AuditLog
import Hashing
import Testing

@testable import PostgreSQLAuditStore

/// Without these an acknowledged event could be missing, twice, or in a log that two gateways write.
@Suite("Writing to PostgreSQL")
struct WritingTests {
    /// A restart goes on where the last process ended, whatever it had in memory.
    @Test("a log is written, closed, opened and written on")
    func reopening() throws {
        let log = try TestLog()
        try log.fill(0..<700)
        let writer = log.writer()
        try writer.open()
        #expect(writer.size == 700)
        #expect(writer.uncovered == 0)
        #expect(
            try writer.append([[TestLog.event(700)], [TestLog.event(3)]]) == [
                .committed(new: 1, known: 0), .committed(new: 0, known: 1),
            ])
        #expect(
            try writer.append([[TestLog.event(3, text: "other")]]) == [.conflict(TestLog.id(3), sequence: 4)])
        _ = try writer.checkpoint()
        writer.close()
        let report = try log.verify()
        #expect(report.findings == [])
        #expect(report.entries == 701)
        #expect(report.checkpoints == 9)
        #expect(report.uncovered == 0)
    }

    /// People search the columns and the view, not the bytes.
    @Test("columns have what the entry says, whatever its texts are")
    func columns() throws {
        let log = try TestLog()
        let writer = log.writer()
        try writer.open()
        let long = String(repeating: "é", count: 5000)
        _ = try writer.append([
            [TestLog.event(1), TestLog.event(2, actor: "a\\u0000b"), TestLog.event(3, actor: long)]
        ])
        writer.close()
        let found = try log.server.connection("sluice_audit_reader", database: log.database).run(
            """
            SELECT actor, trace_id, event_name, "timestamp"::text, created_at::text, length(actor)::bigint, details::text
            FROM sluice_audit.audit_logs ORDER BY id
            """)
        #expect(found.text(0, 0) == "user-1")
        #expect(found.text(0, 1) == "550e8400e29b41d4a716446655440000")
        #expect(found.text(0, 2) == "deployment.update")
        #expect(found.text(0, 3).hasPrefix("2026-01-09 23:06:39.123456"))
        #expect(found.text(0, 4).hasPrefix("2026-01-09 23:06:40"))
        #expect(found.text(1, 0) == "a\u{fffd}b")
        #expect(found.number(2, 5) == 255)
        #expect(try log.verify().findings == [])
    }

    /// Two gateways on one log would give two records one number.
    @Test("a second writer is refused and the first one named, readers are not")
    func lock() throws {
        let log = try TestLog()
        let (first, second) = (log.writer(), log.writer())
        try first.open()
        let error = #expect(throws: AuditStoreError.self) { try second.open() }
        #expect(error?.kind == .locked)
        #expect(error?.description.contains("(backend ") == true)
        _ = try first.append([[TestLog.event(1)]])
        _ = try first.checkpoint()
        #expect(try log.verify().findings == [])
        first.close()
        try second.open()
        second.close()
    }

    /// What is wrong with the server or the role must be said at the start, not when the first event is lost.
    @Test("a wrong role, an empty database, another log, a server that is away: each says what to do")
    func refused() throws {
        let log = try TestLog()
        try log.fill(0..<1)
        func failure(_ conninfo: String, origin: String = "audit.test/a") -> AuditStoreError? {
            #expect(throws: AuditStoreError.self) {
                try PostgreSQLAuditStore(conninfo: conninfo).open(.writing(origin: origin))
            }
        }
        let superuser = failure(log.server.conninfo("postgres", database: log.database))
        #expect(superuser?.kind == .refused)
        #expect(superuser?.description.contains("connect as sluice_audit_writer") == true)
        let reader = failure(log.server.conninfo("sluice_audit_reader", database: log.database))
        #expect(reader?.kind == .refused)
        let empty = failure(log.server.conninfo("sluice_audit_writer", database: "postgres"))
        #expect(empty?.kind == .refused)
        #expect(empty?.description.contains("sluice audit schema") == true)
        let other = failure(
            log.server.conninfo("sluice_audit_writer", database: log.database), origin: "audit.test/b")
        #expect(other?.description.contains("that of \"audit.test/a\"") == true)
        let away = failure("host=/nowhere dbname=x")
        #expect(away?.kind == .unavailable)
        #expect(away?.description.contains("/nowhere") == true)
        let unreadable = failure("host=/nowhere nonsense")
        #expect(unreadable?.description.contains("nonsense") == true)
    }

    /// What a standby has may be behind: its reader would miss entries, and find a checkpoint of more than there is.
    @Test("of several hosts the primary is read, unless the operator says otherwise")
    func standby() throws {
        let log = try TestLog()
        try log.fill(0..<1)
        let standby = try TestServer.standby(of: log.server)
        func isStandby(_ more: String) throws -> Bool {
            let info = "host=\(standby),\(log.server.folder) user=postgres dbname=postgres \(more)"
            return try Connection(info).run("SELECT pg_is_in_recovery()").isTrue(0, 0)
        }
        #expect(try !isStandby(""))
        #expect(try isStandby("target_session_attrs=any"))
    }

    /// Tables that were made by an older version lack what this one needs: the operator must hear which command mends it.
    @Test(
        "what an older schema lacks is named, with the command that makes it",
        arguments: [
            ("DROP TABLE audit_detached", "audit_detached"),
            ("DROP FUNCTION audit_detach_month", "audit_detach_month(date)"),
        ])
    func older(sql: String, name: String) throws {
        let log = try TestLog()
        try log.fill(0..<1)
        try log.administer(sql)
        for access in [AuditAccess.reading, .writing(origin: "audit.test/a")] {
            let error = #expect(throws: AuditStoreError.self) { try log.store().open(access) }
            #expect(error?.kind == .refused)
            #expect(
                error?.description.contains("older version, without \(name): sluice audit schema") == true)
        }
    }

    /// A session that ends in the middle of a COPY or of a COMMIT must leave all of it or nothing.
    @Test(
        "a connection that is lost while rows are sent or committed loses and doubles nothing",
        arguments: [
            "CREATE TRIGGER ends BEFORE INSERT ON audit_entries FOR EACH ROW WHEN (NEW.sequence = 350) EXECUTE FUNCTION ends()",
            "CREATE TRIGGER ends BEFORE INSERT ON audit_tiles FOR EACH ROW EXECUTE FUNCTION ends()",
            "CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON audit_ids DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.sequence = 400) EXECUTE FUNCTION ends()",
        ])
    func lostConnection(trigger: String) throws {
        let log = try TestLog()
        try log.fill(0..<200)
        try log.administer(
            "CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END $$",
            "GRANT EXECUTE ON FUNCTION ends() TO PUBLIC", trigger)
        let writer = log.writer()
        try writer.open()
        let events = (150..<400).map { TestLog.event($0) }
        let error = #expect(throws: AuditStoreError.self) { _ = try writer.append([events]) }
        #expect(error?.kind == .unavailable)
        writer.close()
        try log.administer("DROP FUNCTION ends() CASCADE")
        try writer.open()
        #expect(writer.size == 200)
        // The client tries again.
        #expect(try writer.append([events]) == [.committed(new: 200, known: 50)])
        _ = try writer.checkpoint()
        writer.close()
        let report = try log.verify()
        #expect(report.findings == [])
        #expect(report.entries == 400)
    }

    /// What the operator must do depends on whose fault it is, and a client must not be told to come again in vain.
    @Test(
        "what the server says is an outage, damage or a mistake, with what to do",
        arguments: [
            ("53100", AuditStoreError.Kind.unavailable, "make room on the server's disk"),
            ("57P01", .unavailable, "SQLSTATE 57P01"), ("25006", .unavailable, "SQLSTATE 25006"),
            ("40001", .unavailable, "SQLSTATE 40001"), ("23505", .damaged, "run sluice audit verify"),
            ("XX001", .damaged, "the server's files are damaged"),
            ("42P01", .refused, "sluice audit schema"), ("42501", .refused, "connect as sluice_audit_writer"),
        ])
    func states(state: String, kind: AuditStoreError.Kind, help: String) {
        let error = SQLState.error(state, "text", "act")
        #expect(error.kind == kind)
        #expect(error.description.contains("cannot act: text") && error.description.contains(help))
    }

    /// An entry beside the log's own must not stop the writer for ever without a reason given.
    @Test("what is in the table already is said to be damage, and nothing of the batch is kept")
    func collision() throws {
        let log = try TestLog()
        try log.fill(0..<10)
        let writer = log.writer()
        try writer.open()
        try log.administer(
            "INSERT INTO audit_ids VALUES (decode(repeat('00', 16), 'hex'), 12, decode(repeat('00', 32), 'hex'))"
        )
        let error = #expect(throws: AuditStoreError.self) {
            _ = try writer.append([[TestLog.event(10), TestLog.event(11)]])
        }
        #expect(error?.kind == .damaged)
        writer.close()
        #expect(try log.verify().entries == 10)
    }
}
