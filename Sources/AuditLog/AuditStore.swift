package import Hashing

/// Why a store could not do what it was asked to.
package struct AuditStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What the writer does about it.
    package enum Kind: Sendable {
        /// The disk is full, the database is away, a commit failed or its end is unknown: clients are asked to try again, the store
        /// is closed and opened anew.
        case unavailable
        /// Another writer has the log. Not a reason to try again by itself.
        case locked
        /// What is kept is not what this version writes, or contradicts itself. An operator must look.
        case damaged
        /// The configuration is wrong: a path, a role without rights.
        case refused
    }

    package let kind: Kind
    /// A sentence that names the path or database, what happened, and what to do.
    package let description: String

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

/// Where an audit log is kept: rows, full tiles of the tree's hashes, and checkpoints; nothing of it ever changes.
///
/// Every call blocks until it is done. One thread at a time, which opens, uses and closes it: `AuditWriter` has one of its
/// own for it, commands use theirs. After an error of kind `unavailable` nothing but `close` is called.
///
/// What was committed is durable: it survives the end of the process, of the system and of the machine's power.
package protocol AuditStore: AnyObject {
    /// Connects; as a writer it also makes the tables where there are none, and takes the lock that keeps a second writer of
    /// this log out until `close` or the end of the process.
    ///
    /// - Throws: `locked` when another writer has it, `damaged` when a table has another form or belongs to another origin.
    func open(_ access: AuditAccess) throws(AuditStoreError)

    /// Gives back the lock and everything else. No error: what was committed is kept, what was not is not. Again: nothing.
    func close()

    /// Where the log ends.
    func tail() throws(AuditStoreError) -> AuditTail

    /// Appends rows, and the tiles that they complete, in one transaction; when it returns they are durable, and when it throws
    /// none of them is, or (`unavailable`) that is not known.
    ///
    /// - Precondition: the first row's sequence is one more than the tail's, the others follow without gaps.
    /// - Throws: `damaged` when a sequence, a record id or a tile is there already.
    func append(_ rows: [AuditRow], _ tiles: [HashTile]) throws(AuditStoreError)

    /// Appends a checkpoint, durably.
    func append(_ checkpoint: StoredCheckpoint) throws(AuditStoreError)

    /// Those of the record ids that are in the log, with their sequence and content; at most 1 000 ids a call.
    func known(_ ids: [RecordID]) throws(AuditStoreError) -> [RecordID: KnownRecord]

    /// Rows by sequence, from one on, at most `limit` (≥ 1); fewer only where the log ends. Rows that were detached are skipped.
    func rows(from sequence: UInt64, limit: Int) throws(AuditStoreError) -> [AuditRow]

    /// Full tiles of a level by index, from one on, at most `limit`.
    func tiles(level: Int, from index: UInt64, limit: Int) throws(AuditStoreError) -> [HashTile]

    /// The statements of what was taken out, by their last entry.
    func detachments() throws(AuditStoreError) -> [StoredDetachment]

    /// Keeps the statement and takes the first entries out, up to its last one; their ids stay known. What was begun and not ended
    /// goes on when it is called again. Open for `detaching`.
    /// - Parameter month: the one in which the last one was recorded, or a later one whose end is before all others.
    func detach(_ detachment: StoredDetachment, through month: AuditMonth) throws(AuditStoreError)

    /// Reads those of the rows that are there, by sequence, page by page, each until it `isFull`.
    /// - Parameters:
    ///   - page: emptied before and after.
    ///   - take: gets each page that is not empty.
    func read(
        _ sequences: ClosedRange<UInt64>, _ page: inout RowPage, _ take: (RowPage) -> Void
    ) throws(AuditStoreError)

    /// Makes another one of the same log, which is not open, on any thread.
    var another: @Sendable () -> any AuditStore { get }

    /// How the copies in pages are compared with their entries; nil for a store that keeps none.
    var copiedColumns: (any CopiedColumns)? { get }

    /// What a store has that belongs to no entry: rows with numbers below 1, tiles and ids of entries that are not there.
    func strays() throws(AuditStoreError) -> [AuditFinding]

    /// Checkpoints of at least a size, by size and then in the order in which they were appended, at most `limit`.
    func checkpoints(fromSize size: UInt64, limit: Int) throws(AuditStoreError) -> [StoredCheckpoint]
}

/// What a store is opened for.
package enum AuditAccess: Sendable, Equatable {
    /// Appending, as the only one. The log's name, as in its checkpoints; kept at first, compared later.
    case writing(origin: String)
    /// Reading, beside a writer or without one. Changes nothing.
    case reading
    /// Reading, and taking months out, beside a writer or without one.
    case detaching
}

/// Where a log ends.
package struct AuditTail: Sendable, Equatable {
    /// The log's name; nil where there is no log yet.
    package let origin: String?
    /// The sequence of the first row that is still there; 1 unless months were detached; 0 for no row.
    package let firstSequence: UInt64
    /// The last row; nil for none.
    package let last: AuditRow?
    /// The checkpoint that was appended last.
    package let checkpoint: StoredCheckpoint?

    package init(origin: String?, firstSequence: UInt64, last: AuditRow?, checkpoint: StoredCheckpoint?) {
        self.origin = origin
        self.firstSequence = firstSequence
        self.last = last
        self.checkpoint = checkpoint
    }

    /// Entries in the log, those of detached months included: the size of its tree.
    package var size: UInt64 { last?.sequence ?? 0 }
}

/// A record that is in the log already.
package struct KnownRecord: Sendable, Equatable {
    package let sequence: UInt64
    package let contentHash: Hash256

    package init(sequence: UInt64, contentHash: Hash256) {
        self.sequence = sequence
        self.contentHash = contentHash
    }
}

/// 256 neighbouring hashes of one level of the tree, as in C2SP tlog-tiles: of level 0 the leaves', of level n + 1 the roots of
/// 256 full tiles of level n. Only full ones are kept; what is left of a level follows from the rows.
package struct HashTile: Sendable, Equatable {
    package let level: Int
    package let index: UInt64
    /// 8 192 bytes.
    package let hashes: [UInt8]

    /// Hashes of a full tile.
    package static let width = 256
    /// Bytes of a full tile.
    package static let bytes = width * Hash256.count

    package init(level: Int, index: UInt64, hashes: [UInt8]) {
        precondition(hashes.count == Self.bytes, "a kept tile is full")
        self.level = level
        self.index = index
        self.hashes = hashes
    }
}

/// A signed checkpoint as it is kept.
package struct StoredCheckpoint: Sendable, Equatable {
    /// Entries that it covers.
    package let size: UInt64
    /// When it was made, in nanoseconds of Unix time; not signed.
    package let time: UInt64
    /// The signed note (C2SP tlog-checkpoint), whole.
    package let note: String

    package init(size: UInt64, time: UInt64, note: String) {
        self.size = size
        self.time = time
        self.note = note
    }
}

extension AuditStore {
    /// Opens the same log once more, for reading, for another thread.
    var opener: @Sendable () throws(AuditStoreError) -> any AuditStore {
        let another = another
        return { () throws(AuditStoreError) in
            let store = another()
            try store.open(.reading)
            return store
        }
    }
}
