internal import AuditLog
internal import Hashing

/// Rows as COPY takes them.
enum RowCopy {
    static let entriesCommand = """
        COPY audit_entries (sequence, record_id, content_hash, recorded, created_at, "timestamp", trace_id, span_id, \
        event_name, actor, actor_type, resource, resource_type, action, outcome, decision, policy_version, \
        compliance_tags, entry) FROM STDIN (FORMAT binary)
        """
    static let idsCommand =
        "COPY audit_ids (record_id, sequence, content_hash) FROM STDIN (FORMAT binary)"
    static let tilesCommand = "COPY audit_tiles (level, tile, hashes) FROM STDIN (FORMAT binary)"

    static func entries(_ rows: [AuditRow]) throws(AuditStoreError) -> [UInt8] {
        var data = CopyData(capacity: rows.reduce(64) { $0 + $1.entry.count + 512 })
        for row in rows {
            let columns: EntryColumns
            do throws(EntryError) {
                columns = try EntryColumns(row.entry)
            } catch {
                throw AuditStoreError(.refused, "the entry for \(row.recordID) \(error)")
            }
            data.row(columns: 19)
            try data.add(row.sequence, as: "sequence")
            data.add(row.recordID.bytes)
            data.add(row.contentHash.bytes)
            try data.add(row.recorded, as: "time")
            data.add(BinaryForm.time(row.recorded))
            data.add(BinaryForm.time(columns.time > 0 ? columns.time : row.recorded))
            data.add(columns.traceID.flatMap { Hexadecimal.decode(Array($0.utf8)) })
            data.add(columns.spanID.flatMap { Hexadecimal.decode(Array($0.utf8)) })
            data.add(copy: columns.eventName)
            data.add(copy: columns.actorID)
            data.add(copy: columns.actorType)
            data.add(copy: columns.targetID)
            data.add(copy: columns.targetType)
            data.add(copy: columns.action)
            data.add(copy: columns.outcome)
            data.add(copy: columns.decision)
            data.add(copy: columns.policyVersion)
            data.add(BinaryForm.array(texts: columns.complianceTags.map(CopyData.copy)))
            data.add(row.entry)
        }
        data.end()
        return data.bytes
    }

    static func ids(_ rows: [AuditRow]) throws(AuditStoreError) -> [UInt8] {
        var data = CopyData(capacity: 64 + rows.count * 80)
        for row in rows {
            data.row(columns: 3)
            data.add(row.recordID.bytes)
            try data.add(row.sequence, as: "sequence")
            data.add(row.contentHash.bytes)
        }
        data.end()
        return data.bytes
    }

    static func tiles(_ tiles: [HashTile]) throws(AuditStoreError) -> [UInt8] {
        var data = CopyData(capacity: 64 + tiles.count * (HashTile.bytes + 32))
        for tile in tiles {
            data.row(columns: 3)
            data.add(Int16(tile.level))
            try data.add(tile.index, as: "tile")
            data.add(tile.hashes)
        }
        data.end()
        return data.bytes
    }
}
