import AuditLog
import Glibc
import Hashing
import Testing

@testable import PostgreSQLAuditStore

/// Without these somebody with the database could change the past, and nobody would see it.
@Suite("Tampering in PostgreSQL")
struct TamperingTests {
    /// The gateway's own role, stolen, changes nothing.
    @Test(
        "the writer's role cannot change or remove anything, or protection",
        arguments: [
            "UPDATE audit_entries SET actor = 'x'", "UPDATE audit_entries_2026_01 SET actor = 'x'",
            "DELETE FROM audit_entries", "DELETE FROM audit_entries_2026_01", "TRUNCATE audit_entries",
            "TRUNCATE audit_entries_2026_01", "TRUNCATE audit_log, audit_ids, audit_tiles, audit_checkpoints",
            "DELETE FROM audit_ids", "UPDATE audit_checkpoints SET note = ''",
            "UPDATE audit_tiles SET level = 3",
            "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
            "ALTER TABLE audit_entries_2026_01 DISABLE TRIGGER audit_no_change",
            "DROP TRIGGER audit_no_change ON audit_entries", "SET session_replication_role = replica",
            "ALTER TABLE audit_entries DETACH PARTITION audit_entries_2026_01",
            "SELECT audit_detach_month('2026-01-01')", "DROP TABLE audit_entries_2026_01",
            "SET ROLE sluice_audit_owner", "CREATE TABLE audit_mine (a int)",
            "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE sql AS ''",
            "INSERT INTO audit_entries_2026_01 SELECT * FROM audit_entries",
            "INSERT INTO audit_log (origin, format) SELECT 'b', format FROM audit_log",
        ])
    func writer(sql: String) throws {
        let log = try TestLog()
        try log.fill(0..<2)
        let connection = try log.server.connection("sluice_audit_writer", database: log.database)
        try connection.run("SET search_path = sluice_audit")
        #expect(throws: AuditStoreError.self) { try connection.run(sql) }
        #expect(try log.verify().findings == [])
    }

    /// Protection must not end where PostgreSQL's triggers usually do: at partitions, TRUNCATE and replication.
    @Test(
        "the superuser is refused, too, until the triggers are gone",
        arguments: [
            "UPDATE audit_entries SET actor = 'x'", "UPDATE audit_entries_2026_01 SET actor = 'x'",
            "DELETE FROM audit_entries_2026_01", "TRUNCATE audit_entries", "TRUNCATE audit_entries_2026_01",
            "TRUNCATE audit_tiles", "DELETE FROM audit_checkpoints", "UPDATE audit_log SET origin = 'b'",
        ])
    func superuser(sql: String) throws {
        let log = try TestLog()
        try log.fill(0..<2)
        let connection = try log.server.connection("postgres", database: log.database)
        try connection.run("SET search_path = sluice_audit")
        try connection.run("SET session_replication_role = replica")
        let error = #expect(throws: AuditStoreError.self) { try connection.run(sql) }
        #expect(error?.description.contains("append-only") == true)
    }

    /// Each thing that a superuser may do to rows, and the first record that is said to be wrong.
    @Test(
        "what the superuser does to rows is found and named",
        arguments: [
            (
                "UPDATE audit_entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '\"x\"', '\"y\"'), 'UTF8') WHERE sequence = 123",
                123
            ),
            ("UPDATE audit_entries SET content_hash = decode(repeat('00', 32), 'hex') WHERE sequence = 7", 7),
            ("UPDATE audit_entries SET recorded = 1 WHERE sequence = 8", 8),
            ("DELETE FROM audit_entries WHERE sequence = 1", 1),
            ("DELETE FROM audit_entries WHERE sequence = 300", 300),
            ("DELETE FROM audit_entries WHERE sequence > 550", 551),
            // Behind which a tile is left.
            ("DELETE FROM audit_entries WHERE sequence > 500", 501),
            ("TRUNCATE audit_entries", 1), ("TRUNCATE audit_entries_2026_01", 1),
            ("DELETE FROM audit_tiles WHERE tile = 1", 257),
            ("UPDATE audit_tiles SET hashes = decode(repeat('00', 8192), 'hex') WHERE tile = 0", 1),
            ("UPDATE audit_entries SET sequence = 1000 - sequence WHERE sequence BETWEEN 499 AND 501", 499),
        ])
    func rows(sql: String, first: UInt64) throws {
        let log = try TestLog()
        try log.fill(0..<600)
        try log.tamper(sql)
        let report = try log.verify()
        #expect(report.findings.compactMap(\.sequence).min() == first, "\(report.findings)")
    }

