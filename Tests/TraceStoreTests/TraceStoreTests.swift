import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import TraceStore

@Suite("TraceStore")
struct TraceStoreTests {
    /// A request of resources that each have one scope with spans of these traces.
    private func request(_ resources: [(name: String, traces: [UInt8])]) -> [UInt8] {
        var request = ProtoWriter()
        for resource in resources {
            request.message(1) {
                $0.message(1) { $0.attribute(1, "service.name", resource.name) }
                $0.message(2) { scope in
                    for trace in resource.traces {
                        scope.message(2) {
                            $0.field(1, Array(repeating: trace, count: 16))
                            $0.text(5, resource.name + "-span")
                        }
                    }
                    scope.text(3, "schema")
                }
                $0.text(3, "resource schema")
            }
        }
        return request.bytes
    }

    private func put(_ bytes: [UInt8], _ store: TraceStore) -> Int {
        let grouper = TraceGrouper(store.envelopes, findsRoots: false)
        return bytes.withUnsafeBytes { bytes in
            let request = WireBytes(bytes)
            return grouper.walk(request) { group, envelope in
                let index = store.find(group.trace) ?? store.add(group.trace, at: .now())
                _ = store.append(group, envelope, of: request, grouper, to: index)
            }
        }
    }

    /// Otherwise spans would end up in other traces, or under other resources.
    @Test("what goes in comes out, by trace, under its resource and scope", arguments: [true, false])
    func roundTrip(joins: Bool) throws {
        let store = TraceStore(ledger: nil)
        let traces = (0..<40).map { UInt8($0 % 13 + 1) }
        let bytes = request([("a", traces), ("b", [1, 1, 2]), ("a", [1])])
        #expect(put(bytes, store) == 44 && store.count == 13)
        let index = try #require(store.find(TraceID(low: 0x0101_0101_0101_0101, high: 0x0101_0101_0101_0101)))
        let writer = TraceWriter(store, joins: joins, on: EmbeddedEventLoop(), ledger: MemoryLedger())
        writer.add(store.takeChain(index))
        store.remove(index)
        let (written, spans) = try #require(writer.write())
        #expect(spans == 7 && writer.write() == nil)
        let summary = try written.bytes.withUnsafeReadableBytes { try summarize($0, as: .traces) }
        #expect(summary.items == 7 && summary.resources == (joins ? 2 : 3))
        let expected = request(
            joins
                ? [("a", [1, 1, 1, 1, 1]), ("b", [1, 1])]
                : [("a", [1, 1, 1, 1]), ("b", [1, 1]), ("a", [1])])
        // The same but for the order of a message's fields: spans come last.
        #expect(written.bytes.readableBytes == expected.count)
        #expect(put(Array(written.bytes.readableBytesView), store) == 7)
    }

    /// Otherwise the gateway's memory would grow with every trace that it has ever seen.
    @Test("nothing is left of what is removed")
    func nothingLeft() {
        let ledger = MemoryLedger()
        let store = TraceStore(ledger: ledger)
        #expect(put(request([("a", [1, 2, 3]), ("b", [3, 4])]), store) == 5)
        #expect(store.envelopes.count == 4 && ledger.bytes > 0)
        while let oldest = store.oldest { store.remove(oldest) }
        #expect(store.count == 0 && store.envelopes.count == 0 && ledger.bytes == 0 && store.bytes == 0)
    }

    /// Otherwise each burst of spans would wait for fresh pages of the kernel, or the memory of the largest one would never be
    /// given back.
    @Test("empty memory is kept for a while, as much as was in use")
    func spareMemory() {
        let store = TraceStore(ledger: nil)
        fillAndEmpty(store)
        let kept = store.spareSlabs
        #expect(kept > 4)
        store.trim()
        #expect((kept - 1...kept).contains(store.spareSlabs))
        for _ in 0..<200 { store.trim() }
        let least = store.spareSlabs
        #expect(least < 4)
        fillAndEmpty(store)
        #expect(store.spareSlabs == kept)
        store.trim(all: true)
        #expect(store.spareSlabs == least)
    }

    /// Fills a store with 40 000 traces and takes them all out again.
    private func fillAndEmpty(_ store: TraceStore) {
        #expect(put(RequestBuilder.makeTraces(spans: 40_000), store) == 40_000)
        while let oldest = store.oldest { store.remove(oldest) }
    }

