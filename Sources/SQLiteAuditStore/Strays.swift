package import AuditLog

extension SQLiteAuditStore {
    package func strays() throws(AuditStoreError) -> [AuditFinding] {
        let database = try database()
        var findings: [AuditFinding] = []
        let row = try database.prepare("SELECT min(sequence) FROM audit_entries")
        if try row.step(), case let number = row.signed(0), number < 1, !row.isNull(0) {
            findings.append(AuditFinding(strayRow: number))
        }
        row.reset()
        let tile = try database.prepare(
            "SELECT level, tile FROM audit_tiles WHERE level NOT BETWEEN 0 AND 6 OR tile < 0 OR tile >= "
                + "((SELECT ifnull(max(sequence), 0) FROM audit_entries) >> (8 * (level + 1))) LIMIT 1")
        if try tile.step() { findings.append(AuditFinding(strayTile: tile.signed(1), level: tile.signed(0))) }
        tile.reset()
        guard try Self.hasTable(database, "audit_ids") else { return findings }
        // Those of entries that are there are in their rows.
        let id = try database.prepare(
            "SELECT sequence FROM audit_ids WHERE sequence < 1 OR sequence >= "
                + "(SELECT ifnull(min(sequence), 1) FROM audit_entries WHERE sequence > 0) LIMIT 1")
        if try id.step() { findings.append(AuditFinding(strayID: id.signed(0))) }
        id.reset()
        return findings
    }
}
