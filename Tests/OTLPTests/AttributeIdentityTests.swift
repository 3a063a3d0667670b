import TestSupport
import Testing

@testable import OTLP

/// What tells records, scopes and resources apart. Two that are taken for one are a record that nobody ever sees.
@Suite struct AttributeIdentityTests {
    private func identity(_ pairs: [(String, String)]) -> [UInt8] {
        var writer = ProtoWriter()
        for (key, value) in pairs { writer.attribute(7, key, value) }
        var identity = AttributeIdentity()
        writer.bytes.withUnsafeBytes { identity.add(attributes: WireBytes($0), 7) }
        return identity.bytes
    }

    /// Guarantees: the order does not count, of several entries with one key the first does, and everything else does; also where they
    /// are so many that they are read in another way.
    @Test(arguments: [3, 1_024, 1_025, 3_000])
    func sets(count: Int) {
        let pairs = (0..<count).map { ("key.\($0 * 7 % count)", "value \($0)") }
        let whole = identity(pairs)
        #expect(identity(pairs.reversed()) == whole)
        #expect(identity(pairs + [(pairs[1].0, "other")]) == whole)
        #expect(identity(pairs + [("more", "")]) != whole)
        #expect(identity(Array(pairs.dropLast())) != whole)
        var changed = pairs
        changed[count / 2].1 += "!"
        #expect(identity(changed) != whole)
    }

    /// Guarantees: what is read in one way is the same as what is read in the other.
    @Test func bothWays() {
        let pairs = (0..<1_024).map { ("key.\($0)", "v") }
        // One entry more, of a key that is there, is read the other way.
        #expect(identity(pairs + [pairs[5]]) == identity(pairs))
    }
}
