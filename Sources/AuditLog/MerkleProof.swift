package import Hashing

/// Proofs of RFC 6962 section 2.1, and how they are checked (RFC 9162 section 2.1).
package enum MerkleProof {
    /// The root that an inclusion proof leads to; nil when it has the wrong number of hashes or the index is outside.
    package static func root(
        leaf: Hash256, index: UInt64, size: UInt64, proof: [Hash256]
    ) -> Hash256? {
        guard index < size else { return nil }
        var (node, last, hash) = (index, size - 1, leaf)
        for sibling in proof {
            guard last != 0 else { return nil }
            if node & 1 == 1 || node == last {
                hash = MerkleTree.node(sibling, hash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                hash = MerkleTree.node(hash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 ? hash : nil
    }

    /// Whether a proof shows that the larger tree begins with all that the smaller one has.
    package static func isConsistent(
        old: UInt64, oldRoot: Hash256, new: UInt64, newRoot: Hash256, proof: [Hash256]
    ) -> Bool {
        guard old > 0, old <= new else { return old == 0 && proof.isEmpty }
        guard old < new else { return proof.isEmpty && oldRoot == newRoot }
        var path = proof[...]
        if old & (old - 1) == 0 { path = [oldRoot] + path }
        guard let first = path.popFirst() else { return false }
        var (node, last) = (old - 1, new - 1)
        while node & 1 == 1 {
            node >>= 1
            last >>= 1
        }
        var (oldHash, newHash) = (first, first)
        for sibling in path {
            guard last != 0 else { return false }
            if node & 1 == 1 || node == last {
                oldHash = MerkleTree.node(sibling, oldHash)
                newHash = MerkleTree.node(sibling, newHash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                newHash = MerkleTree.node(newHash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && oldHash == oldRoot && newHash == newRoot
    }
}

/// A kept tree, of which any node can be had: for proofs, and for the roots of earlier sizes. Thread of the store.
package final class MerkleReader {
    package let tree: MerkleTree
    private let read: (_ level: Int, _ index: UInt64) throws(AuditStoreError) -> HashTile?
    private var cache: [UInt64: [Hash256]] = [:]

    /// Tiles that are kept in memory, 8 KiB each.
    private static let cacheMax = 1024

    /// - Parameter read: gives a full tile.
    package init(
        _ tree: MerkleTree,
        read: @escaping (_ level: Int, _ index: UInt64) throws(AuditStoreError) -> HashTile?
    ) {
        self.tree = tree
        self.read = read
    }

    /// The tree of the log in a store, made of its full tiles and the rows after them.
    package convenience init(_ store: any AuditStore) throws(AuditStoreError) {
        let size = try store.tail().size
        var edges: [[Hash256]] = []
        var count = size
        while count > 0 {
            let start = count - count % UInt64(HashTile.width)
            var edge: [Hash256] = []
            if count > start {
                if edges.isEmpty {
                    edge = try store.rows(from: start + 1, limit: Int(count - start)).map(\.leafHash)
                } else {
                    let tiles = try store.tiles(
                        level: edges.count - 1, from: start, limit: Int(count - start))
                    edge = tiles.map { MerkleTree.root(ofFull: $0.values) }
                }
                guard edge.count == Int(count - start) else {
                    throw AuditStoreError(
                        .damaged,
                        "of level \(edges.count) of the tree \(Int(count - start) - edge.count) hashes are missing from "
                            + "\(start) on; run sluice audit verify")
                }
            }
            edges.append(edge)
            count >>= 8
        }
        self.init(MerkleTree(size: size, edges: edges)) { (level, index) throws(AuditStoreError) in
            try store.tiles(level: level, from: index, limit: 1).first
        }
    }

    /// The root of the tree as it was with so many leaves.
    /// - Precondition: the tree has at least so many.
    package func root(size: UInt64) throws(AuditStoreError) -> Hash256 {
        size == 0 ? Hash256(of: []) : try hash(0, size)
    }

    /// The hashes that prove that a leaf is in the tree of a size.
    package func inclusion(of index: UInt64, size: UInt64) throws(AuditStoreError) -> [Hash256] {
        precondition(index < size && size <= tree.size, "the leaf is in the tree")
        var (start, end) = (UInt64(0), size)
        var path: [Hash256] = []
        while end - start > 1 {
            let middle = start + Self.split(end - start)
            if index < middle {
                path.append(try hash(middle, end))
                end = middle
            } else {
                path.append(try hash(start, middle))
                start = middle
            }
        }
        return path.reversed()
    }

    /// The hashes that prove that the tree of the size `new` begins with that of the size `old`.
    package func consistency(from old: UInt64, to new: UInt64) throws(AuditStoreError) -> [Hash256] {
        precondition(old <= new && new <= tree.size, "both trees were there")
        guard old > 0, old < new else { return [] }
        var (start, end) = (UInt64(0), new)
        var path: [Hash256] = []
        // Whether the old tree's part of the range is the whole old tree, whose root the reader has.
        var isWhole = true
        while old != end {
            let middle = start + Self.split(end - start)
            if old <= middle {
                path.append(try hash(middle, end))
                end = middle
            } else {
                path.append(try hash(start, middle))
                start = middle
                isWhole = false
            }
        }
        if !isWhole { path.append(try hash(start, end)) }
        return path.reversed()
    }

    /// The first hashes of a tile, as it was or is.
    func tile(level: Int, index: UInt64, width: Int) throws(AuditStoreError) -> [Hash256] {
        let full = try hashes(level, index)
        guard width <= full.count else {
            throw AuditStoreError(
                .damaged, "tile \(index) of level \(level) is missing; run sluice audit verify")
        }
        return Array(full[..<width])
    }

    /// The largest power of two below a number above 1.
    private static func split(_ count: UInt64) -> UInt64 {
        1 << UInt64(UInt64.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }

    /// The hash of the leaves of a range that is a node, or the right edge, of some tree.
    private func hash(_ start: UInt64, _ end: UInt64) throws(AuditStoreError) -> Hash256 {
        let count = end - start
        if count & (count - 1) == 0 { return try perfect(start, count) }
        let middle = start + Self.split(count)
        return MerkleTree.node(try perfect(start, middle - start), try hash(middle, end))
    }

    private func perfect(_ start: UInt64, _ count: UInt64) throws(AuditStoreError) -> Hash256 {
        let height = count.trailingZeroBitCount
        // A whole tile is one hash of the level above, if that is there.
        let level = height / 8
        let first = start >> UInt64(8 * level)
        let width = 1 << (height % 8)
        let tile = try hashes(level, first >> 8)
        let offset = Int(first & 255)
        guard offset + width <= tile.count else {
            throw AuditStoreError(
                .damaged,
                "tile \(first >> 8) of level \(level) has \(tile.count) hashes; run sluice audit verify")
        }
        return MerkleTree.root(ofFull: Array(tile[offset..<offset + width]))
    }

    private func hashes(_ level: Int, _ index: UInt64) throws(AuditStoreError) -> [Hash256] {
        let full = tree.size >> UInt64(8 * (level + 1))
        guard index < full else { return level < tree.edges.count ? tree.edges[level] : [] }
        let key = UInt64(level) << 56 | index
        if let known = cache[key] { return known }
        guard let tile = try read(level, index), tile.level == level, tile.index == index else {
            throw AuditStoreError(
                .damaged, "tile \(index) of level \(level) is missing; run sluice audit verify")
        }
        if cache.count >= Self.cacheMax { cache.removeAll() }
        let values = tile.values
        cache[key] = values
        return values
    }
}
