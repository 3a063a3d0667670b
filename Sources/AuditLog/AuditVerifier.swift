internal import Hashing

/// Checks a whole log, from the rows up: each entry's form and number, its link to the one before it, the copies beside it, the
/// kept tiles, the root, and every checkpoint. One thread, that of its store; blocks.
package final class AuditVerifier {
    /// After so many findings a verification ends.
    package static let findingsMax = 20

    private let store: any AuditStore
    private let progress: (UInt64, UInt64) -> Void

    private var report = Report()
    private var tree = MerkleTree()
    /// Nil: not known.
    private var previous: Hash256? = AuditRow.firstPreviousHash
    private var recorded: UInt64 = 0
    private var pages: CheckpointPages
    private let keyring: Keyring
    /// Entries that a checkpoint of the store covers, whether it is a good one or not.
    private var signed: UInt64 = 0
    /// Of the range that is checked: the store's tiles of level 0.
    private var keptTiles: [HashTile] = []
    /// Entries that the last checkpoint covers of those that were compared.
    private var covered: UInt64 = 0
    /// Checkpoints whose root is another than the rows', and what is between the first of them and the one before it.
    private var disagreeing: (count: Int, first: (from: UInt64, to: UInt64, place: String)?) = (0, nil)

    /// - Parameters:
    ///   - foreign: notes of checkpoints that were kept elsewhere; the log must agree with them, too.
    ///   - progress: called now and then with the entries that were checked, and how many there are.
    package init(
        _ store: any AuditStore, keyring: Keyring, foreign: [String] = [],
        progress: @escaping (UInt64, UInt64) -> Void = { _, _ in }
    ) {
        self.store = store
        self.keyring = keyring
        pages = CheckpointPages(store, keyring: keyring, foreign: foreign)
        self.progress = progress
    }

    /// Checks everything. The store is open for reading.
    /// - Throws: the store cannot be read.
    package func verify() throws(AuditStoreError) -> Report {
        let before = try store.tail()
        guard let origin = before.origin else {
            throw AuditStoreError(.refused, "there is no audit log in this store")
        }
        // After the last checkpoint was read, which then covers nothing beyond it although a writer goes on.
        let tail = try store.tail()
        try pages.begin(origin, upTo: max(before.checkpoint?.size ?? 0, tail.size))
        if tail.checkpoint == nil {
            find(nil, "the log has no checkpoint, not even that of its creation: they were removed")
        }
        try compare()
        guard try skipDetached(tail, origin) else { return try finish(isCut: false) }
        for finding in try store.strays() { find(finding.sequence, finding.description) }
        signed = tail.checkpoint?.size ?? 0
        guard tree.size < tail.size else { return try finish(isCut: true) }
        let checker = RangeChecker(store.opener, tree.size + 1...tail.size, signed: signed)
        defer { checker.stop() }
        while report.findings.count < Self.findingsMax {
            guard let range = try checker.next(store) else { break }
            keptTiles = range.tiles
            var tiles: [HashTile] = []
            for chunk in range.chunks {
                guard try check(chunk, &tiles) else { return try finish(isCut: false) }
            }
            try check(tiles)
            // At once: a row that was put in far behind the others makes more empty ranges than anybody can read.
            guard tree.size == range.end else {
                try findGap(upTo: tail.size)
                return try finish(isCut: false)
            }
            progress(tree.size, tail.size)
        }
        return try finish(isCut: tree.size == tail.size)
    }

    private func tile(level: Int, from index: UInt64) throws(AuditStoreError) -> HashTile? {
        try store.tiles(level: level, from: index, limit: 1).first
    }

    private func find(_ sequence: UInt64?, _ text: String) {
        let finding = AuditFinding(sequence: sequence, description: text)
        // What is wrong with the whole store is seen with each page of it.
        guard report.findings.count < Self.findingsMax, !report.findings.contains(finding) else { return }
        report.findings.append(finding)
    }

    /// Names the entries that are missing behind the tree's.
    /// - Parameter last: where they end when no row is behind them: the last one when the tail was read.
    private func findGap(upTo last: UInt64) throws(AuditStoreError) {
        let first = tree.size + 1
        let next = try store.rows(from: first, limit: 1).first?.sequence
        // None: the last one was removed meanwhile. The first one itself: it was put back meanwhile.
        let end = next.map { max(first, $0 - 1) } ?? last
        find(first, "entries \(first) to \(end) are missing")
    }

    /// - Parameter isCut: whether all rows were read, so that what a checkpoint covers beyond them is missing.
    private func finish(isCut: Bool) throws(AuditStoreError) -> Report {
        report.size = tree.size
        report.root = tree.root
        if isCut, let (checkpoint, place) = try pages.next() {
            find(
                tree.size + 1,
                "entries \(tree.size + 1) to \(checkpoint.size) are missing: \(place) covers \(checkpoint.size) entries"
            )
        }
        if let (from, to, place) = disagreeing.first {
            // All later ones disagree, too. A finding that names a record in between says more.
            let isNamed = report.findings.contains { ($0.sequence ?? 0) >= from && ($0.sequence ?? 0) <= to }
            find(
                isNamed ? nil : from,
                "\(place) has another root, \(disagreeing.count) in all: one of the entries \(from) to \(to) is not what "
                    + "was signed")
        }
        report.uncovered = tree.size - min(covered, tree.size)
        if report.uncovered > 0 {
            report.uncoveredSince = try store.rows(from: covered + 1, limit: 1).first?.recorded ?? 0
        }
        report.checkpoints = pages.count
        for problem in pages.problems { find(nil, problem) }
        return report
    }

    /// Compares the checkpoints of the tree's size with its root.
    private func compare() throws(AuditStoreError) {
        while let (checkpoint, place) = try pages.next(), checkpoint.size <= tree.size {
            pages.advance()
            guard checkpoint.size == tree.size, checkpoint.root == tree.root else {
                disagreeing.count += 1
                if disagreeing.count == 1 { disagreeing.first = (covered + 1, checkpoint.size, place) }
                continue
            }
            covered = checkpoint.size
        }
    }

    // MARK: - Detached entries

    /// Puts the kept hashes of detached entries into the tree.
    /// - Returns: false when what follows can say nothing any more.
    private func skipDetached(_ tail: AuditTail, _ origin: String) throws(AuditStoreError) -> Bool {
        guard tail.firstSequence > 1 else { return true }
        let gone = tail.firstSequence - 1
        let statements = try detachments(origin)
        // Without one they are missing, as the first row says.
        guard statements.contains(where: { $0.last >= gone }) else { return true }
        var tiles: [HashTile] = []
        while tree.size < gone {
            let index = tree.size >> 8
            guard let kept = try tile(level: 0, from: index), kept.index == index else {
                find(
                    tree.size + 1,
                    "tile \(index) of level 0 is missing, which is all that there is of the detached entries from "
                        + "\(tree.size + 1) on")
                return false
            }
            for hash in kept.values.prefix(Int(min(256, gone - tree.size))) {
                tree.append(hash, &tiles)
                try compare()
                for statement in statements where statement.last == tree.size && statement.root != tree.root {
                    find(
                        tree.size,
                        "the hashes of the detached entries up to \(tree.size) are not those that were detached"
                    )
                }
            }
            try check(tiles)
            tiles = []
            progress(tree.size, tail.size)
        }
        report.detached = gone
        // Not known while entries are still being detached.
        previous = statements.first { $0.last == gone }?.entryHash
        return true
    }

    /// Those that the log's key has signed.
    private func detachments(_ origin: String) throws(AuditStoreError) -> [Detachment] {
        var found: [Detachment] = []
        for stored in try store.detachments() {
            let place = "the statement that the entries up to \(stored.last) were detached"
            guard let note = SignedNote(note: stored.note), let detachment = Detachment(text: note.text),
                detachment.origin == origin, detachment.last == stored.last
            else {
                find(nil, "\(place) is none of \"\(origin)\"")
                continue
            }
            guard keyring.isSigned(note, size: detachment.last) else {
                find(nil, "\(place) is signed by no key of the keyring for this size")
                continue
            }
            found.append(detachment)
        }
        return found
    }

    // MARK: - Rows

    /// - Returns: false when what follows can say nothing any more.
    private func check(_ chunk: CheckedChunk, _ tiles: inout [HashTile]) throws(AuditStoreError) -> Bool {
        guard chunk.isClean, chunk.sequences.lowerBound == tree.size + 1,
            chunk.previous == previous ?? chunk.previous, chunk.firstRecorded >= recorded
        else { return try checkEach(chunk.sequences, &tiles) }
        report.entries += UInt64(chunk.leaves.count)
        (previous, recorded) = (chunk.last, chunk.lastRecorded)
        let isWhole = tree.size.isMultiple(of: UInt64(HashTile.width))
        let end = tree.size + UInt64(chunk.leaves.count)
        if let root = chunk.root, isWhole, try pages.next()?.checkpoint.size ?? end >= end {
            tree.append(tile: chunk.leaves, root: root, &tiles)
            try compare()
        } else {
            for leaf in chunk.leaves {
                tree.append(leaf, &tiles)
                try compare()
            }
        }
        return true
    }

    /// Reads rows once more and names what is wrong with them.
    /// - Returns: false when what follows can say nothing any more.
    private func checkEach(
        _ sequences: ClosedRange<UInt64>, _ tiles: inout [HashTile]
    ) throws(AuditStoreError) -> Bool {
        var (pages, buffer) = ([RowPage](), RowPage())
        try store.read(sequences, &buffer) { pages.append($0) }
        for page in pages {
            for index in page.rows.indices {
                let row = page.row(index)
                for finding in store.copiedColumns?.findings(row, page.copies(index)) ?? [] {
                    find(finding.sequence, finding.description)
                }
                let checked = CheckedRow(row, isSigned: row.sequence <= signed)
                guard try check(checked, &tiles) else { return false }
            }
        }
        return true
    }

    /// - Returns: false when what follows can say nothing any more.
    private func check(_ checked: CheckedRow, _ tiles: inout [HashTile]) throws(AuditStoreError) -> Bool {
        let row = checked.row
        let expected = tree.size + 1
        guard row.sequence == expected else {
            find(
                expected,
                row.sequence > expected
                    ? "entries \(expected) to \(row.sequence - 1) are missing"
                    : "entry \(row.sequence) stands where \(expected) should be")
            return false
        }
        switch checked.columns {
        case .success(let columns):
            check(row, columns)
            recorded = columns.recorded
        case .failure(let error): find(row.sequence, "entry \(row.sequence) \(error)")
        }
        report.entries += 1
        tree.append(checked.leafHash, &tiles)
        previous = checked.entryHash
        try compare()
        return true
    }

    private func check(_ row: AuditRow, _ columns: EntryColumns) {
        // Made for findings only: of millions of entries none has one.
        var entry: String { "entry \(row.sequence) (\(columns.recordID))" }
        if columns.sequence != row.sequence {
            find(row.sequence, "\(entry) says that it is number \(columns.sequence): it was moved")
        }
        if let previous, columns.previousHash != previous {
            // One that is not in its place is wrong itself; otherwise the one before it no longer has the hash it had.
            let isMoved = columns.sequence != row.sequence || row.sequence == 1
            find(
                isMoved ? row.sequence : row.sequence - 1,
                isMoved
                    ? "\(entry) is not linked to the one before it"
                    : "entry \(row.sequence - 1) was changed: \(entry), the next one, is linked to another")
        }
        if columns.recordID != row.recordID || columns.contentHash != row.contentHash
            || columns.recorded != row.recorded
        {
            find(
                row.sequence,
                "\(entry) is not what the copies of its record id, content hash and time beside it say")
        }
        if columns.recorded < recorded {
            find(row.sequence, "\(entry) was recorded before the one before it")
        }
    }

    /// Compares the tiles that the rows make with those that are kept; one of level 0 says which leaf is another.
    private func check(_ tiles: [HashTile]) throws(AuditStoreError) {
        for tile in tiles {
            var kept = tile.level == 0 ? keptTiles.first { $0.index == tile.index } : nil
            if kept == nil { kept = try self.tile(level: tile.level, from: tile.index) }
            guard kept != tile else { continue }
            let place = "tile \(tile.index) of level \(tile.level)"
            let first = (tile.index << UInt64(8 * (tile.level + 1))) + 1
            guard let kept, kept.level == tile.level, kept.index == tile.index else {
                find(first, "\(place) is missing, from entry \(first) on")
                continue
            }
            guard tile.level == 0 else {
                find(first, "\(place) is not that of its entries, from entry \(first) on")
                continue
            }
            for (offset, (own, other)) in zip(tile.values, kept.values).enumerated() where own != other {
                let sequence = first + UInt64(offset)
                find(
                    sequence,
                    "entry \(sequence) is not the one whose hash was kept when it came: it, or its hash in \(place), was "
                        + "changed")
            }
        }
    }
}
