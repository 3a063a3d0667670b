package import AuditLog
internal import Hashing

/// An audit log in a PostgreSQL database, whose tables `AuditSchema` makes. See `AuditStore` for threads.
package final class PostgreSQLAuditStore: AuditStore {
    let conninfo: String
    private var connection: Connection?
    private var isWriter = false
    /// The day, in days of Unix time, for which partitions were made.
    private var partitionsDay: UInt64?

    /// - Parameter conninfo: libpq's connection string or URI.
    package init(conninfo: String) {
        self.conninfo = conninfo
    }

    package func open(_ access: AuditAccess) throws(AuditStoreError) {
        close()
        let connection = try Connection(conninfo)
        try connection.run("SET search_path = sluice_audit, pg_temp")
        switch access {
        case .writing(let origin): try Session.prepareWriter(connection, origin)
        case .reading: try Session.prepareReader(connection)
        case .detaching: try Session.prepareOwner(connection)
        }
        if case .writing = access { isWriter = true }
        self.connection = connection
    }

    package func close() {
        // The server gives back the lock with the connection.
        connection = nil
        isWriter = false
        partitionsDay = nil
    }

    func opened() throws(AuditStoreError) -> Connection {
        guard let connection else {
            throw AuditStoreError(.unavailable, "the audit log in PostgreSQL is not open")
        }
        return connection
    }

    private func writing() throws(AuditStoreError) -> Connection {
        let connection = try opened()
        guard isWriter else {
            throw AuditStoreError(.refused, "the audit log in PostgreSQL is open for reading only")
        }
        return connection
    }

    // MARK: - Appending

    package func append(_ rows: [AuditRow], _ tiles: [HashTile]) throws(AuditStoreError) {
        let connection = try writing()
        for row in rows { try makePartitions(connection, row.recorded) }
        let (entries, ids) = try (RowCopy.entries(rows), RowCopy.ids(rows))
        try connection.run("BEGIN")
        do throws(AuditStoreError) {
            try connection.copy(RowCopy.entriesCommand, entries)
            try connection.copy(RowCopy.idsCommand, ids)
            if !tiles.isEmpty { try connection.copy(RowCopy.tilesCommand, try RowCopy.tiles(tiles)) }
            try commit(connection)
        } catch {
            // Without a connection the server does it by itself; with one it is of use again.
            _ = try? connection.run("ROLLBACK")
            throw error
        }
    }

    /// A transaction that failed before answers COMMIT with a rollback, which is no error for the server.
    func commit(_ connection: Connection) throws(AuditStoreError) {
        let tag = try connection.run("COMMIT").tag
        guard tag == "COMMIT" else {
            throw AuditStoreError(.unavailable, "the audit log in PostgreSQL: COMMIT ended in \(tag)")
        }
    }

    /// Makes the months that are written next, once a day.
    private func makePartitions(_ connection: Connection, _ recorded: UInt64) throws(AuditStoreError) {
        let day = recorded / 86_400_000_000_000
        guard day != partitionsDay else { return }
        try connection.run(
            "SELECT audit_make_partitions($1::timestamptz, 3)",
            [BinaryForm.bytes(BinaryForm.time(recorded))])
        partitionsDay = day
    }

    package func append(_ checkpoint: StoredCheckpoint) throws(AuditStoreError) {
        try writing().run(
            "INSERT INTO audit_checkpoints (size, \"time\", note) VALUES ($1::bigint, $2::bigint, $3::text)",
            [
                BinaryForm.bytes(try CopyData.signed(checkpoint.size, as: "size")),
                BinaryForm.bytes(try CopyData.signed(checkpoint.time, as: "time")),
                Array(checkpoint.note.utf8),
            ])
    }

    // MARK: - Reading

    package func tail() throws(AuditStoreError) -> AuditTail {
        let connection = try opened()
        let log = try connection.run("SELECT origin FROM audit_log")
        let ends = try connection.run("SELECT min(sequence), max(sequence) FROM audit_entries")
        let lastSequence = ends.number(0, 1)
        let checkpoint = try connection.run(
            "SELECT size, \"time\", note FROM audit_checkpoints ORDER BY size DESC, id DESC LIMIT 1")
        return AuditTail(
            origin: log.rows.isEmpty ? nil : log.text(0, 0),
            firstSequence: ends.number(0, 0) ?? 0,
            last: try lastSequence.map { sequence throws(AuditStoreError) in
                try rows(from: sequence, limit: 1).first
            } ?? nil,
            checkpoint: checkpoint.rows.isEmpty ? nil : Self.checkpoint(checkpoint, 0))
    }

    package func known(_ ids: [RecordID]) throws(AuditStoreError) -> [RecordID: KnownRecord] {
        let found = try opened().run(
            "SELECT record_id, sequence, content_hash FROM audit_ids WHERE record_id = ANY ($1::bytea[])",
            [BinaryForm.array(ids.map(\.bytes))])
        var known: [RecordID: KnownRecord] = [:]
        for row in found.rows {
            guard let id = RecordID(found.bytes(row, 0) ?? []), let sequence = found.number(row, 1),
                let hash = Hash256(found.bytes(row, 2) ?? [])
            else { throw damaged("audit_ids") }
            known[id] = KnownRecord(sequence: sequence, contentHash: hash)
        }
        return known
    }

    package func rows(from sequence: UInt64, limit: Int) throws(AuditStoreError) -> [AuditRow] {
        let found = try opened().run(
            "SELECT sequence, record_id, content_hash, recorded, entry FROM audit_entries "
                + "WHERE sequence >= $1::bigint ORDER BY sequence LIMIT $2::bigint",
            [BinaryForm.bytes(Int64(clamping: sequence)), BinaryForm.bytes(Int64(limit))])
        return try found.rows.map { row throws(AuditStoreError) in
            guard let sequence = found.number(row, 0), let id = RecordID(found.bytes(row, 1) ?? []),
                let hash = Hash256(found.bytes(row, 2) ?? []), let recorded = found.number(row, 3),
                let entry = found.bytes(row, 4)
            else { throw damaged("audit_entries") }
            return AuditRow(
                sequence: sequence, recordID: id, contentHash: hash, recorded: recorded, entry: entry)
        }
    }

    package func tiles(level: Int, from index: UInt64, limit: Int) throws(AuditStoreError) -> [HashTile] {
        let found = try opened().run(
            "SELECT tile, hashes FROM audit_tiles WHERE level = $1::bigint AND tile >= $2::bigint "
                + "ORDER BY tile LIMIT $3::bigint",
            [
                BinaryForm.bytes(Int64(level)), BinaryForm.bytes(Int64(clamping: index)),
                BinaryForm.bytes(Int64(limit)),
            ])
        return try found.rows.map { row throws(AuditStoreError) in
            guard let index = found.number(row, 0), let hashes = found.bytes(row, 1),
                hashes.count == HashTile.bytes
            else { throw damaged("audit_tiles") }
            return HashTile(level: level, index: index, hashes: hashes)
        }
    }

    package func checkpoints(
        fromSize size: UInt64, limit: Int
    ) throws(AuditStoreError) -> [StoredCheckpoint] {
        let found = try opened().run(
            "SELECT size, \"time\", note FROM audit_checkpoints WHERE size >= $1::bigint ORDER BY size, id "
                + "LIMIT $2::bigint",
            [BinaryForm.bytes(Int64(clamping: size)), BinaryForm.bytes(Int64(limit))])
        return found.rows.map { Self.checkpoint(found, $0) }
    }

    private static func checkpoint(_ found: QueryResult, _ row: Int32) -> StoredCheckpoint {
        StoredCheckpoint(
            size: found.number(row, 0) ?? 0, time: found.number(row, 1) ?? 0, note: found.text(row, 2))
    }

    func damaged(_ table: String) -> AuditStoreError {
        AuditStoreError(
            .damaged,
            "the table \(table) of the audit log in PostgreSQL has not the form that it is written in")
    }
}
