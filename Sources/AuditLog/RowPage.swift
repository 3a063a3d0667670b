package import Hashing

/// Neighbouring rows as a store reads them to be verified: in one buffer, which is used again for the next ones, since a log is
/// verified by the million. Made and filled by one thread, then read by any.
package struct RowPage: Sendable {
    /// One row, with the places of its bytes in the buffer.
    package struct Row: Sendable {
        package let sequence: UInt64
        package let recordID: RecordID
        package let contentHash: Hash256
        package let recorded: UInt64
        package let entry: Range<Int>
        /// What the store has beside that, in its own form; see `CopiedColumns`.
        package let copies: Range<Int>

        package init(
            sequence: UInt64, recordID: RecordID, contentHash: Hash256, recorded: UInt64, entry: Range<Int>,
            copies: Range<Int>
        ) {
            self.sequence = sequence
            self.recordID = recordID
            self.contentHash = contentHash
            self.recorded = recorded
            self.entry = entry
            self.copies = copies
        }
    }

    /// By sequence.
    package private(set) var rows: [Row] = []
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Forgets everything but the buffer.
    package mutating func removeAll() {
        rows.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Adds bytes of rows.
    /// - Returns: where they are.
    @discardableResult
    package mutating func append(_ more: UnsafeRawBufferPointer) -> Range<Int> {
        let start = bytes.count
        unsafe bytes.append(contentsOf: more)
        return start..<bytes.count
    }

    /// Whether it has all rows that are held at a time: so few that a processor has them at hand when they are checked. Ends where a
    /// tile of the tree does.
    package var isFull: Bool {
        guard let last = rows.last else { return false }
        return rows.count >= Self.rowsMax || last.sequence.isMultiple(of: UInt64(Self.rowsMax))
    }

    private static let rowsMax = HashTile.width / 4

    /// Adds a row whose bytes were added.
    package mutating func append(_ row: Row) { rows.append(row) }

    /// A row by itself.
    func row(_ index: Int) -> AuditRow {
        let row = rows[index]
        return AuditRow(
            sequence: row.sequence, recordID: row.recordID, contentHash: row.contentHash,
            recorded: row.recorded,
            entry: Array(bytes[row.entry]))
    }

    /// What the store has beside a row.
    func copies(_ index: Int) -> ArraySlice<UInt8> { bytes[rows[index].copies] }
}

/// How a store compares what it keeps beside an entry with the entry: columns that are searched, an index of ids. Any thread.
package protocol CopiedColumns: Sendable {
    /// Whether they are what the entry says, when that is plain to see; false: ask `findings`.
    /// - Parameters:
    ///   - frame: of the entry's bytes, with its fields.
    ///   - copies: of the row, borrowed for the call.
    func agree(_ row: RowPage.Row, _ frame: EntryFrame, _ copies: UnsafeRawBufferPointer) -> Bool

    /// What of them is not what the entry says.
    func findings(_ row: AuditRow, _ copies: ArraySlice<UInt8>) -> [AuditFinding]
}
