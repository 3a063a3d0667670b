package import Hashing

/// The right edge of a log's tree (RFC 6962 section 2.1): what is needed to append to it and to know its root. Of each level of tiles
/// (C2SP tlog-tiles) it has the hashes of the one that is not full.
package struct MerkleTree: Sendable, Equatable {
    /// Leaves.
    package private(set) var size: UInt64 = 0
    /// By level of tiles, fewer than 256 each.
    private(set) var edges: [[Hash256]] = []

    /// An empty tree.
    package init() {}

    /// The tree of a kept log.
    /// - Parameters:
    ///   - edges: for each level the hashes after its last full tile.
    init(size: UInt64, edges: [[Hash256]]) {
        self.size = size
        self.edges = edges
    }

    /// An inner node.
    package static func node(_ left: Hash256, _ right: Hash256) -> Hash256 { Hash256(of: 1, left, right) }

    /// Appends a leaf. Tiles that are full now are added to `tiles`.
    package mutating func append(_ leaf: Hash256, _ tiles: inout [HashTile]) {
        size += 1
        append(leaf, level: 0, &tiles)
    }

    /// Appends the leaves of a whole tile, whose root was computed before.
    /// - Precondition: the last tile is full.
    mutating func append(tile leaves: [Hash256], root: Hash256, _ tiles: inout [HashTile]) {
        precondition(size.isMultiple(of: UInt64(HashTile.width)) && leaves.count == HashTile.width)
        size += UInt64(HashTile.width)
        if edges.isEmpty { edges.append([]) }
        tiles.append(HashTile(level: 0, index: (size >> 8) - 1, leaves))
        append(root, level: 1, &tiles)
    }

    private mutating func append(_ first: Hash256, level: Int, _ tiles: inout [HashTile]) {
        var (hash, level) = (first, level)
        while true {
            if level == edges.count { edges.append([]) }
            edges[level].append(hash)
            guard edges[level].count == HashTile.width else { return }
            tiles.append(
                HashTile(level: level, index: (size >> UInt64(8 * (level + 1))) - 1, edges[level]))
            hash = Self.root(ofFull: edges[level])
            edges[level].removeAll(keepingCapacity: true)
            level += 1
        }
    }

    /// The root: SHA-256 of nothing for an empty tree.
    package var root: Hash256 {
        var root: Hash256?
        // From the right: the smallest perfect trees are in the lowest level.
        for edge in edges {
            var end = edge.count
            while end > 0 {
                let width = end & -end
                let peak = Self.root(ofFull: Array(edge[end - width..<end]))
                root = root.map { Self.node(peak, $0) } ?? peak
                end -= width
            }
        }
        return root ?? Hash256(of: [])
    }

    /// The root of a perfect tree over a power of two of hashes.
    static func root(ofFull hashes: [Hash256]) -> Hash256 {
        var level = hashes
        var count = hashes.count
        while count > 2 {
            count /= 2
            // Two at a time are faster.
            for index in stride(from: 0, to: count, by: 2) {
                (level[index], level[index + 1]) = Hash256.pair(of: 1, level, at: 2 * index)
            }
        }
        return count == 2 ? node(level[0], level[1]) : level[0]
    }
}

extension HashTile {
    /// A tile of so many hashes.
    init(level: Int, index: UInt64, _ values: [Hash256]) {
        var hashes: [UInt8] = []
        hashes.reserveCapacity(Self.bytes)
        for value in values { value.append(to: &hashes) }
        self.init(level: level, index: index, hashes: hashes)
    }

    /// The hashes, in order.
    package var values: [Hash256] {
        // SAFETY: each slice is inside the bytes, which are borrowed for the call.
        unsafe hashes.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: Hash256.count).compactMap {
                unsafe Hash256(UnsafeRawBufferPointer(rebasing: bytes[$0..<$0 + Hash256.count]))
            }
        }
    }
}
