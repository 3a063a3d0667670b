package import AuditLog
internal import Hashing

extension PostgreSQLAuditStore {
    package func detachments() throws(AuditStoreError) -> [StoredDetachment] {
        let found = try opened().run("SELECT last, \"time\", note FROM audit_detached ORDER BY last")
        return found.rows.map {
            StoredDetachment(
                last: found.number($0, 0) ?? 0, time: found.number($0, 1) ?? 0, note: found.text($0, 2))
        }
    }

    package func detach(
        _ detachment: StoredDetachment, through month: AuditMonth
    ) throws(AuditStoreError) {
        let connection = try opened()
        try connection.run("BEGIN")
        do throws(AuditStoreError) {
            try connection.run(
                "INSERT INTO audit_detached (last, \"time\", note) VALUES ($1::bigint, $2::bigint, $3::text) "
                    + "ON CONFLICT DO NOTHING",
                [
                    BinaryForm.bytes(try CopyData.signed(detachment.last, as: "sequence")),
                    BinaryForm.bytes(try CopyData.signed(detachment.time, as: "time")),
                    Array(detachment.note.utf8),
                ])
            let name = "audit_entries_" + "\(month)".replacing("-", with: "_")
            let months = try connection.run(
                """
                SELECT right(c.relname::text, 7) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'audit_entries'::regclass AND c.relname <= $1::text ORDER BY 1
                """, [Array(name.utf8)])
            for row in months.rows {
                try connection.run(
                    "SELECT audit_detach_month(to_date($1::text, 'YYYY_MM'))",
                    [Array(months.text(row, 0).utf8)])
            }
            try commit(connection)
        } catch {
            // Without a connection the server does it by itself; with one it is of use again.
            _ = try? connection.run("ROLLBACK")
            throw error
        }
    }

    // MARK: - Copies

    /// The columns whose copies are made of the entry, in the order of `RowCopy.entriesCommand`; the first four are a row's own.
    private static let copies = [
        "created_at", "timestamp", "trace_id", "span_id", "event_name", "actor", "actor_type", "resource",
        "resource_type", "action", "outcome", "decision", "policy_version", "compliance_tags",
    ]

    /// Compares the columns that are searched with what the gateway makes of the entries, and `audit_ids` with the rows.
    package func wrongCopies(
        from first: UInt64, to last: UInt64
    ) throws(AuditStoreError) -> [AuditFinding] {
        let columns = Self.copies.map { "e.\"\($0)\"" }.joined(separator: ", ")
        let found = try opened().run(
            """
            SELECT e.sequence, e.record_id, e.content_hash, e.recorded, e.entry, i.record_id, i.content_hash, \(columns)
            FROM audit_entries AS e LEFT JOIN audit_ids AS i USING (sequence)
            WHERE e.sequence BETWEEN $1::bigint AND $2::bigint ORDER BY e.sequence
            """, [BinaryForm.bytes(Int64(clamping: first)), BinaryForm.bytes(Int64(clamping: last))])
        var findings: [AuditFinding] = []
        for row in found.rows {
            guard let sequence = found.number(row, 0), let id = RecordID(found.bytes(row, 1) ?? []),
                let hash = Hash256(found.bytes(row, 2) ?? []), let recorded = found.number(row, 3),
                let entry = found.bytes(row, 4)
            else { continue }
            if found.bytes(row, 5) != id.bytes || found.bytes(row, 6) != hash.bytes {
                findings.append(
                    AuditFinding(
                        sequence: sequence,
                        description: "audit_ids has not the id and content hash of entry \(sequence) (\(id))")
                )
            }
            let kept = AuditRow(
                sequence: sequence, recordID: id, contentHash: hash, recorded: recorded, entry: entry)
            // An entry that cannot be read is found by itself.
            guard let expected = try? RowCopy.fields(of: kept) else { continue }
            for (index, name) in Self.copies.enumerated()
            where found.bytes(row, Int32(7 + index)) != expected[4 + index] {
                findings.append(
                    AuditFinding(
                        sequence: sequence,
                        description:
                            "the column \(name) of entry \(sequence) (\(id)) is not what the entry says"))
            }
        }
        let ahead = try opened().run(
            """
            SELECT min(sequence) FROM audit_ids
            WHERE sequence > (SELECT coalesce(max(sequence), 0) FROM audit_entries)
            """)
        if let sequence = ahead.number(0, 0) {
            findings.append(
                AuditFinding(
                    sequence: sequence,
                    description: "audit_ids says that there is an entry \(sequence), and there is none"))
        }
        return findings
    }
}

extension RowCopy {
    /// What a row's columns are, in the order of `entriesCommand`; nil for NULL.
    static func fields(of row: AuditRow) throws(AuditStoreError) -> [[UInt8]?] {
        let data = try entries([row])
        var fields: [[UInt8]?] = []
        // Behind the header and the count of columns.
        var position = CopyData.headerBytes + 2
        while fields.count < 19 {
            let count = data[position..<position + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            position += 4
            guard count != .max else {
                fields.append(nil)
                continue
            }
            fields.append(Array(data[position..<position + Int(count)]))
            position += Int(count)
        }
        return fields
    }
}
