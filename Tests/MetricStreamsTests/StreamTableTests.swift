import MetricStreams
import OTLP
import Pipeline
import TestSupport
import Testing

/// What is remembered of streams.
@Suite("Streams")
struct StreamTableTests {
    private struct Sum: StreamState {
        var values: [UInt64] = []
        var keptBytes: Int { 8 * values.count }
    }

    private func key(_ number: UInt64) -> StreamKey { StreamKey(WireHash(low: number, high: 1)) }

    /// Without a bound a client with a label of its own for each request takes all memory.
    @Test("streams beyond the limit are refused, known ones are not; memory is charged and given back")
    func limit() {
        let ledger = MemoryLedger()
        do {
            var table = StreamTable<Sum>(limit: 2, ledger: ledger)
            for number in [1, 2, 1] as [UInt64] {
                let isNew = table.update(key(number), now: number, new: Sum()) { state, isNew in
                    state.values.append(number)
                    return isNew
                }
                #expect(isNew == (number == 2 || table.count == 1))
            }
            #expect(table.update(key(3), now: 3, new: Sum()) { _, _ in true } == nil)
            let full = ledger.bytes
            #expect(full > 24)
            #expect(table.removeStreams(notSeenSince: 2) == 1 && table.count == 1)
            #expect(ledger.bytes < full && ledger.bytes > 0)
            #expect(table.update(key(3), now: 3, new: Sum()) { _, isNew in isNew } == true)
        }
        #expect(ledger.bytes == 0)
    }

    private func attributes(_ pairs: [(String, String)]) -> [UInt8] {
        var writer = ProtoWriter()
        for (name, value) in pairs { writer.attribute(7, name, value) }
        return writer.bytes
    }

    /// A client that writes its attributes in another order must not begin a new stream each time.
    @Test("attributes in another order are the same stream, other attributes are not")
    func order() {
        let hasher = StreamHasher()
        let editor = RequestEditor()
        func hash(_ bytes: [UInt8]) -> WireHash {
            bytes.withUnsafeBytes { buffer in
                editor.open(WireBytes(buffer))
                return hasher.add(editor.attributes(editor.root, 7), of: editor, to: StreamHasher.start)
            }
        }
        let one = hash(attributes([("a", "1"), ("b", "2")]))
        #expect(one == hash(attributes([("b", "2"), ("a", "1")])))
        #expect(one != hash(attributes([("a", "2"), ("b", "1")])))
        #expect(one != hash(attributes([("a", "1")])))
        #expect(hash([]) != one)
    }
}
