import Testing

@testable import OTLP

/// Messages with many attributes are looked up by an index: one that is wrong reads or changes another attribute than was meant.
@Suite struct AttributeIndexTests {
    private func field(_ number: UInt32, _ content: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.field(number, content)
        return writer.bytes
    }

    private func request(_ attributes: [(key: String, value: String)]) -> [UInt8] {
        let resource = attributes.flatMap {
            field(1, field(1, Array($0.key.utf8)) + field(2, field(1, Array($0.value.utf8))))
        }
        return field(1, field(1, resource) + field(2, field(2, [])))
    }

    private func wire<Result>(_ text: String, _ body: (WireBytes) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes { body(WireBytes($0)) }
    }

    /// Scenario: a thousand times, attributes of a resource are read, set, added, renamed and removed, some of whose keys stand there
    /// several times. Guarantees: what is read, and what stands there at the end, is what a list that is searched gives.
    @Test func asASearchedList() {
        var random = SystemRandomNumberGenerator()
        func key() -> String { "k\(Int.random(in: 0..<150, using: &random))" }
        for count in [33, 200, 700] {
            var model = (0..<count).map { (key: key(), value: "v\($0)") }
            let editor = RequestEditor()
            request(model).withUnsafeBytes { bytes in
                editor.open(WireBytes(bytes))
                let resource = editor.child(editor.child(editor.root, 1), 1)
                let table = editor.attributes(resource, 1)
                _ = editor.fieldCount(resource)
                for step in 0..<1000 {
                    let key = key()
                    let index = model.firstIndex { $0.key == key }
                    let generation = editor.generation(of: table)
                    switch step % 7 {
                    case 0:
                        wire(key) { key in
                            wire("s\(step)") { editor.set(key, to: .string($0), in: table) }
                        }
                        if let index {
                            model[index].value = "s\(step)"
                        } else {
                            model.append((key, "s\(step)"))
                        }
                        #expect(generation == nil || editor.generation(of: table) != generation)
                    case 1:
                        wire(key) { _ = editor.remove($0, in: table) }
                        model.removeAll { $0.key == key }
                    case 2:
                        if let index, let position = wire(key, { editor.find($0, in: table) }) {
                            wire("r\(step)") { editor.rename(table, at: position, to: $0) }
                            model[index].key = "r\(step)"
                        }
                    default:
                        let value: String? = wire(key) { key in
                            guard case .string(let text)? = editor.value(key, in: table) else { return nil }
                            return text.text
                        }
                        #expect(value == index.map { model[$0].value }, "\(key) at step \(step)")
                        #expect(editor.generation(of: table) == generation)
                    }
                }
                var found: [String] = []
                for position in 0..<editor.fieldCount(resource)
                where editor.number(resource, at: position) == 1 {
                    let attribute = Attribute(editor.content(resource, at: position))
                    guard case .string(let text) = attribute.value else { continue }
                    found.append("\(attribute.key.text)=\(text.text)")
                }
                #expect(found == model.map { "\($0.key)=\($0.value)" })
            }
        }
    }

    /// Scenario: a resource of 30 000 attributes is asked 30 000 times for one that is not there, for the last one, and for another field
    /// that stands in the midst; as many are added and removed by key. Guarantees: the time grows with their number, not with
    /// its square, which would be seconds of an event loop, and minutes of a larger request.
    @Test func linear() {
        let count = 30_000
        let start = ContinuousClock.now
        let editor = RequestEditor()
        request((0..<count).map { ("a\($0)", "") }).withUnsafeBytes { bytes in
            editor.open(WireBytes(bytes))
            let resource = editor.child(editor.child(editor.root, 1), 1)
            let table = editor.attributes(resource, 1)
            wire("missing") { missing in
                wire("a\(count - 1)") { last in
                    var found = 0
                    for _ in 0..<count {
                        if editor.value(missing, in: table) != nil { found -= 1 }
                        if editor.value(last, in: table) != nil { found += 1 }
                        _ = editor.bits(resource, 2)
                    }
                    #expect(found == count)
                }
            }
            for index in 0..<count {
                wire("b\(index)") { editor.set($0, to: .int(1), in: table) }
                wire("a\(index)") { _ = editor.remove($0, in: table) }
            }
            #expect(editor.attributeCount(table) == count)
        }
        #expect(ContinuousClock.now - start < .seconds(30))
    }
}
