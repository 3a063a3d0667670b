import OTLP
import TestSupport
import Testing

/// What a processor changes must arrive, and nothing else may differ: an operator who sets one attribute would otherwise find
/// fields of newer applications gone.
@Suite("RequestEditor")
struct RequestEditorTests {
    private let editor = RequestEditor()

    /// Opens, edits, and gives what is written.
    private func edited(_ bytes: [UInt8], _ edit: (RequestEditor) -> Void) -> [UInt8] {
        bytes.withUnsafeBytes { buffer in
            editor.open(WireBytes(buffer))
            edit(editor)
            let count = editor.writtenCount
            return [UInt8](unsafeUninitializedCapacity: count) { room, filled in
                editor.write(
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(room)[..<count]))
                filled = count
            }
        }
    }

    private func key(_ text: String) -> WireBytes { editor.keep(text) }

    @Test("an attribute that gets another value or key keeps fields that this version does not know")
    func unknownFieldsOfAttributes() {
        let span = { (key: String, value: String) in
            traceRequest {
                $0.message(9) {
                    $0.integer(99, 5)
                    $0.text(1, key)
                    $0.message(2) { $0.text(1, value) }
                    $0.text(77, "new")
                }
            }
        }
        let expected = { (key: String, value: String) in
            traceRequest {
                $0.message(9) {
                    $0.text(1, key)
                    $0.message(2) { $0.text(1, value) }
                    $0.integer(99, 5)
                    $0.text(77, "new")
                }
            }
        }
        func edit(_ change: @escaping (RequestEditor, AttributeTable) -> Void) -> [UInt8] {
            edited(span("k", "a")) { editor in
                editor.forEachItem { item in
                    change(editor, editor.attributes(item.item, Field.Span.attributes))
                    return .keep
                }
            }
        }
        #expect(edit { $0.set(self.key("k"), to: .string(self.key("b")), in: $1) } == expected("k", "b"))
        #expect(edit { $0.rename($1, at: 0, to: self.key("other")) } == expected("other", "a"))
    }

    @Test("what was only looked at is written byte by byte as it came", arguments: Signal.allCases)
    func lookingChangesNothing(signal: Signal) {
        for seed in 0..<200 as Range<UInt64> {
            let request = RandomRequest.make(signal, seed: seed)
            let written = edited(request) { editor in
                editor.forEachItem { item in
                    if signal == .metrics { editor.forEachPoint(item.item) { _ in .keep } }
                    _ = editor.child(item.item, Field.Span.status)
                    _ = editor.value(
                        key("x"), in: editor.attributes(item.scope.scope, Field.Scope.attributes))
                    return .keep
                }
                #expect(!editor.isChanged)
            }
            #expect(written == request)
        }
    }

    @Test(
        "an attribute that is set and removed again leaves the request as it was", arguments: Signal.allCases)
    func settingAndRemoving(signal: Signal) throws {
        for seed in 0..<200 as Range<UInt64> {
            let request = RandomRequest.make(signal, seed: seed)
            let changed = edited(request) { editor in
                editor.forEachItem { item in
                    let resource = editor.attributes(item.scope.resource.resource, Field.Resource.attributes)
                    editor.set(key("sluice.test"), to: .int(7), in: resource)
                    editor.set(
                        key("sluice.test"), to: .string(key("é")), in: editor.attributes(item.item, 29))
                    return .keep
                }
            }
            _ = try changed.withUnsafeBytes { try summarize($0, as: signal) }
            let back = edited(changed) { editor in
                editor.forEachItem { item in
                    let table = editor.attributes(item.item, 29)
                    #expect(editor.value(key("sluice.test"), in: table) != nil)
                    #expect(editor.remove(key("sluice.test"), in: table))
                    return .keep
                }
                editor.forEachResource { place in
                    editor.remove(
                        key("sluice.test"), in: editor.attributes(place.resource, Field.Resource.attributes))
                    return .keep
                }
            }
            // A resource that was not there is there now, and empty.
            if Self.everyEntryHasItsResource(request) { #expect(back == request) }
        }
    }

    private static func everyEntryHasItsResource(_ request: [UInt8]) -> Bool {
        request.withUnsafeBytes { buffer in
            WireBytes(buffer).fields.allSatisfy { entry in
                entry.number != Field.Request.resources
                    || entry.bytes.fields.contains { $0.number == Field.ResourceEntry.resource }
            }
        }
    }

    @Test("every second item is removed, the others stay whole", arguments: Signal.allCases)
    func removing(signal: Signal) throws {
        for seed in 0..<200 as Range<UInt64> {
            let request = RandomRequest.make(signal, seed: seed)
            var index = 0
            var kept: [[UInt8]] = []
            let written = edited(request) { editor in
                editor.forEachItem(pruning: true) { item in
                    index += 1
                    guard index.isMultiple(of: 2) else { return .remove }
                    kept.append(editor.content(item.item).array)
                    return .keep
                }
            }
            var found: [[UInt8]] = []
            written.withUnsafeBytes { buffer in
                for entry in WireBytes(buffer).fields where entry.number == Field.Request.resources {
                    var scopes = 0
                    for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes {
                        let items = scope.bytes.fields.filter { $0.number == Field.ScopeEntry.entries }
                        #expect(!items.isEmpty, "an empty scope was kept")
                        scopes += 1
                        found += items.map(\.bytes.array)
                    }
                    #expect(scopes > 0, "an empty resource was kept")
                }
            }
            #expect(found == kept)
        }
    }

    @Test("a message that does not exist reads as empty and comes into being when it is changed")
    func virtualMessages() {
        var entry = ProtoWriter()
        entry.message(1) { $0.message(2) { $0.message(2) { $0.text(5, "name") } } }
        let written = edited(entry.bytes) { editor in
            editor.forEachItem { item in
                let status = editor.child(item.item, Field.Span.status)
                #expect(!editor.has(item.item, Field.Span.status))
                #expect(editor.bits(status, Field.SpanStatus.code) == 0)
                editor.setBits(status, Field.SpanStatus.code, .varint, 2)
                #expect(editor.has(item.item, Field.Span.status))
                return .keep
            }
        }
        var expected = ProtoWriter()
        expected.message(1) {
            $0.message(2) {
                $0.message(2) {
                    $0.text(5, "name")
                    $0.message(15) { $0.integer(3, 2) }
                }
            }
        }
        #expect(written == expected.bytes)
    }

    @Test("of several fields of a number the last counts, beside others and behind hundreds")
    func lastFields() {
        var message = ProtoWriter()
        for (number, value) in [(3, 1), (3, 2), (19, 7)] as [(Int, UInt64)] {
            message.integer(number, value)
        }
        for index in 0..<300 { message.text(9, "\(index)") }
        message.integer(4, 5)
        let written = edited(message.bytes) { editor in
            let root = editor.root
            #expect(editor.fieldCount(root) == 304)
            #expect(editor.bits(root, 3) == 2)
            #expect(editor.bits(root, 19) == 7)
            #expect(editor.bits(root, 4) == 5)
            #expect(!editor.has(root, 20) && !editor.has(root, 35))
            editor.setBits(root, 3, .varint, 8)
            editor.setBits(root, 4, .varint, 9)
            editor.remove(root, at: 2)
            #expect(!editor.has(root, 19))
            editor.appendBits(root, 19, .varint, 6)
            #expect(editor.bits(root, 19) == 6)
            #expect(editor.bits(root, 3) == 8)
            #expect(editor.bits(root, 4) == 9)
        }
        var expected = ProtoWriter()
        expected.integer(3, 1)
        expected.integer(3, 8)
        for index in 0..<300 { expected.text(9, "\(index)") }
        expected.integer(4, 9)
        expected.integer(19, 6)
        #expect(written == expected.bytes)
    }

    @Test("the first of several attributes of one key is read and set, renaming keeps the value")
    func duplicates() {
        func attribute(_ writer: inout ProtoWriter, _ key: String, _ value: String) {
            writer.message(1) {
                $0.text(1, key)
                $0.message(2) { $0.text(1, value) }
            }
        }
        var entry = ProtoWriter()
        entry.message(1) {
            $0.message(1) {
                attribute(&$0, "a", "1")
                attribute(&$0, "a", "2")
                attribute(&$0, "b", "3")
            }
        }
        let written = edited(entry.bytes) { editor in
            editor.forEachResource { place in
                let table = editor.attributes(place.resource, Field.Resource.attributes)
                #expect(editor.attributeCount(table) == 3)
                editor.set(key("a"), to: .string(key("one")), in: table)
                editor.rename(table, at: 2, to: key("c"))
                #expect(editor.find(key("b"), in: table) == nil)
                return .keep
            }
        }
        var expected = ProtoWriter()
        expected.message(1) {
            $0.message(1) {
                attribute(&$0, "a", "one")
                attribute(&$0, "a", "2")
                attribute(&$0, "c", "3")
            }
        }
        #expect(written == expected.bytes)
    }

    @Test("values of every kind are written as they are read")
    func values() {
        let list = ProtoWriter.with { $0.message(1) { $0.integer(3, 5) } }
        let request = ProtoWriter.with { $0.message(1) { $0.message(1) { _ in } } }
        let values: [AttributeValue] = [
            .empty, .string(key("text")), .bool(true), .bool(false), .int(-1), .int(0), .double(-0.5),
            .array(editor.keep(list)), .keyValueList(editor.keep([])), .bytes(editor.keep([0, 255])),
        ]
        for value in values {
            var bytes: [UInt8] = []
            value.encode(to: &bytes)
            let written = edited(request) { editor in
                editor.forEachResource { place in
                    // What is set is kept by the editor: bytes of an earlier request are not.
                    let again = bytes.withUnsafeBytes { AttributeValue(WireBytes($0)) }
                    editor.set(editor.keep("k"), to: again, in: editor.attributes(place.resource, 1))
                    return .keep
                }
            }
            let expected = ProtoWriter.with {
                $0.message(1) {
                    $0.message(1) {
                        $0.message(1) {
                            $0.text(1, "k")
                            $0.field(2, bytes)
                        }
                    }
                }
            }
            #expect(written == expected)
        }
    }

    @Test(
        "attributes of spans and of what is around them are changed by turns: few, a hundred, long, read after"
    )
    func attributesByTurns() {
        func attribute(_ bytes: inout ProtoWriter, _ number: Int, _ key: String, _ value: String) {
            bytes.message(number) {
                $0.text(1, key)
                $0.message(2) { $0.text(1, value) }
            }
        }
        func request(_ value: String, _ added: String?) -> [UInt8] {
            message {
                $0.message(1) {
                    $0.message(1) { attribute(&$0, 1, "k", value) }
                    $0.message(2) {
                        $0.message(1) { attribute(&$0, 3, "k", value) }
                        for (count, bytes) in [(1, 3), (100, 3), (2, 40_000), (3, 200), (0, 0)] {
                            $0.message(2) {
                                for index in 0..<count {
                                    attribute(&$0, 9, "old\(index)", String(repeating: "x", count: bytes))
                                }
                                attribute(&$0, 9, "k", value)
                                $0.text(5, "name")
                                if let added { attribute(&$0, 9, "added", added) }
                            }
                        }
                    }
                }
            }
        }
        let written = edited(request("a", nil)) { editor in
            let value = AttributeValue.string(self.key("b"))
            editor.forEachItem { item in
                let tables = [
                    editor.attributes(item.item, Field.Span.attributes),
                    editor.attributes(item.scope.scope, Field.Scope.attributes),
                    editor.attributes(item.scope.resource.resource, Field.Resource.attributes),
                ]
                for table in tables {
                    editor.set(self.key("k"), to: value, in: table)
                    #expect(editor.value(self.key("k"), in: table)?.isSame(as: value) == true)
                }
                editor.set(self.key("added"), to: value, in: tables[0])
                #expect(editor.content(item.item, Field.Span.name) == "name")
                editor.set(self.key("added"), to: .string(self.key("c")), in: tables[0])
                return .keep
            }
        }
        #expect(written == request("b", "c"))
    }

    @Test("memory of a walk that changes every item stays that of the request, and is given back")
    func memory() {
        let request = RequestBuilder.makeTraces(spans: 10_000)
        _ = edited(request) { editor in
            editor.forEachItem { item in
                editor.set(key("k"), to: .bool(true), in: editor.attributes(item.item, Field.Span.attributes))
                return .keep
            }
            #expect(editor.workingBytes < 3 * request.count)
        }
        editor.open(.none)
        #expect(editor.workingBytes < 2 << 20)
    }

    /// One small request of a client must not take a hundred times its size, whatever is done to each item.
    @Test("what is kept for one item is given back with it")
    func memoryIsThatOfOneItem() {
        var writer = ProtoWriter()
        writer.message(1) { entry in
            entry.message(1) { _ in }
            for _ in 0..<20 {
                entry.message(2) { scope in
                    scope.message(1) { _ in }
                    for _ in 0..<5_000 { scope.message(2) { $0.field(9, []) } }
                }
            }
        }
        let table = { (item: ItemPlace) in self.editor.attributes(item.item, Field.Span.attributes) }
        let edits: [(ItemPlace) -> Keep] = [
            { _ in .remove },
            {
                // A patch, then a row.
                self.editor.set(self.key("a"), to: .bool(true), in: table($0))
                self.editor.removeAll($0.item)
                return .remove
            },
            {
                self.editor.set(
                    self.key("a"), to: .int(1),
                    in: self.editor.attributes($0.scope.scope, Field.Scope.attributes))
                return .remove
            },
        ]
        for edit in edits {
            writer.bytes.withUnsafeBytes { buffer in
                editor.open(WireBytes(buffer))
                editor.forEachItem { edit($0) }
                #expect(editor.workingBytes < 5 << 20)
            }
        }
    }
}

extension ProtoWriter {
    fileprivate static func with(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
        var writer = ProtoWriter()
        build(&writer)
        return writer.bytes
    }
}
