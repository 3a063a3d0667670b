import Testing

@testable import Hashing

/// Without these a log's verification would compare digests that nobody else computes.
@Suite("Hash256")
struct Hash256Tests {
    /// Two messages at once are another way through the processor: around each end of a block it must come to the same.
    @Test("two digests at once are those of one after the other")
    func pair() {
        let bytes = (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let lengths = [0, 1, 54, 55, 56, 62, 63, 64, 65, 118, 119, 126, 127, 128, 129, 191, 192, 300, 400]
        for one in lengths {
            for other in lengths {
                let (a, b) = (Array(bytes[..<one]), Array(bytes.reversed()[..<other]))
                a.withUnsafeBytes { first in
                    b.withUnsafeBytes { second in
                        let plain = Hash256.pair(nil, first, nil, second)
                        #expect(plain == (Hash256(of: a), Hash256(of: b)), "\(one), \(other)")
                        let leaf = Hash256.pair(0, first, 1, second)
                        #expect(
                            leaf == (Hash256(of: 0, then: a), Hash256(of: 1, then: b)), "\(one), \(other)")
                    }
                }
            }
        }
    }

    /// A log's tree is made of these.
    @Test("two nodes at once are those of one after the other")
    func nodes() {
        let parts = (0..<8).map { Hash256(of: [UInt8($0)]) }
        for index in 0...4 {
            let nodes = Hash256.pair(of: 1, parts, at: index)
            #expect(nodes.0 == Hash256(of: 1, parts[index], parts[index + 1]))
            #expect(nodes.1 == Hash256(of: 1, parts[index + 2], parts[index + 3]))
        }
    }
}
