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
        var hash = leaf
        var level = 0
        while true {
            if level == edges.count { edges.append([]) }
            edges[level].append(hash)
            guard edges[level].count == HashTile.width else { return }
            tiles.append(
                HashTile(
                    level: level, index: (size >> UInt64(8 * (level + 1))) - 1,
                    hashes: edges[level].flatMap(\.bytes)))
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
        while level.count > 1 {
            level = stride(from: 0, to: level.count, by: 2).map { node(level[$0], level[$0 + 1]) }
        }
        return level[0]
    }
}

extension HashTile {
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
