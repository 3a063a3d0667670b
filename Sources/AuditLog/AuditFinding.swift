/// What a verification found to be wrong: the first of each kind that hides no other.
package struct AuditFinding: Sendable, Equatable, CustomStringConvertible {
    /// The first record that it is about; nil when it is about none.
    package let sequence: UInt64?
    /// A sentence.
    package let description: String

    package init(sequence: UInt64?, description: String) {
        self.sequence = sequence
        self.description = description
    }

    /// A row whose number no entry can have.
    package init(strayRow number: Int64) {
        self.init(
            sequence: nil,
            description: "a row has the number \(number), and entries begin with 1: it was added")
    }

    /// A tile of entries that are not there: which of them are missing is found by what else is wrong.
    package init(strayTile tile: Int64, level: Int64) {
        self.init(
            sequence: nil,
            description:
                "tile \(tile) of level \(level) belongs to no entries of the log: it was added, or they were removed"
        )
    }

    /// An id of no entry, or of one that has its id elsewhere.
    package init(strayID number: Int64) {
        self.init(
            sequence: number > 0 ? UInt64(number) : nil,
            description:
                "audit_ids has an id for entry \(number), which does not belong there: it was added, or "
                + "the entry was removed")
    }
}