    /// What stands beside the log's own rows is read by whoever searches the tables.
    @Test(
        "rows, tiles and ids that belong to no entry are found",
        arguments: [
            (
                """
                INSERT INTO audit_entries SELECT -5, record_id, content_hash, recorded, created_at, "timestamp", trace_id, span_id,
                event_name, actor, actor_type, resource, resource_type, action, outcome, decision, policy_version, compliance_tags,
                entry FROM audit_entries WHERE sequence = 7
                """, "a row has the number -5"
            ),
            (
                "INSERT INTO audit_tiles SELECT 0, 99, hashes FROM audit_tiles WHERE tile = 0",
                "tile 99 of level 0 belongs to no entries"
            ),
            (
                "INSERT INTO audit_tiles SELECT 7, 0, hashes FROM audit_tiles WHERE tile = 0",
                "tile 0 of level 7 belongs to no entries"
            ),
            (
                "INSERT INTO audit_ids SELECT decode(repeat('00', 16), 'hex'), 0, content_hash FROM audit_ids WHERE sequence = 7",
                "an id for entry 0, which"
            ),
        ])
    func strays(sql: String, words: String) throws {
        let log = try TestLog()
        try log.fill(0..<300)
        try log.tamper(
            "ALTER TABLE audit_entries DROP CONSTRAINT audit_entries_sequence_check",
            "ALTER TABLE audit_entries_2026_01 DROP CONSTRAINT IF EXISTS audit_entries_sequence_check",
            "ALTER TABLE audit_ids DROP CONSTRAINT audit_ids_sequence_check", sql)
        let findings = try log.verify().findings
        #expect(findings.contains { "\($0)".contains(words) }, "\(findings)")
    }

    /// A log is read in ranges, on connections of their own: a server that gives only one more must do, or none, and
    /// what is wrong is named across the ranges' borders.
    @Test("a log of several ranges is verified with the connections that there are")
    func ranges() throws {
        let log = try TestLog()
        try log.fill(0..<17000)
        try log.administer(
            "CREATE ROLE \(log.database)_reader LOGIN IN ROLE sluice_audit_reader CONNECTION LIMIT 2")
        let store = log.store("\(log.database)_reader")
        try store.open(.reading)
        defer { store.close() }
        func verify() throws -> AuditVerifier.Report {
            try AuditVerifier(store, keyring: Keyring(log.key.verifier)).verify()
        }
        let report = try verify()
        #expect(report.findings == [] && report.entries == 17000 && report.uncovered == 0)
        try log.tamper(
            "DELETE FROM audit_entries WHERE sequence BETWEEN 8000 AND 16400",
            "UPDATE audit_entries SET actor = 'y' WHERE sequence = 7")
        let found = try verify().findings.map { "\($0)" }
        #expect(found.contains { $0.contains("entries 8000 to 16400 are missing") }, "\(found)")
        #expect(found.contains { $0.contains("the column actor of entry 7") }, "\(found)")
        // Without a second one it reads on its own.
        try log.administer("ALTER ROLE \(log.database)_reader CONNECTION LIMIT 1")
        let alone = try verify().findings.map { "\($0)" }
        #expect(alone == found)
    }

    /// One row far behind the others must not keep a verification busy with empty ranges for ever, silent about what
    /// it found before.
    @Test(
        "a gap of any size is named at once",
        arguments: [1_000_000_000_000, 4_611_686_018_427_387_904, 9_223_372_036_854_775_807] as [UInt64])
    func far(sequence: UInt64) throws {
        let log = try TestLog()
        try log.fill(0..<10)
        try log.tamper(
            """
            INSERT INTO audit_entries SELECT \(sequence), record_id, content_hash, recorded, created_at,
            "timestamp", trace_id, span_id, event_name, actor, actor_type, resource, resource_type, action, outcome,
            decision, policy_version, compliance_tags, entry FROM audit_entries WHERE sequence = 10
            """)
        let findings = try log.verify().findings
        #expect(findings.map(\.description) == ["entries 11 to \(sequence - 1) are missing"])
    }

    /// A row that the writer's role put in by hand is in no tree.
    @Test("rows that did not come by the gateway are found")
    func inserted() throws {
        let log = try TestLog()
        try log.fill(0..<10)
        let connection = try log.server.connection("sluice_audit_writer", database: log.database)
        try connection.run("SET search_path = sluice_audit")
        try connection.run(
            """
            INSERT INTO audit_entries SELECT 11, record_id, content_hash, recorded, created_at, "timestamp", trace_id, span_id,
            event_name, actor, actor_type, resource, resource_type, action, outcome, decision, policy_version, compliance_tags,
            entry FROM audit_entries WHERE sequence = 10
            """)
        #expect(try log.verify().findings.compactMap(\.sequence).min() == 11)
    }

