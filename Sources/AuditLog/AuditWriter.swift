internal import Hashing

/// Appends to one log: gives events their places, keeps the tree, and signs checkpoints. One thread, that of its store; blocks.
///
///     let writer = AuditWriter(store, origin: "audit.example/a", keys: [key], clock: clock)
///     try writer.open()
///     let results = try writer.append([[event], [other, another]])
///     _ = try writer.checkpoint()
///
/// After an error of `append` or `checkpoint` it is of no use until it was closed and opened again: whether the commit took
/// place is not known, and the store says.
package final class AuditWriter {
    /// What became of one group of events, all or none of which is in the log.
    package enum Result: Sendable, Equatable {
        /// They are in the log, durably: so many new ones, the others were there before.
        case committed(new: Int, known: Int)
        /// A record id is in the log with other content, or twice in the group with different contents; nothing was appended.
        case conflict(RecordID, sequence: UInt64?)
    }

    private let store: any AuditStore
    private let origin: String
    private let keys: [SigningKey]
    private let clock: () -> UInt64

    private var tree = MerkleTree()
    private var previous = AuditRow.firstPreviousHash
    private var recorded: UInt64 = 0
    /// Entries that the last checkpoint covers; nil for no checkpoint.
    private var covered: UInt64?

    /// - Parameters:
    ///   - origin: the log's name.
    ///   - keys: all sign; at least one.
    ///   - clock: nanoseconds of Unix time; may go back, `recorded` does not.
    package init(
        _ store: any AuditStore, origin: String, keys: [SigningKey], clock: @escaping () -> UInt64
    ) {
        precondition(!keys.isEmpty, "a log has a key")
        self.store = store
        self.origin = origin
        self.keys = keys
        self.clock = clock
    }

    /// Whether the first key has not signed the last checkpoint that was there when it was opened.
    package private(set) var isKeyNew = false
    /// Whether the checkpoint that it was opened after was of no use: no signed one of this log's name and of these keys.
    package private(set) var isKeptForeign = false

    /// Entries in the log.
    package var size: UInt64 { tree.size }
    /// Entries that no checkpoint covers.
    package var uncovered: UInt64 { tree.size - (covered ?? 0) }

    /// A checkpoint that is kept elsewhere than in the store.
    package struct KeptCheckpoint: Sendable {
        let note: String
        /// Where, for messages.
        let place: String

        package init(note: String, place: String) {
            (self.note, self.place) = (note, place)
        }
    }

    /// Opens the store, and checks that its end is what the last checkpoint says.
    /// - Parameter kept: what the log must agree with, too, if one of the keys signed it under the log's name.
    /// - Throws: also `damaged` for a log that was cut, rolled back or changed before its last checkpoint.
    package func open(after kept: KeptCheckpoint? = nil) throws(AuditStoreError) {
        try store.open(.writing(origin: origin))
        do throws(AuditStoreError) {
            try load(kept)
            // Of a new log: that a log has none at all shows that they were removed.
            if covered == nil { _ = try checkpoint() }
        } catch {
            store.close()
            throw error
        }
    }

    /// Without it a store that was put back to an older state would be written on, and the log would have two histories.
    private func check(_ kept: KeptCheckpoint, _ reader: MerkleReader) throws(AuditStoreError) {
        guard let note = SignedNote(note: kept.note), let checkpoint = Checkpoint(text: note.text),
            checkpoint.origin == origin, keys.contains(where: { note.isSigned(by: $0.verifier) })
        else {
            isKeptForeign = true
            return
        }
        let isShort = checkpoint.size > tree.size
        if !isShort, try reader.root(size: checkpoint.size) == checkpoint.root { return }
        throw AuditStoreError(
            .damaged,
            "the log is not the one that the checkpoint in \(kept.place) was made of: "
                + (isShort
                    ? "that has \(checkpoint.size) entries and the store \(tree.size), it was rolled back or is another one"
                    : "one of its first \(checkpoint.size) entries is another one")
                + "; run sluice audit verify --checkpoint \(kept.place); to go on with this store all the same, move that "
                + "file away")
    }

    private func load(_ kept: KeptCheckpoint?) throws(AuditStoreError) {
        let tail = try store.tail()
        let reader = try MerkleReader(store)
        tree = reader.tree
        if let kept { try check(kept, reader) }
        previous = tail.last?.entryHash ?? AuditRow.firstPreviousHash
        recorded = 0
        if let last = tail.last {
            do throws(EntryError) {
                let columns = try EntryColumns(last.entry)
                recorded = columns.recorded
                guard columns.sequence == last.sequence else {
                    throw EntryError(description: "has another sequence")
                }
            } catch {
                throw AuditStoreError(
                    .damaged, "entry \(last.sequence), the last one, \(error); run sluice audit verify")
            }
        }
        covered = nil
        guard let kept = tail.checkpoint else {
            guard tree.size == 0 else {
                throw AuditStoreError(
                    .damaged,
                    "the log has \(tree.size) entries and no checkpoint, not even that of its creation: they were removed; "
                        + "run sluice audit verify")
            }
            return
        }
        guard let note = SignedNote(note: kept.note), let checkpoint = Checkpoint(text: note.text),
            checkpoint.origin == origin
        else {
            throw AuditStoreError(
                .damaged, "the last checkpoint is none of \"\(origin)\"; run sluice audit verify")
        }
        guard keys.contains(where: { note.isSigned(by: $0.verifier) }) else {
            throw AuditStoreError(
                .refused,
                "the last checkpoint of \"\(origin)\" was signed by another key; to change keys, name the old one in "
                    + "previous_key_file until the first checkpoint of the new one, or begin a log of another origin"
            )
        }
        guard checkpoint.size <= tree.size else {
            throw AuditStoreError(
                .damaged,
                "the log has \(tree.size) entries and its last checkpoint says \(checkpoint.size): entries were removed, or "
                    + "the store was rolled back; run sluice audit verify")
        }
        guard try reader.root(size: checkpoint.size) == checkpoint.root else {
            throw AuditStoreError(
                .damaged,
                "the first \(checkpoint.size) entries are not those that the last checkpoint was made of; run sluice audit "
                    + "verify")
        }
        covered = checkpoint.size
        isKeyNew = !note.isSigned(by: keys[0].verifier)
    }

    /// Closes the store.
    package func close() { store.close() }

    /// Appends groups of events in one transaction; in the order in which they come, each group whole or not at all.
    package func append(_ groups: [[AuditEvent]]) throws(AuditStoreError) -> [Result] {
        var known = try known(groups)
        let size = tree.size
        if let (id, record) = known.first(where: { $0.value.sequence > size }) {
            throw AuditStoreError(
                .damaged,
                "audit.record.id \(id) is said to be entry \(record.sequence), and the log has \(size): somebody else "
                    + "wrote into the store; nothing is acknowledged until that is gone")
        }
        var (tree, previous) = (tree, previous)
        let recorded = max(recorded, clock())
        var rows: [AuditRow] = []
        var tiles: [HashTile] = []
        var results: [Result] = []
        for group in groups {
            if let conflict = Self.conflict(in: group, known) {
                results.append(conflict)
                continue
            }
            var new = 0
            for event in group where known[event.recordID] == nil {
                let row = AuditRow(
                    event, sequence: tree.size + 1, previous: previous, recorded: recorded)
                known[event.recordID] = KnownRecord(
                    sequence: row.sequence, contentHash: row.contentHash)
                tree.append(row.leafHash, &tiles)
                previous = row.entryHash
                rows.append(row)
                new += 1
            }
            results.append(.committed(new: new, known: group.count - new))
        }
        guard !rows.isEmpty else { return results }
        try store.append(rows, tiles)
        (self.tree, self.previous, self.recorded) = (tree, previous, recorded)
        return results
    }

    private func known(_ groups: [[AuditEvent]]) throws(AuditStoreError) -> [RecordID: KnownRecord] {
        let ids = groups.flatMap { $0.map(\.recordID) }
        var known: [RecordID: KnownRecord] = [:]
        for start in stride(from: 0, to: ids.count, by: 1000) {
            let found = try store.known(Array(ids[start..<min(start + 1000, ids.count)]))
            known.merge(found) { one, _ in one }
        }
        return known
    }

    private static func conflict(in group: [AuditEvent], _ known: [RecordID: KnownRecord]) -> Result? {
        var own: [RecordID: Hash256] = [:]
        for event in group {
            if let record = known[event.recordID], record.contentHash != event.contentHash {
                return .conflict(event.recordID, sequence: record.sequence)
            }
            if let other = own.updateValue(event.contentHash, forKey: event.recordID),
                other != event.contentHash
            {
                return .conflict(event.recordID, sequence: nil)
            }
        }
        return nil
    }

    /// Signs and keeps a checkpoint of all entries; nil when the last one covers them all.
    package func checkpoint() throws(AuditStoreError) -> StoredCheckpoint? {
        guard covered != tree.size else { return nil }
        let checkpoint = Checkpoint(origin: origin, size: tree.size, root: tree.root)
        let stored = StoredCheckpoint(
            size: tree.size, time: clock(), note: SignedNote(checkpoint.text, signedBy: keys).note)
        try store.append(stored)
        covered = tree.size
        return stored
    }
}
