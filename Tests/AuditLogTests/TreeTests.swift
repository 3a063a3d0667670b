import Hashing
import Testing

@testable import AuditLog

/// Without these a proof would be one that no other implementation of RFC 6962 takes.
@Suite("Tree")
struct TreeTests {
    /// The definition of RFC 6962 section 2.1, word by word.
    static func root(_ leaves: ArraySlice<Hash256>) -> Hash256 {
        if leaves.isEmpty { return Hash256(of: []) }
        if leaves.count == 1 { return leaves[leaves.startIndex] }
        var split = 1
        while split * 2 < leaves.count { split *= 2 }
        let middle = leaves.startIndex + split
        return MerkleTree.node(root(leaves[..<middle]), root(leaves[middle...]))
    }

    static func leaves(_ count: Int) -> [Hash256] {
        (0..<count).map { Hash256(of: 0, then: Array("\($0)".utf8)) }
    }

    /// A tree and its full tiles.
    static func tree(_ leaves: [Hash256]) -> (tree: MerkleTree, tiles: [HashTile]) {
        var tree = MerkleTree()
        var tiles: [HashTile] = []
        for leaf in leaves { tree.append(leaf, &tiles) }
        return (tree, tiles)
    }

    static func reader(_ leaves: [Hash256]) -> MerkleReader {
        let (tree, tiles) = tree(leaves)
        return MerkleReader(tree) { level, index in tiles.first { $0.level == level && $0.index == index } }
    }

    /// The root of the tests of Certificate Transparency: eight known entries.
    @Test("the root of known leaves is the published one")
    func published() {
        let entries: [[UInt8]] = [
            [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43],
            [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            [0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ]
        let (tree, _) = Self.tree(entries.map { Hash256(of: 0, then: $0) })
        #expect(tree.root.description == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
    }

    /// Trees larger than a tile and than a tile of tiles' half must have the root of the definition.
    @Test(
        "every size has the root of the definition",
        arguments: [0, 1, 2, 3, 7, 255, 256, 257, 511, 700, 1025])
    func roots(count: Int) throws {
        let leaves = Self.leaves(count)
        let (tree, tiles) = Self.tree(leaves)
        #expect(tree.root == Self.root(leaves[...]))
        #expect(tree.size == UInt64(count))
        #expect(tiles.count == count / 256)
        #expect(try Self.reader(leaves).root(size: UInt64(count)) == tree.root)
    }

    /// More than 65 536 leaves: the second level of tiles.
    @Test("a tile of tiles is kept")
    func levels() throws {
        let leaves = Self.leaves(65_536 + 300)
        let (tree, tiles) = Self.tree(leaves)
        #expect(tree.root == Self.root(leaves[...]))
        #expect(tiles.filter { $0.level == 1 }.map(\.index) == [0])
        let reader = Self.reader(leaves)
        for size in [65_535, 65_536, 65_537, 65_800] {
            #expect(try reader.root(size: UInt64(size)) == Self.root(leaves[..<size]))
        }
        let proof = try reader.inclusion(of: 12_345, size: 65_800)
        #expect(
            MerkleProof.root(leaf: leaves[12_345], index: 12_345, size: 65_800, proof: proof)
                == Self.root(leaves[..<65_800]))
    }

    /// An auditor who checks one event has nothing else.
    @Test("every leaf of every size is proven", arguments: [1, 2, 3, 8, 13, 300])
    func inclusion(count: Int) throws {
        let leaves = Self.leaves(count)
        let reader = Self.reader(leaves)
        for size in Set([1, count / 2 + 1, count]) {
            let root = Self.root(leaves[..<size])
            for index in 0..<size {
                var proof = try reader.inclusion(of: UInt64(index), size: UInt64(size))
                let found = MerkleProof.root(
                    leaf: leaves[index], index: UInt64(index), size: UInt64(size), proof: proof)
                #expect(found == root)
                // Another leaf, another index, a longer and a shorter proof do not lead there.
                let other = MerkleProof.root(
                    leaf: Hash256(of: [9]), index: UInt64(index), size: UInt64(size), proof: proof)
                #expect(other != root)
                proof.append(root)
                #expect(
                    MerkleProof.root(
                        leaf: leaves[index], index: UInt64(index), size: UInt64(size), proof: proof) != root)
            }
        }
        #expect(MerkleProof.root(leaf: leaves[0], index: 5, size: 5, proof: []) == nil)
    }

    /// A log that was rewritten must not pass for a longer one.
    @Test("every earlier tree is proven to be a part of the later one")
    func consistency() throws {
        let leaves = Self.leaves(40)
        let reader = Self.reader(leaves)
        for old in 1...40 {
            for new in old...40 {
                let proof = try reader.consistency(from: UInt64(old), to: UInt64(new))
                let (oldRoot, newRoot) = (Self.root(leaves[..<old]), Self.root(leaves[..<new]))
                #expect(
                    MerkleProof.isConsistent(
                        old: UInt64(old), oldRoot: oldRoot, new: UInt64(new), newRoot: newRoot, proof: proof))
                #expect(
                    !MerkleProof.isConsistent(
                        old: UInt64(old), oldRoot: Hash256(of: [1]), new: UInt64(new), newRoot: newRoot,
                        proof: proof))
            }
        }
    }
}
