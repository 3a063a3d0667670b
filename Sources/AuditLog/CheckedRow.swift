internal import Hashing

/// A row with what can be said of it without the others.
struct CheckedRow {
    let row: AuditRow
    let columns: Result<EntryColumns, EntryError>
    let leafHash: Hash256
    let entryHash: Hash256

    /// - Parameter isSigned: whether a checkpoint covers it.
    init(_ row: AuditRow, isSigned: Bool) {
        self.row = row
        columns = Result { () throws(EntryError) in
            isSigned ? try EntryColumns(signed: row.entry) : try EntryColumns(row.entry, isBrief: true)
        }
        leafHash = row.leafHash
        entryHash = row.entryHash
    }
}
