import AuditLog
import Glibc
import Hashing
import Synchronization

@testable import PostgreSQLAuditStore

/// A PostgreSQL server of this process, with a database that has the tables to copy from.
final class TestServer: Sendable {
    static let shared = Result { try TestServer() }

    let folder = "/tmp/sluice-pg-\(getpid())"
    private let databases = Atomic<Int>(0)

    private init() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        try Self.shell("/\(root)/Tests/postgresql start \(folder) \(getpid())")
        try connection("postgres", database: "postgres").run("CREATE DATABASE log")
        let maker = try connection("postgres", database: "log")
        // A script is more than one statement, which a command with values is not.
        try maker.run("SET client_min_messages = warning")
        for script in [AuditSchema.roles, AuditSchema.schema] {
            try maker.run("DO $script$ BEGIN EXECUTE $text$\(script)$text$; END $script$")
        }
    }

    /// Starts a standby that is never told of anything.
    /// - Returns: the folder of its socket.
    static func standby(of server: TestServer) throws -> String {
        let folder = server.folder + "-standby"
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        try shell("/\(root)/Tests/postgresql standby \(folder) \(getpid())")
        return folder
    }

    static func shell(_ command: String) throws {
        guard system(command) == 0 else { throw AuditStoreError(.refused, "failed: \(command)") }
    }

    func conninfo(_ role: String, database: String) -> String {
        "host=\(folder) user=\(role) dbname=\(database)"
    }

    func connection(_ role: String, database: String) throws -> Connection {
        try Connection(conninfo(role, database: database))
    }

    /// The name of a new database with empty tables.
    func newDatabase() throws -> String {
        let name = "log\(databases.add(1, ordering: .relaxed).newValue)"
        try connection("postgres", database: "postgres").run("CREATE DATABASE \(name) TEMPLATE log")
        return name
    }
}

/// A log in a database of its own.
final class TestLog {
    let server: TestServer
    let database: String
    let key = SigningKey.random(name: "audit.test/a")
    var now: UInt64

    /// - Parameter start: nanoseconds of Unix time; 2026-01-10 when not said.
    init(start: UInt64 = 1_768_000_000_000_000_000) throws {
        server = try TestServer.shared.get()
        database = try server.newDatabase()
        now = start
    }

    func store(_ role: String = "sluice_audit_writer") -> PostgreSQLAuditStore {
        PostgreSQLAuditStore(conninfo: server.conninfo(role, database: database))
    }

    func writer() -> AuditWriter {
        AuditWriter(store(), origin: "audit.test/a", keys: [key]) { self.now }
    }

    /// Entries in commits of 100, and a checkpoint after each commit.
    func fill(_ range: Range<Int>) throws {
        let writer = writer()
        try writer.open()
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 100) {
            now += 1_000_000
            _ = try writer.append([(start..<min(start + 100, range.upperBound)).map { Self.event($0) }])
            _ = try writer.checkpoint()
        }
        writer.close()
    }

    func verify(_ foreign: [String] = []) throws -> AuditVerifier.Report {
        let store = store("sluice_audit_reader")
        try store.open(.reading)
        defer { store.close() }
        return try AuditVerifier(store, keyring: Keyring(key.verifier), foreign: foreign).verify()
    }

    /// What somebody who has the database does: first the triggers go off.
    func tamper(_ sql: String...) throws {
        let connection = try server.connection("postgres", database: database)
        try connection.run("SET search_path = sluice_audit")
        try connection.run(
            """
            DO $$ DECLARE own regclass; BEGIN
            FOR own IN SELECT oid FROM pg_class WHERE relnamespace = 'sluice_audit'::regnamespace AND relkind IN ('r', 'p') LOOP
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', own);
            END LOOP; END $$
            """)
        for command in sql { try connection.run(command) }
    }

    /// As the superuser, who changes no triggers.
    func administer(_ sql: String...) throws {
        let connection = try server.connection("postgres", database: database)
        try connection.run("SET search_path = sluice_audit")
        for command in sql { try connection.run(command) }
    }

    static func id(_ number: Int) -> RecordID { RecordID(derivedFrom: Hash256(of: Array("\(number)".utf8))) }

    static func event(_ number: Int, text: String = "x", actor: String = "user-1") -> AuditEvent {
        let id = id(number)
        let attributes =
            "\"audit.actor.id\":{\"stringValue\":\"\(actor)\"},\"audit.record.id\":{\"stringValue\":\"\(id)\"},"
            + "\"text\":{\"stringValue\":\"\(text)\"}"
        return AuditEvent(
            recordID: id,
            record: Array(
                ("{\"attributes\":{\(attributes)},\"event_name\":\"deployment.update\","
                    + "\"timestamp\":\"1767999999123456789\",\"trace_id\":\"550e8400e29b41d4a716446655440000\"}")
                    .utf8),
            resource: Array("{\"attributes\":{}}".utf8))
    }
}
