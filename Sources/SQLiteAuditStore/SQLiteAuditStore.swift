package import AuditLog
internal import Glibc
internal import Hashing

/// An audit log in an SQLite database: one file, its write-ahead log, and a lock file beside it. See `AuditStore` for threads.
package final class SQLiteAuditStore: AuditStore {
    private let path: String
    private var lock: LockFile?
    private var open: Open?

    /// What there is while it is open.
    private struct Open {
        let database: Database
        let known: Statement
        let rows: Statement
        let tiles: Statement
        let checkpoints: Statement
        /// For writers.
        let insertRow: Statement?
        let insertTile: Statement?
        let insertCheckpoint: Statement?
    }

    /// - Parameter path: of the database; `PATH-wal`, `PATH-shm` and `PATH.lock` come beside it.
    package init(path: String) {
        self.path = path
    }

    package func open(_ access: AuditAccess) throws(AuditStoreError) {
        close()
        switch access {
        case .writing(let origin):
            let lock = try LockFile(path)
            let database = try Database(path, isWritable: true)
            try database.run(Schema.settings)
            try database.run(Schema.tables)
            try Self.claim(database, origin, path)
            open = try Self.prepare(database, isWritable: true)
            self.lock = lock
        case .reading, .detaching:
            // SAFETY: the path is a C string for the call.
            guard unsafe Glibc.access(path, F_OK) == 0 else {
                throw AuditStoreError(.refused, "there is no audit log \"\(path)\"")
            }
            let database = try Database(path, isWritable: access == .detaching)
            if access == .detaching {
                try database.run(Schema.settings)
                try database.run(Schema.tables)
            }
            open = try Self.prepare(database, isWritable: false)
        }
    }

    package func close() {
        // The database first: the lock is given back when nothing is written any more.
        open = nil
        lock = nil
    }

    /// Writes the log's name into a new one, and compares it in an old one.
    private static func claim(_ database: Database, _ origin: String, _ path: String) throws(AuditStoreError)
    {
        let select = try database.prepare("SELECT origin, format FROM audit_log")
        guard try select.step() else {
            let insert = try database.prepare("INSERT INTO audit_log (one, origin, format) VALUES (1, ?, ?)")
            try insert.bind(1, origin)
            try insert.bind(2, Schema.format)
            return try insert.run()
        }
        let (found, format) = (select.text(0), select.text(1))
        select.reset()
        guard format == Schema.format else {
            throw AuditStoreError(
                .damaged,
                "the audit log \"\(path)\" has the format \"\(format)\", this version writes \"\(Schema.format)\""
            )
        }
        guard found == origin else {
            throw AuditStoreError(
                .refused,
                "the audit log \"\(path)\" is that of \"\(found)\", not of \"\(origin)\"; give each log a file of its own"
            )
        }
    }

    private static func prepare(_ database: Database, isWritable: Bool) throws(AuditStoreError) -> Open {
        func writing(_ sql: String) throws(AuditStoreError) -> Statement? {
            isWritable ? try database.prepare(sql) : nil
        }
        return Open(
            database: database,
            known: try database.prepare(
                "SELECT sequence, content_hash FROM audit_entries WHERE record_id = ?1"
                    + (try hasTable(database, "audit_ids")
                        ? " UNION ALL SELECT sequence, content_hash FROM audit_ids WHERE record_id = ?1" : "")
            ),
            rows: try database.prepare(
                "SELECT sequence, record_id, content_hash, recorded, entry FROM audit_entries WHERE sequence >= ? "
                    + "ORDER BY sequence LIMIT ?"),
            tiles: try database.prepare(
                "SELECT level, tile, hashes FROM audit_tiles WHERE level = ? AND tile >= ? ORDER BY tile LIMIT ?"
            ),
            checkpoints: try database.prepare(
                "SELECT size, time, note FROM audit_checkpoints WHERE size >= ? ORDER BY size, id LIMIT ?"),
            insertRow: try writing(
                "INSERT INTO audit_entries (sequence, record_id, content_hash, recorded, entry) "
                    + "VALUES (?, ?, ?, ?, ?)"),
            insertTile: try writing("INSERT INTO audit_tiles (level, tile, hashes) VALUES (?, ?, ?)"),
            insertCheckpoint: try writing(
                "INSERT INTO audit_checkpoints (size, time, note) VALUES (?, ?, ?)"))
    }

    func database() throws(AuditStoreError) -> Database { try opened().database }

    private func opened() throws(AuditStoreError) -> Open {
        guard let open else { throw AuditStoreError(.unavailable, "the audit log \"\(path)\" is not open") }
        return open
    }

    // MARK: - Appending

    package func append(_ rows: [AuditRow], _ tiles: [HashTile]) throws(AuditStoreError) {
        let open = try opened()
        guard let insertRow = open.insertRow, let insertTile = open.insertTile else { throw readOnly() }
        try transaction(open.database) { () throws(AuditStoreError) in
            for row in rows {
                try insertRow.bind(1, row.sequence)
                try insertRow.bind(2, row.recordID.bytes)
                try insertRow.bind(3, row.contentHash.bytes)
                try insertRow.bind(4, row.recorded)
                try insertRow.bind(5, row.entry)
                try insertRow.run()
            }
            for tile in tiles {
                try insertTile.bind(1, UInt64(tile.level))
                try insertTile.bind(2, tile.index)
                try insertTile.bind(3, tile.hashes)
                try insertTile.run()
            }
        }
    }

    package func append(_ checkpoint: StoredCheckpoint) throws(AuditStoreError) {
        guard let insert = try opened().insertCheckpoint else { throw readOnly() }
        try insert.bind(1, checkpoint.size)
        try insert.bind(2, checkpoint.time)
        try insert.bind(3, checkpoint.note)
        try insert.run()
    }

    private func readOnly() -> AuditStoreError {
        AuditStoreError(.refused, "the audit log \"\(path)\" is open for reading only")
    }

    func transaction(
        _ database: Database, _ body: () throws(AuditStoreError) -> Void
    ) throws(AuditStoreError) {
        try database.run("BEGIN IMMEDIATE")
        do throws(AuditStoreError) {
            try body()
            try database.run("COMMIT")
        } catch {
            database.rollBack()
            throw error
        }
    }

    // MARK: - Reading

    package func tail() throws(AuditStoreError) -> AuditTail {
        let database = try opened().database
        let log = try database.prepare("SELECT origin FROM audit_log")
        let origin = try log.step() ? log.text(0) : nil
        // Each by itself: SQLite would read the whole table for both together.
        let first = try database.prepare(
            "SELECT (SELECT min(sequence) FROM audit_entries), (SELECT max(sequence) FROM audit_entries)")
        _ = try first.step()
        let (firstSequence, lastSequence) = (first.number(0), first.number(1))
        first.reset()
        let last = try rows(from: max(lastSequence, 1), limit: 1).first
        let checkpoint = try database.prepare(
            "SELECT size, time, note FROM audit_checkpoints ORDER BY size DESC, id DESC LIMIT 1")
        let found = try checkpoint.step()
        return AuditTail(
            origin: origin, firstSequence: firstSequence, last: last,
            checkpoint: found ? Self.checkpoint(checkpoint) : nil)
    }

    package func known(_ ids: [RecordID]) throws(AuditStoreError) -> [RecordID: KnownRecord] {
        let statement = try opened().known
        var known: [RecordID: KnownRecord] = [:]
        for id in ids {
            try statement.bind(1, id.bytes)
            guard try statement.step() else { continue }
            let hash = statement.hash(1)
            known[id] = hash.map { KnownRecord(sequence: statement.number(0), contentHash: $0) }
            statement.reset()
            guard hash != nil else { throw damaged("the content hash of record \(id)") }
        }
        return known
    }

    package func rows(from sequence: UInt64, limit: Int) throws(AuditStoreError) -> [AuditRow] {
        var rows: [AuditRow] = []
        try forEachRow(from: sequence, limit: limit) { statement, sequence, id, hash in
            rows.append(
                AuditRow(
                    sequence: sequence, recordID: id, contentHash: hash, recorded: statement.number(3),
                    entry: statement.bytes(4)))
        }
        return rows
    }

    package var another: @Sendable () -> any AuditStore { { [path] in SQLiteAuditStore(path: path) } }

    package func read(
        _ sequences: ClosedRange<UInt64>, _ page: inout RowPage, _ take: (RowPage) -> Void
    ) throws(AuditStoreError) {
        page.removeAll()
        try forEachRow(from: sequences.lowerBound, limit: sequences.count) { statement, sequence, id, hash in
            // Where some are missing those behind the last one are read, too.
            guard sequence <= sequences.upperBound else { return }
            let recorded = statement.number(3)
            let entry = unsafe statement.borrowed(4) { unsafe page.append($0) } ?? 0..<0
            page.append(
                RowPage.Row(
                    sequence: sequence, recordID: id, contentHash: hash, recorded: recorded, entry: entry,
                    copies: 0..<0))
            if page.isFull {
                take(page)
                page.removeAll()
            }
        }
        if !page.rows.isEmpty { take(page) }
        page.removeAll()
    }

    private func forEachRow(
        from sequence: UInt64, limit: Int, _ body: (Statement, UInt64, RecordID, Hash256) -> Void
    ) throws(AuditStoreError) {
        let statement = try opened().rows
        try statement.bind(1, sequence)
        try statement.bind(2, UInt64(limit))
        while try statement.step() {
            let sequence = statement.number(0)
            guard let id = statement.recordID(1), let hash = statement.hash(2) else {
                statement.reset()
                throw damaged("the record id or content hash of entry \(sequence)")
            }
            body(statement, sequence, id, hash)
        }
    }

    package func tiles(level: Int, from index: UInt64, limit: Int) throws(AuditStoreError) -> [HashTile] {
        let statement = try opened().tiles
        try statement.bind(1, UInt64(level))
        try statement.bind(2, index)
        try statement.bind(3, UInt64(limit))
        var tiles: [HashTile] = []
        while try statement.step() {
            let (index, hashes) = (statement.number(1), statement.bytes(2))
            guard hashes.count == HashTile.bytes else {
                statement.reset()
                throw damaged("the length of tile \(index) of level \(level)")
            }
            tiles.append(HashTile(level: level, index: index, hashes: hashes))
        }
        return tiles
    }

    package func checkpoints(
        fromSize size: UInt64, limit: Int
    ) throws(AuditStoreError) -> [StoredCheckpoint] {
        let statement = try opened().checkpoints
        try statement.bind(1, size)
        try statement.bind(2, UInt64(limit))
        var checkpoints: [StoredCheckpoint] = []
        while try statement.step() { checkpoints.append(Self.checkpoint(statement)) }
        return checkpoints
    }

    private static func checkpoint(_ row: Statement) -> StoredCheckpoint {
        StoredCheckpoint(size: row.number(0), time: row.number(1), note: row.text(2))
    }

    private func damaged(_ what: String) -> AuditStoreError {
        AuditStoreError(
            .damaged,
            "\(what) in the audit log \"\(path)\" was changed: it has not the form that it is written in")
    }
}