    /// Otherwise the memory limiter would admit what there is no memory for.
    @Test("empty memory that is kept is charged, but for the least that always is")
    func spareMemoryIsCharged() {
        let ledger = MemoryLedger()
        var store: TraceStore? = TraceStore(ledger: ledger)
        store.map(fillAndEmpty)
        let spare = store?.spareSlabs ?? 0
        #expect(spare > 4 && ledger.bytes == (spare - 2) << 21)
        store.map(fillAndEmpty)
        #expect(ledger.bytes == (spare - 2) << 21)
        for _ in 0..<200 { store?.trim() }
        #expect(ledger.bytes == 0)
        store.map(fillAndEmpty)
        store = nil
        #expect(ledger.bytes == 0)
    }

    /// Otherwise a few traces that stay, among many that leave early, would take gigabytes of which the memory limiter knows a
    /// tenth.
    @Test("memory between spans that stay is charged, and given back with the last of them")
    func holesAreCharged() throws {
        let ledger = MemoryLedger()
        let store = TraceStore(ledger: ledger)
        for number in 0..<2600 as Range<UInt64> {
            var request = ProtoWriter()
            request.message(1) {
                $0.message(2) {
                    $0.message(2) {
                        $0.field(1, Self.id(number))
                        $0.field(5, Array(repeating: 7, count: 8000))
                    }
                }
            }
            let slabs = store.slabsInUse
            #expect(put(request.bytes, store) == 1)
            let index = try #require(store.find(Self.id(number).withUnsafeBytes { TraceID(WireBytes($0)) }))
            // The first one of each slab stays.
            if store.slabsInUse == slabs { store.remove(index) }
        }
        let slabs = store.slabsInUse
        #expect(slabs > 8 && store.count == slabs && store.bytes < slabs * 9000)
        // All of them but for what was not yet filled of the last one.
        #expect(ledger.bytes > (slabs - 1) * FragmentPool.slabBytes)
        #expect(ledger.bytes < slabs * FragmentPool.slabBytes + 10_000)
        while let oldest = store.oldest { store.remove(oldest) }
        #expect(ledger.bytes == max(0, store.spareSlabs - 2) * FragmentPool.slabBytes)
    }

    /// Otherwise clients would be refused for memory that nobody uses.
    @Test("empty memory is given back when the memory limit is near")
    func spareMemoryNearTheLimit() {
        final class Limit: AdmissionControl {
            var shouldPause: Bool { false }
            var limitBytes: Int { 100 << 20 }
            func admit(bytes: Int) -> Refusal? { nil }
        }
        let ledger = MemoryLedger()
        ledger.limit(by: Limit())
        let store = TraceStore(ledger: ledger)
        fillAndEmpty(store)
        #expect(store.spareSlabs > 4)
        ledger.charge(90 << 20)
        store.trim()
        #expect(store.spareSlabs == 2 && ledger.bytes == 90 << 20)
        fillAndEmpty(store)
        #expect(store.spareSlabs == 2 && ledger.bytes == 90 << 20)
    }

    /// Otherwise 16 MiB would be kept for each sampler that once had much to send, and the memory limiter would not know.
    @Test("buffers of requests are kept for ten seconds after the last one, and charged")
    func keptBuffers() throws {
        let ledger = MemoryLedger()
        let store = TraceStore(ledger: ledger)
        let writer = TraceWriter(store, on: EmbeddedEventLoop(), ledger: ledger)
        func write() throws {
            #expect(put(request([("a", Array(repeating: 1, count: 5000))]), store) == 5000)
            let index = try #require(store.oldest)
            writer.add(store.takeChain(index))
            store.remove(index)
            #expect(writer.write()?.spans == 5000)
        }
        try write()
        let kept = ledger.bytes
        #expect(kept > 100_000)
        for _ in 0..<9 { writer.trim() }
        try write()
        for _ in 0..<9 { writer.trim() }
        #expect(ledger.bytes == kept)
        writer.trim()
        #expect(ledger.bytes == 0)
    }

