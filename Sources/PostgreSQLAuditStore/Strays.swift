package import AuditLog

extension PostgreSQLAuditStore {
    package func strays() throws(AuditStoreError) -> [AuditFinding] {
        // Each minimum by itself, so that an index has it.
        let found = try opened().run(
            """
            SELECT (SELECT min(sequence) FROM audit_entries WHERE sequence < 1),
                (SELECT min(sequence) FROM audit_ids WHERE sequence < 1),
                (SELECT min(sequence) FROM audit_ids WHERE sequence > size), tile.level::bigint, tile.tile
            FROM (SELECT coalesce(max(sequence), 0) AS size FROM audit_entries) AS ends LEFT JOIN LATERAL (
                SELECT level, tile FROM audit_tiles WHERE level NOT BETWEEN 0 AND 6 OR tile < 0
                OR tile >= size >> (8 * (level + 1)) ORDER BY level, tile LIMIT 1
            ) AS tile ON true
            """)
        func number(_ column: Int32) -> Int64? { found.number(0, column).map { Int64(bitPattern: $0) } }
        var findings: [AuditFinding] = []
        if let row = number(0) { findings.append(AuditFinding(strayRow: row)) }
        for id in [number(1), number(2)].compactMap(\.self) { findings.append(AuditFinding(strayID: id)) }
        if let level = number(3), let tile = number(4) {
            findings.append(AuditFinding(strayTile: tile, level: level))
        }
        return findings
    }
}
