import AuditLog
import Configuration
import Glibc
import NIOCore
import OTLP
import Pipeline
import Synchronization
import TestSupport

@testable import AuditExporter

/// A store in memory whose disk can be full. Used by one thread at a time; `fails` is set between calls.
final class FailingStore: AuditStore, Sendable {
    private struct State {
        var rows: [AuditRow] = []
        var checkpoints: [StoredCheckpoint] = []
        var fails = false
        var isDamaged = false
    }

    private let state = Mutex(State())

    var fails: Bool {
        get { state.withLock { $0.fails } }
        set { state.withLock { $0.fails = newValue } }
    }
    /// Whether what is written says that somebody changed what is kept.
    var isDamaged: Bool {
        get { state.withLock { $0.isDamaged } }
        set { state.withLock { $0.isDamaged = newValue } }
    }

    /// What the entries that have an attribute say there.
    func texts(_ attribute: String) -> [String] {
        state.withLock { state in
            state.rows.compactMap { row in
                let parts = String(decoding: row.entry, as: UTF8.self).split(
                    separator: "\"\(attribute)\":{\"stringValue\":\"")
                return parts.count == 2 ? String(parts[1].prefix { $0 != "\"" }) : nil
            }
        }
    }

    var sequences: [UInt64] { state.withLock { $0.rows.map(\.sequence) } }

    func open(_ access: AuditAccess) throws(AuditStoreError) {
        if fails { throw AuditStoreError(.unavailable, "the disk is full") }
    }
    func close() {}
    func tail() throws(AuditStoreError) -> AuditTail {
        state.withLock {
            AuditTail(origin: "a", firstSequence: 1, last: $0.rows.last, checkpoint: $0.checkpoints.last)
        }
    }
    func append(_ rows: [AuditRow], _ tiles: [HashTile]) throws(AuditStoreError) {
        if isDamaged { throw AuditStoreError(.damaged, "entry 7 is there already") }
        if fails { throw AuditStoreError(.unavailable, "the disk is full") }
        state.withLock { $0.rows += rows }
    }
    func append(_ checkpoint: StoredCheckpoint) throws(AuditStoreError) {
        state.withLock { $0.checkpoints.append(checkpoint) }
    }
    func known(_ ids: [RecordID]) throws(AuditStoreError) -> [RecordID: KnownRecord] {
        state.withLock { state in
            var known: [RecordID: KnownRecord] = [:]
            for row in state.rows where ids.contains(row.recordID) {
                known[row.recordID] = KnownRecord(sequence: row.sequence, contentHash: row.contentHash)
            }
            return known
        }
    }
    func rows(from sequence: UInt64, limit: Int) throws(AuditStoreError) -> [AuditRow] {
        state.withLock { Array($0.rows.drop { $0.sequence < sequence }.prefix(limit)) }
    }
    func tiles(level: Int, from index: UInt64, limit: Int) throws(AuditStoreError) -> [HashTile] { [] }
    func detachments() throws(AuditStoreError) -> [StoredDetachment] { [] }
    func detach(_ detachment: StoredDetachment, through month: AuditMonth) throws(AuditStoreError) {}
    func read(
        _ sequences: ClosedRange<UInt64>, _ page: inout RowPage, _ take: (RowPage) -> Void
    ) throws(AuditStoreError) {}
    var another: @Sendable () -> any AuditStore { { [self] in self } }
    var copiedColumns: (any CopiedColumns)? { nil }
    func strays() throws(AuditStoreError) -> [AuditFinding] { [] }
    func checkpoints(fromSize size: UInt64, limit: Int) throws(AuditStoreError) -> [StoredCheckpoint] {
        state.withLock { Array($0.checkpoints.filter { $0.size >= size }.prefix(limit)) }
    }
}

extension Rig {
    /// Another exporter's rig for the same files.
    convenience init(beside rig: Rig) throws {
        try self.init(folder: rig.folder, key: rig.key)
    }

    func permitKey(_ mode: mode_t) { chmod(keyPath, mode) }

    /// - Parameter clock: nanoseconds; decides when a store that failed is opened again.
    func keeper(_ store: FailingStore, clock: @escaping @Sendable () -> Int64) throws -> LogKeeper {
        let diagnostics = Diagnostics()
        let config = AuditConfig(
            ConfigSection(
                yaml: "{origin: audit.test/a, key_file: k, sqlite: {path: x}}", path: "audit",
                diagnostics: diagnostics))
        return LogKeeper(
            config, keys: [key], metrics: AuditMetrics(registry.withLock { $0 }, exporter: "audit"),
            logger: makeSilentLogger(), clock: clock
        ) { store }
    }

    /// What a keeper says to a request.
    func keep(_ json: String, with keeper: LogKeeper) async throws -> String {
        let batch = Batch(.logs, payload: Payload(ByteBuffer(bytes: try Rig.request(json))), items: 1)
        return await withCheckedContinuation { continuation in
            keeper.keep(batch) { result in
                switch result {
                case .sent: continuation.resume(returning: "sent")
                case .retryable(let message, _): continuation.resume(returning: "retryable: \(message)")
                default: continuation.resume(returning: "\(result)")
                }
            }
        }
    }
}
