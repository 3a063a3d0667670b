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
            var table = StreamTable<Sum>(
                limit: 2, age: 3, sweepInterval: 3, now: 2, ledger: ledger)
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
            #expect(table.sweep(at: 4) == nil && table.count == 2)
            #expect(table.sweep(at: 5) == 1 && table.count == 1)
            #expect(table.sweep(at: 7) == nil)
            #expect(ledger.bytes < full && ledger.bytes > 0)
            #expect(table.update(key(3), now: 5, new: Sum()) { _, isNew in isNew } == true)
        }
        #expect(ledger.bytes == 0)
    }

    /// If it failed, streams would be mixed up, or whoever has a hundred thousand would stand still while stale ones are looked for.
    @Test("many streams come, go and come again, and are looked at some thousand at a time")
    func many() {
        let ledger = MemoryLedger()
        var table = StreamTable<Sum>(
            limit: 100_000, age: 10, sweepInterval: 10, now: 1, ledger: ledger)
        func touch(_ numbers: Range<UInt64>, now: UInt64) {
            for number in numbers {
                _ = table.update(key(number), now: now, new: Sum()) { state, _ in state.values.append(number)
                }
            }
        }
        touch(0..<60_000, now: 1)
        touch(0..<20_000, now: 5)
        var (calls, forgotten) = (0, 0)
        while let count = table.sweep(at: 12) {
            calls += 1
            forgotten += count
        }
        #expect(calls == 6 && forgotten == 40_000 && table.count == 20_000)
        touch(30_000..<60_000, now: 14)
        #expect(table.count == 50_000)
        for number in 0..<60_000 as Range<UInt64> {
            let kept = table.update(key(number), now: 14, new: Sum()) { state, _ in state.values }
            let expected = number < 20_000 ? [number, number] : number < 30_000 ? [] : [number]
            #expect(kept == expected)
        }
        while table.sweep(at: 30) != nil {}
        #expect(table.count == 0 && ledger.bytes == 0)
    }

    /// What comes of a stream that returns must not depend on how far a sweep has come; and where all is full of streams that are gone,
    /// new ones have room.
    @Test("stale streams are new when they return, and make room, before they are swept")
    func stale() {
        let ledger = MemoryLedger()
        var table = StreamTable<Sum>(
            limit: 1_000, age: 10, sweepInterval: 60_000_000_000, now: 0, ledger: ledger)
        func touch(_ number: UInt64, now: UInt64) -> Int? {
            table.update(key(number), now: now, new: Sum()) { state, isNew in
                #expect(isNew == state.values.isEmpty)
                state.values.append(now)
                return state.values.count
            }
        }
        for number in 0..<1_000 as Range<UInt64> { #expect(touch(number, now: 1) == 1) }
        let full = ledger.bytes
        #expect(table.contains(key(0), at: 11) && !table.contains(key(0), at: 12))
        #expect(touch(0, now: 11) == 2 && touch(1, now: 12) == 1 && touch(1_000, now: 11) == nil)
        // One of sixteen makes room for all that come: some are used.
        for number in 2..<998 as Range<UInt64> { #expect(touch(number, now: 11) == 2) }
        let found = (0..<100).filter { _ in touch(2_000, now: 12) != nil }
        #expect(found.count > 30 && table.count <= 1_000 && ledger.bytes <= full + 8 * 1_100)
        #expect(table.sweep(at: 60_000_000_000) != nil && table.count == 0 && ledger.bytes == 0)
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
