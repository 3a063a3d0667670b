import AuditLog
import Glibc
import Hashing

@testable import SQLiteAuditStore

/// A log in a folder of its own, removed with it.
final class TestLog {
    let folder: String
    let path: String
    let key = SigningKey.random(name: "audit.test/a")
    var now: UInt64 = 1000

    init() {
        folder = "/tmp/sluice-audit-\(UInt64.random(in: 0...UInt64.max))"
        mkdir(folder, 0o700)
        path = folder + "/audit.db"
    }

    /// As `filled`.
    convenience init(of count: Int) throws {
        self.init()
        try filled(count)
    }

    deinit {
        for suffix in ["", "-wal", "-shm", ".lock"] { unlink(path + suffix) }
        rmdir(folder)
    }

    func writer() -> AuditWriter {
        AuditWriter(SQLiteAuditStore(path: path), origin: "audit.test/a", keys: [key]) { self.now }
    }

    /// A log with so many entries in commits of 100, and a checkpoint after each commit.
    func filled(_ count: Int) throws {
        let writer = writer()
        try writer.open()
        for start in stride(from: 0, to: count, by: 100) {
            now += 1
            _ = try writer.append([(start..<min(start + 100, count)).map { Self.event($0) }])
            _ = try writer.checkpoint()
        }
        writer.close()
    }

    func verify(_ foreign: [String] = []) throws -> AuditVerifier.Report {
        let store = SQLiteAuditStore(path: path)
        try store.open(.reading)
        defer { store.close() }
        return try AuditVerifier(store, keyring: Keyring(key.verifier), foreign: foreign).verify()
    }

    func lastCheckpoint() throws -> StoredCheckpoint? {
        let store = SQLiteAuditStore(path: path)
        try store.open(.reading)
        defer { store.close() }
        return try store.tail().checkpoint
    }

    /// What somebody who may write the file does: first the triggers go.
    func tamper(_ sql: String) throws {
        let database = try Database(path, isWritable: true)
        for table in ["audit_log", "audit_entries", "audit_tiles", "audit_checkpoints"] {
            try database.run("DROP TRIGGER \(table)_no_update; DROP TRIGGER \(table)_no_delete")
        }
        try database.run("DROP TRIGGER audit_entries_in_order; \(sql)")
    }

    static func id(_ number: Int) -> RecordID { RecordID(derivedFrom: Hash256(of: Array("\(number)".utf8))) }

    static func event(_ number: Int, text: String = "x") -> AuditEvent {
        let id = id(number)
        return AuditEvent(
            recordID: id,
            record: Array(
                "{\"attributes\":{\"audit.record.id\":{\"stringValue\":\"\(id)\"},\"text\":{\"stringValue\":\"\(text)\"}}}"
                    .utf8),
            resource: Array("{\"attributes\":{}}".utf8))
    }
}
