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
}
