import Testing

@testable import Statements

/// Maps that clients make the gateway build: searched one by one, a record with 400 000 keys would keep a loop busy for minutes.
@Suite("maps that are built")
struct MapBuilderTests {
    /// Guarantees: whatever its size, a map is what putting the same entries one by one makes.
    @Test(arguments: [0, 1, 15, 16, 17, 40, 300])
    func isAsPut(_ size: Int) {
        var generator = SystemRandomNumberGenerator()
        let start = (0..<size / 2).map { MapEntry(key: Bytes("k\($0)"), value: .int(Int64($0))) }
        var built = MapBuilder(start)
        var plain = start
        for round in 0..<size {
            let key = "k\(Int.random(in: 0..<max(1, size), using: &generator))"
            #expect(built.contains(Bytes(key)) == plain.contains { $0.key == Bytes(key) })
            built.put(key, .int(Int64(round)))
            plain.put(key, .int(Int64(round)))
        }
        #expect(built.entries.map { $0.key.text } == plain.map { $0.key.text })
        #expect(
            built.entries.map { TextForm.attributeText($0.value).text }
                == plain.map { TextForm.attributeText($0.value).text })
    }
}
