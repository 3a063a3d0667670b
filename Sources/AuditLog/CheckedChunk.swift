internal import Hashing

/// What can be said of neighbouring rows, a tile's at most, without the others: most of a verification's work.
///
/// It only says that they are in order. What is not is read again, row by row, by `AuditVerifier`, which names it.
struct CheckedChunk: Sendable {
    private(set) var sequences: ClosedRange<UInt64>
    /// Whether each row is the next one, in order, linked to the one before it, and as its copies say.
    private(set) var isClean = true
    /// `prev_hash` and time of the first one, hash and time of the last one. If it is clean.
    private(set) var previous = AuditRow.firstPreviousHash
    private(set) var firstRecorded: UInt64 = 0
    private(set) var last = AuditRow.firstPreviousHash
    private(set) var lastRecorded: UInt64 = 0
    /// Of each row, and the root of the tree over them. If it is clean.
    private(set) var leaves: [Hash256] = []
    private(set) var root: Hash256?

    /// Begins one without rows.
    init(first: UInt64) {
        sequences = first...first
    }

    /// Whether it ends where a tile does, or would have ended if no row were missing.
    var isFull: Bool {
        sequences.upperBound.isMultiple(of: UInt64(HashTile.width)) || sequences.count >= HashTile.width
    }

    /// Checks a page's rows, the next ones.
    /// - Parameters:
    ///   - page: not empty.
    ///   - signed: entries that a checkpoint covers.
    ///   - copied: for the copies that the store keeps.
    mutating func add(_ page: RowPage, signed: UInt64, _ copied: (any CopiedColumns)?) {
        let last = page.rows[page.rows.count - 1].sequence
        sequences = sequences.lowerBound...max(sequences.lowerBound, last)
        isClean = isClean && check(page, signed, copied)
    }

    private mutating func check(_ page: RowPage, _ signed: UInt64, _ copied: (any CopiedColumns)?) -> Bool {
        let rows = page.rows
        leaves.reserveCapacity(HashTile.width)
        var contents = ContentCheck()
        let isClean = unsafe page.bytes.withUnsafeBytes { bytes in
            for (index, row) in rows.enumerated() {
                // SAFETY: a page's places are in its bytes, which are borrowed for the call.
                let entry = unsafe UnsafeRawBufferPointer(rebasing: bytes[row.entry])
                guard row.sequence == sequences.lowerBound + UInt64(leaves.count) else { return false }
                let copies = unsafe UnsafeRawBufferPointer(rebasing: bytes[row.copies])
                let isRead =
                    row.sequence <= signed
                    ? unsafe checkSigned(page, index, entry, copies, copied, &contents)
                    : checkWhole(page, index, copied)
                guard isRead else { return false }
                let (leaf, hash) = unsafe Hash256.pair(0, entry, nil, entry)
                leaves.append(leaf)
                last = hash
            }
            return contents.finish()
        }
        if isClean, leaves.count == HashTile.width { root = MerkleTree.root(ofFull: leaves) }
        return isClean
    }

    /// Of a signed entry what links it is read, and what the store copies.
    private mutating func checkSigned(
        _ page: RowPage, _ index: Int, _ entry: UnsafeRawBufferPointer, _ copies: UnsafeRawBufferPointer,
        _ copied: (any CopiedColumns)?, _ contents: inout ContentCheck
    ) -> Bool {
        let row = page.rows[index]
        guard let frame = unsafe EntryFrame(entry, findsFields: copied != nil) else {
            return checkWhole(page, index, copied)
        }
        guard frame.sequence == row.sequence, frame.recordID == row.recordID, frame.recorded == row.recorded,
            link(frame.previous, frame.recorded), contents.add(frame, row.contentHash)
        else { return false }
        guard let copied, unsafe !copied.agree(row, frame, copies) else { return true }
        return copied.findings(page.row(index), page.copies(index)).isEmpty
    }

    private mutating func checkWhole(
        _ page: RowPage, _ index: Int, _ copied: (any CopiedColumns)?
    ) -> Bool {
        let row = page.row(index)
        guard let columns = try? EntryColumns(row.entry, isBrief: true), columns.sequence == row.sequence,
            columns.recordID == row.recordID, columns.recorded == row.recorded,
            columns.contentHash == row.contentHash, link(columns.previousHash, columns.recorded)
        else { return false }
        return copied?.findings(row, page.copies(index)).isEmpty ?? true
    }

    /// Whether a row goes on where the one before it ended.
    private mutating func link(_ previous: Hash256, _ recorded: UInt64) -> Bool {
        if leaves.isEmpty {
            (self.previous, firstRecorded) = (previous, recorded)
        } else {
            guard previous == last, recorded >= lastRecorded else { return false }
        }
        lastRecorded = recorded
        return true
    }
}

/// Compares content hashes with the contents of entries, two at a time.
private struct ContentCheck {
    private var one: [UInt8] = []
    private var other: [UInt8] = []
    /// Of `one`, which waits for another.
    private var waiting: Hash256?

    private static let before = Array("{\"record\":".utf8)
    private static let between = Array(",\"resource\":".utf8)

    /// - Returns: false when a pair is not what it should be.
    mutating func add(_ frame: EntryFrame, _ hash: Hash256) -> Bool {
        guard let waiting else {
            Self.fill(&one, frame)
            waiting = hash
            return true
        }
        Self.fill(&other, frame)
        self.waiting = nil
        let (first, second) = unsafe one.withUnsafeBytes { one in
            unsafe other.withUnsafeBytes { other in unsafe Hash256.pair(nil, one, nil, other) }
        }
        return first == waiting && second == hash
    }

    /// Whether the last one, if it is alone, is what it should be.
    func finish() -> Bool { waiting.map { $0 == Hash256(of: one) } ?? true }

    private static func fill(_ content: inout [UInt8], _ frame: EntryFrame) {
        content.removeAll(keepingCapacity: true)
        content += before
        unsafe content.append(contentsOf: frame.bytes(frame.record))
        content += between
        unsafe content.append(contentsOf: frame.bytes(frame.resource))
        content.append(UInt8(ascii: "}"))
    }
}
