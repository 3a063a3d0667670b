internal import Dispatch
internal import Hashing
import Synchronization

/// A row with what can be said of it without the others: most of a verification's work, done on all cores.
struct CheckedRow: Sendable {
    let row: AuditRow
    let columns: Result<EntryColumns, EntryError>
    let leafHash: Hash256
    let entryHash: Hash256

    private init(_ row: AuditRow, isSigned: Bool) {
        self.row = row
        columns = Result { () throws(EntryError) in
            isSigned ? try EntryColumns(signed: row.entry) : try EntryColumns(row.entry, isBrief: true)
        }
        leafHash = row.leafHash
        entryHash = row.entryHash
    }

    /// Rows that one core checks at a time.
    private static let chunkRows = 250

    /// Checks rows, and does something else meanwhile. Returns when all is done.
    /// - Parameter signed: entries that a checkpoint covers.
    static func check(_ rows: [AuditRow], signed: UInt64, meanwhile other: () -> Void) -> [CheckedRow] {
        let chunks = (rows.count + chunkRows - 1) / chunkRows
        let checked = Mutex([[CheckedRow]](repeating: [], count: chunks))
        withoutActuallyEscaping(other) { other in
            // SAFETY: one turn calls it, and it is over when the call returns.
            nonisolated(unsafe) let other = other
            DispatchQueue.concurrentPerform(iterations: chunks + 1) { turn in
                guard turn > 0 else { return unsafe other() }
                let start = (turn - 1) * chunkRows
                let part = rows[start..<min(start + chunkRows, rows.count)].map {
                    CheckedRow($0, isSigned: $0.sequence <= signed)
                }
                checked.withLock { $0[turn - 1] = part }
            }
        }
        return checked.withLock { $0.flatMap(\.self) }
    }
}