    /// A gateway must not go on writing where nothing protects what it writes.
    @Test("a writer refuses tables whose triggers are off")
    func triggers() throws {
        let log = try TestLog()
        try log.fill(0..<10)
        try log.administer("ALTER TABLE audit_entries_2026_01 DISABLE TRIGGER audit_no_truncate")
        let error = #expect(throws: AuditStoreError.self) { try log.writer().open() }
        #expect(error?.kind == .damaged)
        #expect(error?.description.contains("audit_entries_2026_01") == true)
    }

    /// Whoever keeps events for a year must be able to give older ones away without losing the proof of the rest.
    @Test("a month is detached with its hashes kept, and only when the rest stands without it")
    func retention() throws {
        let log = try TestLog()
        try log.fill(0..<500)
        // 2026-02-10; 100 entries end in the tile that has January's last ones.
        log.now = 1_770_700_000_000_000_000
        try log.fill(500..<505)
        let early = #expect(throws: AuditStoreError.self) {
            try log.administer("SELECT audit_detach_month('2026-01-01')")
        }
        #expect(early?.description.contains("full tile") == true)
        try log.fill(505..<800)
        #expect(throws: AuditStoreError.self) {
            try log.administer("SELECT audit_detach_month('2026-02-01')")
        }
        let unsaid = #expect(throws: AuditStoreError.self) {
            try log.administer("SET ROLE sluice_audit_owner", "SELECT audit_detach_month('2026-01-01')")
        }
        #expect(unsaid?.description.contains("no signed statement") == true)
        let owner = log.store("postgres")
        try owner.open(.detaching)
        let january = try #require(AuditMonth(text: "2026-01"))
        let detached = try LogExport(owner).detach(
            through: january, key: log.key, now: 1_780_000_000_000_000_000
        ) { _, _ in }
        owner.close()
        #expect(detached == 1...500)
        let report = try log.verify()
        #expect(report.findings == [])
        #expect((report.detached, report.entries, report.size) == (500, 300, 800))
        #expect(throws: AuditStoreError.self) { try log.administer("DELETE FROM audit_entries_2026_01") }
        let store = log.store("sluice_audit_reader")
        try store.open(.reading)
        let tail = try store.tail()
        #expect(tail.firstSequence == 501)
        #expect(tail.size == 800)
        #expect(try store.rows(from: 1, limit: 1).first?.sequence == 501)
        #expect(try store.tiles(level: 0, from: 0, limit: 10).count == 3)
        store.close()
        // It goes on, and what is detached is still known.
        let writer = log.writer()
        try writer.open()
        #expect(
            try writer.append([[TestLog.event(7)], [TestLog.event(800)]]) == [
                .committed(new: 0, known: 1), .committed(new: 1, known: 0),
            ])
        writer.close()
        try log.administer("DROP TABLE audit_entries_2026_01")
        #expect(try log.verify().findings == [])
    }

    /// Reports are made of the columns, not of the entries: one that says something else must not pass.
    @Test(
        "a column that is not what its entry says is found and named",
        arguments: [
            (
                "UPDATE audit_entries SET actor = 'somebody' WHERE sequence = 7", 7,
                "the column actor of entry 7"
            ),
            (
                "UPDATE audit_entries SET compliance_tags = '{SOC2}' WHERE sequence = 8", 8,
                "the column compliance_tags of entry 8"
            ),
            (
                "UPDATE audit_ids SET content_hash = record_id || record_id WHERE sequence = 9", 9,
                "audit_ids has not"
            ),
            ("DELETE FROM audit_ids WHERE sequence = 10", 10, "audit_ids has not"),
            (
                "INSERT INTO audit_ids SELECT '\\x00112233445566778899aabbccddeeff', 500, content_hash FROM audit_ids "
                    + "WHERE sequence = 1", 500, "audit_ids has an id for entry 500"
            ),
        ])
    func copies(sql: String, first: UInt64, text: String) throws {
        let log = try TestLog()
        try log.fill(0..<20)
        try log.tamper(sql)
        let findings = try log.verify().findings
        #expect(findings.map(\.sequence) == [first], "\(findings)")
        #expect(findings.first?.description.contains(text) == true, "\(findings)")
    }

    /// What the command prints must be what was tried and is deployed.
    @Test("the scripts are those of config/deploy/audit", arguments: ["roles", "schema"])
    func scripts(name: String) throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(root)/config/deploy/audit/\(name).sql", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        #expect(text == (name == "roles" ? AuditSchema.roles : AuditSchema.schema))
    }
}
