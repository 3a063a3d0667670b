package import AuditLog

extension SQLiteAuditStore {
    /// Rows that are taken out in one transaction: the writer waits meanwhile.
    private static let rowsAtATime: UInt64 = 2000

    package func detachments() throws(AuditStoreError) -> [StoredDetachment] {
        let database = try database()
        // Not there before a gateway of this version has opened it.
        guard try Self.hasTable(database, "audit_detached") else { return [] }
        let select = try database.prepare("SELECT last, time, note FROM audit_detached ORDER BY last")
        var found: [StoredDetachment] = []
        while try select.step() {
            found.append(
                StoredDetachment(last: select.number(0), time: select.number(1), note: select.text(2)))
        }
        return found
    }

    package func detach(
        _ detachment: StoredDetachment, through month: AuditMonth
    ) throws(AuditStoreError) {
        let database = try database()
        // First: rows without a statement would be missing.
        let insert = try database.prepare(
            "INSERT INTO audit_detached (last, time, note) SELECT ?1, ?2, ?3 "
                + "WHERE NOT EXISTS (SELECT 1 FROM audit_detached WHERE last = ?1)")
        try insert.bind(1, detachment.last)
        try insert.bind(2, detachment.time)
        try insert.bind(3, detachment.note)
        try insert.run()
        while let first = try tail().firstSequence as UInt64?, first > 0, first <= detachment.last {
            let last = min(detachment.last, first + Self.rowsAtATime - 1)
            try transaction(database) { () throws(AuditStoreError) in
                try database.run(Schema.removal(from: first, to: last))
            }
        }
    }

    /// None: the view is made of the entries, and `audit_ids` has those of detached entries only, which nothing is left to
    /// compare with.
    package var copiedColumns: (any CopiedColumns)? { nil }

    static func hasTable(_ database: Database, _ name: String) throws(AuditStoreError) -> Bool {
        let select = try database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
        try select.bind(1, name)
        defer { select.reset() }
        return try select.step()
    }
}
