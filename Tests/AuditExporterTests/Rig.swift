import AuditLog
import Configuration
import Glibc
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import SQLiteAuditStore
import Synchronization
import TestSupport
import Testing

@testable import AuditExporter

/// An exporter with a log in a folder of its own.
final class Rig: Sendable {
    let folder: String
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    /// Of the last exporter.
    let registry = Mutex(MetricRegistry())
    let key: SigningKey
    private let isOwner: Bool
    var path: String { folder + "/audit.db" }
    var keyPath: String { folder + "/key.pem" }

    init() throws {
        folder = "/tmp/sluice-audit-exporter-\(UInt64.random(in: 0...UInt64.max))"
        mkdir(folder, 0o700)
        key = SigningKey.random(name: "audit.test/a")
        isOwner = true
        try key.write(to: folder + "/key.pem")
    }

    /// For another exporter with the same files.
    init(folder: String, key: SigningKey) throws {
        self.folder = folder
        self.key = key
        isOwner = false
    }

    deinit {
        guard isOwner else { return }
        for name in ["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock", "key.pem", "checkpoint"] {
            unlink("\(folder)/\(name)")
        }
        rmdir(folder)
    }

    func exporter(_ more: String = "") throws -> AuditExporter {
        let registry = MetricRegistry()
        self.registry.withLock { $0 = registry }
        let diagnostics = Diagnostics()
        let config = AuditConfig(
            ConfigSection(
                yaml: "{origin: audit.test/a, key_file: \(keyPath), sqlite: {path: \(path)}\(more)}",
                path: "audit",
                diagnostics: diagnostics))
        #expect(diagnostics.items.isEmpty)
        return try AuditExporter(
            config, .alone(.exporter, "audit", signal: .logs, on: group.next(), registry: registry))
    }

    /// A started exporter; what was told to clients, and its end.
    func run(
        _ more: String = "", _ body: (AuditExporter) async throws -> Void
    ) async throws {
        let exporter = try exporter(more)
        try await exporter.start()
        try await body(exporter)
        _ = await exporter.stop(until: .now() + .seconds(10))
    }

    /// Sends a request and waits for what its client is told.
    func send(_ json: String, items: Int = 1, to exporter: AuditExporter) async throws -> Outcome {
        let request = try Self.request(json)
        return await withCheckedContinuation { continuation in
            let batch = Batch(
                .logs, payload: Payload(ByteBuffer(bytes: request)), items: items,
                acknowledgement: Acknowledgement(shares: 1) { continuation.resume(returning: $0) })
            if let refusal = exporter.consume(batch) { continuation.resume(returning: .refused(refusal)) }
        }
    }

    static func request(_ json: String) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: json.utf8.count * 4 + 64)
        let count = try output.withUnsafeMutableBytes { output in
            try Array(json.utf8).withUnsafeBytes { try readOTLPJSON($0, as: .logs, into: output) }
        }
        return Array(output[..<count])
    }

    /// A request of records with these ids.
    static func records(_ ids: [Int], action: String = "UPDATE") -> String {
        let records = ids.map { number in
            let texts = [
                ("audit.record.id", id(number)), ("audit.actor.id", "a"), ("audit.actor.type", "user"),
                ("audit.action", action), ("audit.outcome", "success"),
            ]
            let list = texts.map { "{\"key\":\"\($0.0)\",\"value\":{\"stringValue\":\"\($0.1)\"}}" }
            return
                "{\"timeUnixNano\":\"7\",\"eventName\":\"a.b\",\"attributes\":[\(list.joined(separator: ","))]}"
        }
        return "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[\(records.joined(separator: ","))]}]}]}"
    }

    static func id(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    func report() throws -> AuditVerifier.Report {
        let store = SQLiteAuditStore(path: path)
        try store.open(.reading)
        defer { store.close() }
        return try AuditVerifier(store, keyring: Keyring(key.verifier)).verify()
    }

    /// Whether the page of metrics has this line.
    func shows(_ line: String) -> Bool {
        String(decoding: registry.withLock { $0.render() }, as: UTF8.self).contains(line)
    }
}