    /// Otherwise what a burst of traces needed would never be given back.
    @Test("a store that has given its records back takes traces as before")
    func forgottenRecords() {
        let store = TraceStore(ledger: nil)
        for _ in 0..<2 {
            fillAndEmpty(store)
            store.forgetRecords()
            #expect(store.count == 0 && store.oldest == nil && store.bytes == 0)
        }
        #expect(put(request([("a", [1, 2, 3]), ("b", [3, 4])]), store) == 5)
        #expect(store.count == 4 && store.oldest == 0)
    }

    /// Otherwise what has just come would be evicted instead of what came first.
    @Test("traces are in the order of their first spans, whichever go in between")
    func order() {
        let store = TraceStore(ledger: nil)
        func id(_ number: UInt64) -> TraceID { TraceID(low: number, high: 0) }
        var indices = (0..<5).map { store.add(id($0), at: .now()) }
        store.remove(indices[2])
        store.remove(indices[0])
        indices.append(store.add(id(7), at: .now()))
        var order: [UInt64] = []
        var next = store.oldest
        while let index = next {
            order.append(store.trace(index).low)
            next = store.newer(than: index)
        }
        #expect(order == [1, 3, 4, 7])
    }

    /// Otherwise one trace of very many spans, as all that have no trace id are, would be a request that no receiver takes, or
    /// the end of the process.
    @Test("a trace of a million spans leaves in requests of at most 16 MiB, with all of its spans")
    func largeTrace() throws {
        let store = TraceStore(ledger: nil)
        let bytes = request([
            ("a", Array(repeating: 1, count: 10_000)), ("b", Array(repeating: 1, count: 10_000)),
        ])
        for _ in 0..<50 { #expect(put(bytes, store) == 20_000) }
        let index = try #require(store.oldest)
        let writer = TraceWriter(store, on: EmbeddedEventLoop(), ledger: MemoryLedger())
        writer.add(store.takeChain(index))
        store.remove(index)
        var (requests, found) = (0, 0)
        while let (payload, spans) = writer.write() {
            let bytes = payload.bytes
            let summary = try bytes.withUnsafeReadableBytes { try summarize($0, as: .traces) }
            #expect(summary.items == spans && bytes.readableBytes <= 17 << 20)
            requests += 1
            found += spans
        }
        #expect(found == 1_000_000 && requests > 1 && writer.spans == 0 && writer.bytes == 0)
        #expect(store.bytes == 0 && store.envelopes.count == 0)
    }

    /// Otherwise "less than 200 bytes a trace" in the README would be a wish.
    @Test("a trace costs its bytes and less than 200 more")
    func cost() {
        let ledger = MemoryLedger()
        let store = TraceStore(ledger: ledger)
        let spans = 1000
        let bytes = RequestBuilder.makeTraces(spans: spans)
        #expect(put(bytes, store) == spans)
        #expect(store.count == spans && ledger.bytes <= bytes.count + 200 * spans)
    }

    /// Otherwise spans of one trace would be overwritten by those of another that was given the same memory.
    @Test("spans stay as they came while others come and go, small and large ones")
    func memoryIsUsedAgain() throws {
        let store = TraceStore(ledger: nil)
        var kept: [(trace: TraceID, size: Int)] = []
        var random = SystemRandomNumberGenerator()
        for number in 0..<4000 as Range<UInt64> {
            let size = number % 50 == 0 ? 20_000 : Int(random.next() % 900)
            var request = ProtoWriter()
            request.message(1) {
                $0.message(2) {
                    $0.message(2) {
                        $0.field(1, Self.id(number))
                        $0.field(5, Array(repeating: UInt8(number % 251), count: size))
                    }
                }
            }
            #expect(put(request.bytes, store) == 1)
            kept.append((Self.id(number).withUnsafeBytes { TraceID(WireBytes($0)) }, size))
            guard kept.count > 700 else { continue }
            let gone = kept.remove(at: Int(random.next() % 100))
            store.remove(try #require(store.find(gone.trace)))
        }
        for (trace, size) in kept {
            let index = try #require(store.find(trace))
            let text = Array(repeating: UInt8(trace.low % 251), count: size)
            let view = TraceView(trace, store.chain(index), store.envelopes)
            #expect(view.containsSpan { $0.message(Field.Span.name).array == text })
        }
    }

    private static func id(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) } + Array(repeating: 1, count: 8)
    }
}
