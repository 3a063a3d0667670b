internal import Hashing
internal import OTLP

/// Why something cannot be exported, as a sentence.
package struct ExportError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// What leaves a log for others to check: proofs and files of the state that its last checkpoint covers. Thread of the store; blocks.
package final class LogExport {
    let store: any AuditStore
    private let reader: MerkleReader
    private let root: Hash256
    /// The log's name.
    let origin: String
    /// The first entry that is there.
    let first: UInt64
    /// Entries of the log, those that no checkpoint covers included.
    var size: UInt64 { reader.tree.size }
    /// The checkpoint that everything is proven against.
    package let checkpoint: StoredCheckpoint

    /// - Parameter store: open for reading.
    /// - Throws: there is no checkpoint, or the store cannot be read.
    package init(_ store: any AuditStore) throws {
        let tail = try store.tail()
        guard let checkpoint = tail.checkpoint else {
            throw ExportError(
                description: "the log has no checkpoint yet; its gateway makes one every checkpoint_interval")
        }
        self.store = store
        self.checkpoint = checkpoint
        origin = tail.origin ?? ""
        first = max(1, tail.firstSequence)
        reader = try MerkleReader(store)
        root = checkpoint.size <= reader.tree.size ? try reader.root(size: checkpoint.size) : Hash256(of: [])
        guard let note = SignedNote(note: checkpoint.note), let said = Checkpoint(text: note.text),
            said.size == checkpoint.size, said.size <= reader.tree.size,
            root == said.root
        else {
            throw ExportError(
                description:
                    "the log is not the one that its last checkpoint was made of; run sluice audit verify")
        }
    }

    // MARK: - Proofs

    /// The proof that a record is in the log (C2SP tlog-proof), with its entry as extra data.
    package func proof(of id: RecordID) throws -> String {
        guard let record = try store.known([id])[id] else {
            throw ExportError(description: "record \(id) is not in the log")
        }
        guard record.sequence <= checkpoint.size else {
            throw ExportError(
                description:
                    "record \(id) is entry \(record.sequence), and the last checkpoint covers \(checkpoint.size); "
                    + "try again after the next one")
        }
        let row = try row(record.sequence)
        let hashes = try proof(row).map { $0 + "\n" }.joined()
        return
            "c2sp.org/tlog-proof@v1\nextra \(Base64.text(row.entry))\nindex \(row.sequence - 1)\n\(hashes)\n"
            + checkpoint.note
    }

    /// The root of the first entries.
    func root(size: UInt64) throws -> Hash256 { try reader.root(size: size) }

    func row(_ sequence: UInt64) throws -> AuditRow {
        guard sequence >= first else {
            throw ExportError(
                description:
                    "entry \(sequence) was detached; it and its proof are in the files that were written then"
            )
        }
        guard let row = try store.rows(from: sequence, limit: 1).first, row.sequence == sequence else {
            throw ExportError(description: "entry \(sequence) is missing; run sluice audit verify")
        }
        return row
    }

    /// The hashes of a row's inclusion proof in base 64.
    private func proof(_ row: AuditRow) throws -> [String] {
        let hashes = try reader.inclusion(of: row.sequence - 1, size: checkpoint.size)
        guard
            MerkleProof.root(
                leaf: row.leafHash, index: row.sequence - 1, size: checkpoint.size, proof: hashes) == root
        else {
            throw ExportError(
                description:
                    "entry \(row.sequence) is not the one that the checkpoint was made of; run sluice audit verify"
            )
        }
        return hashes.map { Base64.text($0.bytes) }
    }

    // MARK: - DSSE

    /// The type of the payload of an exported line.
    package static let payloadType = "application/vnd.sluice.audit.proof+json"

    /// Entries as lines: each a DSSE envelope around the entry, its proof and the checkpoint.
    /// - Parameters:
    ///   - sequences: the first and the last, as far as the checkpoint covers them.
    ///   - line: gets each line, without its end.
    package func dsse(
        _ sequences: ClosedRange<UInt64>, signedBy key: SigningKey, line: (String) throws -> Void
    ) throws {
        var next = sequences.lowerBound > 1 ? sequences.lowerBound : first
        // Says that it was detached.
        if next < first { _ = try row(next) }
        let last = min(sequences.upperBound, checkpoint.size)
        while next <= last {
            let rows = try store.rows(from: next, limit: Int(min(500, last - next + 1)))
            guard !rows.isEmpty else { throw Self.missing(next) }
            for row in rows {
                guard row.sequence == next else { throw Self.missing(next) }
                try line(envelope(row, key))
                next += 1
            }
        }
    }

    private func envelope(_ row: AuditRow, _ key: SigningKey) throws -> String {
        var proof = CanonicalJSON()
        proof.append("[")
        for (index, hash) in try self.proof(row).enumerated() {
            if index > 0 { proof.append(",") }
            proof.append(string: hash)
        }
        proof.append("]")
        var payload = CanonicalJSON()
        payload.append(object: [
            (Array("checkpoint".utf8), Self.string(checkpoint.note)),
            (Array("entry".utf8), Self.string(String(decoding: row.entry, as: UTF8.self))),
            (Array("index".utf8), Self.string("\(row.sequence - 1)")), (Array("proof".utf8), proof.bytes),
        ])
        // The pre-authentication encoding of DSSE version 1.
        let signed =
            Array("DSSEv1 \(Self.payloadType.utf8.count) \(Self.payloadType) \(payload.bytes.count) ".utf8)
            + payload.bytes
        return "{\"payload\":\"\(Base64.text(payload.bytes))\",\"payloadType\":\"\(Self.payloadType)\","
            + "\"signatures\":[{\"keyid\":\"\(key.verifier.text)\",\"sig\":\"\(Base64.text(key.sign(signed)))\"}]}"
    }

    private static func missing(_ sequence: UInt64) -> ExportError {
        ExportError(description: "entry \(sequence) is missing; run sluice audit verify")
    }

    private static func string(_ text: String) -> [UInt8] {
        var json = CanonicalJSON()
        json.append(string: text)
        return json.bytes
    }

    // MARK: - Tiles

    /// The log as files (C2SP tlog-tiles): tiles, bundles of entries, and the checkpoint last. Bundles whose entries were detached are
    /// left out.
    /// - Parameters:
    ///   - last: the last entry that must be in a bundle; nil for all.
    ///   - file: gets each file's path below the folder, and its bytes.
    package func tiles(
        through last: UInt64? = nil, file: (_ path: String, _ bytes: [UInt8]) throws -> Void
    ) throws {
        var level = 0
        var count = checkpoint.size
        while count > 0 {
            for index in 0..<(count + 255) / 256 {
                let width = min(256, count - index * 256)
                let hashes = try reader.tile(level: level, index: index, width: Int(width))
                let path = "tile/\(level)/\(Self.path(index))\(width < 256 ? ".p/\(width)" : "")"
                try file(path, hashes.flatMap(\.bytes))
            }
            level += 1
            count /= 256
        }
        let bundles = (min(last ?? checkpoint.size, checkpoint.size) + 255) / 256
        for index in min((first + 254) / 256, bundles)..<bundles {
            let width = min(256, checkpoint.size - index * 256)
            let rows = try store.rows(from: index * 256 + 1, limit: Int(width))
            let hashes = try reader.tile(level: 0, index: index, width: Int(width))
            for (place, hash) in hashes.enumerated() {
                let sequence = index * 256 + UInt64(place) + 1
                guard place < rows.count, rows[place].sequence == sequence else {
                    throw Self.missing(sequence)
                }
                guard rows[place].leafHash == hash else {
                    throw ExportError(
                        description:
                            "entry \(sequence) is not what its tile was made of; run sluice audit verify")
                }
            }
            let bundle = rows.flatMap {
                [UInt8($0.entry.count >> 8), UInt8($0.entry.count & 255)] + $0.entry
            }
            try file("tile/entries/\(Self.path(index))\(width < 256 ? ".p/\(width)" : "")", bundle)
        }
        try file("checkpoint", Array(checkpoint.note.utf8))
    }

    /// An index in groups of three digits, all but the last behind an x: `x001/x234/067`.
    private static func path(_ index: UInt64) -> String {
        var groups: [String] = []
        var rest = index
        repeat {
            let digits = "\(rest % 1000)"
            groups.append(String(repeating: "0", count: 3 - digits.count) + digits)
            rest /= 1000
        } while rest > 0
        return groups.reversed().enumerated()
            .map { $0.offset < groups.count - 1 ? "x\($0.element)" : $0.element }
            .joined(separator: "/")
    }
}
