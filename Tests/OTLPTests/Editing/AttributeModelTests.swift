import OTLP
import TestSupport
import Testing

/// What is set, renamed and removed must be what arrives, however the editor keeps it meanwhile: an operator who deletes a
/// secret would otherwise still send it.
@Suite("Attributes, against a list")
struct AttributeModelTests {
    /// A message of attributes as a plain list, changed as the editor's documentation says.
    private struct Model {
        struct Entry {
            var number: UInt32
            var key: String
            var value: [UInt8]
        }
        var entries: [Entry] = []

        func first(_ key: String) -> Int? { entries.firstIndex { $0.number == 9 && $0.key == key } }

        mutating func set(_ key: String, _ value: [UInt8]) {
            if let index = first(key) {
                entries[index].value = value
            } else {
                entries.append(Entry(number: 9, key: key, value: value))
            }
        }
    }

    private static func varint(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 0x7F | 0x80)] + varint(value >> 7)
    }

    private static func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        [number << 3 | 2] + varint(content.count) + content
    }

    /// Valid in every form that protobuf allows: value first, the key twice, an unknown field, a length of two bytes.
    private static func keyValue(_ key: String, _ value: [UInt8], form: Int) -> [UInt8] {
        let (key, value) = (field(1, Array(key.utf8)), field(2, value))
        switch form {
        case 0: return value + key
        case 1: return field(1, Array("other".utf8)) + key + value
        case 2: return key + value + field(7, [1, 2])
        case 3: return key.isEmpty ? value : [key[0], key[1] | 0x80, 0] + key.dropFirst(2) + value
        default: return key + value
        }
    }

    private static func text(_ number: Int, count: Int) -> [UInt8] {
        field(1, Array(String(repeating: "v\(number)", count: count).utf8))
    }

    @Test("thousands of random edits end as they do in a list", arguments: 0..<8 as Range<UInt64>)
    func randomEdits(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let editor = RequestEditor()
        let keys = ["a", "bb", "other", "k.long.enough.to.be.compared", "", "zz"]
        for round in 0..<600 {
            var model = Model()
            // What SDKs write, and what else there may be.
            let forms = round.isMultiple(of: 2) ? 4..<5 : 0..<9
            var message: [UInt8] = []
            for number in 0..<Int.random(in: 0..<14, using: &random) {
                if Int.random(in: 0..<4, using: &random) == 0 {
                    message += [3 << 3 | 0, UInt8(number)]
                    model.entries.append(.init(number: 3, key: "", value: [UInt8(number)]))
                    continue
                }
                let key = keys.randomElement(using: &random)!
                let value = Self.text(number, count: Int.random(in: 0..<3, using: &random))
                let form = Int.random(in: forms, using: &random)
                message += Self.field(9, Self.keyValue(key, value, form: form))
                model.entries.append(.init(number: 9, key: key, value: value))
            }
            message.withUnsafeBytes { buffer in
                editor.open(WireBytes(buffer))
                let table = editor.attributes(editor.root, 9)
                for step in 0..<Int.random(in: 0..<24, using: &random) {
                    let key = keys.randomElement(using: &random)!
                    let bytes = editor.keep(key)
                    switch Int.random(in: 0..<8, using: &random) {
                    case 0...2:
                        let value = Self.text(step, count: 40 * Int.random(in: 0..<2, using: &random) + 1)
                        let content = Array(value.dropFirst(value.count > 127 ? 3 : 2))
                        editor.set(bytes, to: .string(editor.keep(content)), in: table)
                        model.set(key, value)
                    case 3, 4:
                        #expect(editor.remove(bytes, in: table) == (model.first(key) != nil))
                        model.entries.removeAll { $0.number == 9 && $0.key == key }
                    case 5:
                        let value = editor.value(bytes, in: table)
                        #expect((value == nil) == (model.first(key) == nil))
                        #expect(editor.contains(bytes, in: table) == (model.first(key) != nil))
                    case 6 where Int.random(in: 0..<4, using: &random) == 0:
                        editor.setBits(editor.root, 3, .varint, UInt64(step))
                        if let last = model.entries.lastIndex(where: { $0.number == 3 }) {
                            model.entries[last].value = [UInt8(step)]
                        } else {
                            model.entries.append(.init(number: 3, key: "", value: [UInt8(step)]))
                        }
                        #expect(editor.bits(editor.root, 3) == UInt64(step))
                    default:
                        guard Int.random(in: 0..<4, using: &random) == 0 else { continue }
                        let count = model.entries.count { $0.number == 9 }
                        #expect(editor.attributeCount(table) == count)
                        if let position = editor.find(bytes, in: table), let index = model.first(key) {
                            editor.rename(table, at: position, to: editor.keep("new"))
                            model.entries[index].key = "new"
                        }
                    }
                }
                var written = [UInt8](repeating: 0, count: editor.writtenCount)
                written.withUnsafeMutableBytes { editor.write(into: $0) }
                written.withUnsafeBytes { buffer in
                    let fields = Array(WireBytes(buffer).fields)
                    #expect(fields.count == model.entries.count)
                    for (field, entry) in zip(fields, model.entries) {
                        #expect(field.number == entry.number)
                        guard field.number == 9 else {
                            #expect(field.bits == UInt64(entry.value[0]))
                            continue
                        }
                        var (key, value): ([UInt8], [UInt8]) = ([], [])
                        for part in field.bytes.fields {
                            if part.number == 1 { key = part.bytes.array }
                            if part.number == 2 { value = part.bytes.array }
                        }
                        #expect(String(decoding: key, as: UTF8.self) == entry.key)
                        #expect(value == entry.value)
                    }
                }
            }
        }
    }
}
