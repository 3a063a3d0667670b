import AuditLog
import Hashing
import OTLP
import Testing

@testable import SQLiteAuditStore

/// Without these an auditor would get files that prove nothing.
@Suite("Export")
struct ExportTests {
    private func opened(_ log: TestLog) throws -> SQLiteAuditStore {
        let store = SQLiteAuditStore(path: log.path)
        try store.open(.reading)
        return store
    }

    /// The proof is all that somebody without the log has.
    @Test("a proof leads from the entry to the root of its checkpoint")
    func proof() throws {
        let log = TestLog()
        try log.filled(600)
        let text = try LogExport(try opened(log)).proof(of: TestLog.id(122))
        let parts = text.split(separator: "\n\n", maxSplits: 1).map(String.init)
        let lines = parts[0].split(separator: "\n").map(String.init)
        #expect(lines[0] == "c2sp.org/tlog-proof@v1")
        #expect(lines[2] == "index 122")
        let entry = try #require(Base64.decode(Array(lines[1].dropFirst("extra ".count).utf8)))
        let hashes = lines.dropFirst(3).compactMap { Base64.decode(Array($0.utf8)).flatMap { Hash256($0) } }
        #expect(hashes.count == lines.count - 3)
        let checkpoint = try Keyring(log.key.verifier).checkpoint(of: parts[1])
        #expect(checkpoint.size == 600)
        #expect(
            MerkleProof.root(leaf: Hash256(of: 0, then: entry), index: 122, size: 600, proof: hashes)
                == checkpoint.root)
        #expect(try EntryColumns(entry).recordID == TestLog.id(122))
    }

    /// Whoever asks too early, or for the wrong record, must not get a proof of something else.
    @Test("what cannot be proven is said")
    func unproven() throws {
        let log = TestLog()
        let writer = log.writer()
        try writer.open()
        _ = try writer.append([[TestLog.event(1)]])
        let early = try LogExport(try opened(log))
        #expect(throws: ExportError.self) { try early.proof(of: TestLog.id(1)) }
        _ = try writer.checkpoint()
        _ = try writer.append([[TestLog.event(2)]])
        let export = try LogExport(try opened(log))
        #expect(throws: ExportError.self) { try export.proof(of: TestLog.id(2)) }
        #expect(throws: ExportError.self) { try export.proof(of: TestLog.id(3)) }
    }

    /// A changed entry must not be signed as if it were the one of the checkpoint.
    @Test("a changed entry is not exported")
    func changed() throws {
        let log = TestLog()
        try log.filled(300)
        try log.tamper("UPDATE audit_entries SET entry = x'7b7d' WHERE sequence = 5")
        let export = try LogExport(try opened(log))
        #expect(throws: ExportError.self) { try export.proof(of: TestLog.id(4)) }
        #expect(throws: ExportError.self) { try export.dsse(1...9, signedBy: log.key) { _ in } }
    }

    /// Lines are checked with any library that knows DSSE.
    @Test("a line is a DSSE envelope of the entry and its proof")
    func dsse() throws {
        let log = TestLog()
        try log.filled(300)
        var lines: [String] = []
        try LogExport(try opened(log)).dsse(299...1000, signedBy: log.key) { lines.append($0) }
        #expect(lines.count == 2)
        let envelope = try JSONTree(Array(lines[1].utf8))
        let payload = try #require(Base64.decode(Array(Self.text(envelope["payload"]).utf8)))
        guard case .list(let signatures) = envelope["signatures"] else {
            Issue.record("no signatures")
            return
        }
        let signature = try #require(Base64.decode(Array(Self.text(signatures[0]["sig"]).utf8)))
        let type = Self.text(envelope["payloadType"])
        let signed = Array("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ".utf8) + payload
        #expect(Ed25519.isValid(signature, of: signed, publicKey: log.key.verifier.publicKey))
        let content = try JSONTree(payload)
        #expect(Self.text(content["index"]) == "299")
        #expect(try EntryColumns(Array(Self.text(content["entry"]).utf8)).sequence == 300)
    }

    private static func text(_ tree: JSONTree) -> String {
        guard case .string(let text) = tree else { return "" }
        return text
    }

    /// Tools for transparency logs read these folders.
    @Test("tiles hold all hashes and entries of the checkpoint")
    func tiles() throws {
        let log = TestLog()
        try log.filled(600)
        var files: [String: [UInt8]] = [:]
        try LogExport(try opened(log)).tiles { files[$0] = $1 }
        #expect(
            Set(files.keys) == [
                "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000",
                "tile/entries/001", "tile/entries/002.p/88", "checkpoint",
            ])
        let bundle = try #require(files["tile/entries/002.p/88"])
        let length = Int(bundle[0]) << 8 | Int(bundle[1])
        let entry = Array(bundle[2..<2 + length])
        #expect(try EntryColumns(entry).sequence == 513)
        #expect(files["tile/0/002.p/88"].map { Array($0.prefix(32)) } == Hash256(of: 0, then: entry).bytes)
    }
}
