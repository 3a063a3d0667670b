package import NIOCore
package import OTLP
package import Pipeline

/// Traces that wait, as the bytes of their spans, found by trace id, in the order of their first spans.
///
/// A trace costs the bytes of its spans, 24 bytes for each time that spans of it came, and less than 150 more; resources
/// and scopes are kept once for all traces. All of it is charged to the ledger. One thread.
package final class TraceStore {
    /// Which trace, as long as it is in the store.
    package typealias Index = Int

    private struct Record {
        var trace = TraceID(low: 0, high: 0)
        var chain = SpanChain()
        var arrival = NIODeadline.distantPast
        /// When the owner noted something.
        var noted = NIODeadline.distantPast
        /// Set by the owner.
        var note: UInt8 = 0
        /// Tells the traces apart that have had this index.
        var generation: UInt32 = 0
        /// The neighbours in the order of arrival.
        var older: Int32 = -1
        var newer: Int32 = -1
    }

    package let envelopes: EnvelopeTable
    private let ledger: MemoryLedger?
    private var records: ContiguousArray<Record> = []
    private var free: [Int32] = []
    private var indices = HashIndex()
    private let pool = FragmentPool()
    private var oldestIndex: Int32 = -1
    private var newestIndex: Int32 = -1
    /// Bytes of all spans in the store and of what keeps them, without resources and scopes.
    package private(set) var bytes = 0

    /// Charged for a trace beside its fragments: its record and its place in the table.
    package static let recordBytes = 136

    package init(ledger: MemoryLedger?) {
        self.ledger = ledger
        envelopes = EnvelopeTable(ledger: ledger)
    }

    deinit {
        var index = oldestIndex
        while index >= 0 {
            free(records[Int(index)].chain)
            index = records[Int(index)].newer
        }
        ledger?.release(bytes)
    }

    /// Traces in the store.
    package var count: Int { indices.count }
    /// The trace that came first of those in the store.
    package var oldest: Index? { oldestIndex < 0 ? nil : Int(oldestIndex) }
    /// The one that came next after this one.
    package func newer(than index: Index) -> Index? {
        let newer = records[index].newer
        return newer < 0 ? nil : Int(newer)
    }

    package func find(_ trace: TraceID) -> Index? {
        let index = indices.find(trace.low, trace.high)
        return index < 0 ? nil : Int(index)
    }

    package func trace(_ index: Index) -> TraceID { records[index].trace }
    package func chain(_ index: Index) -> SpanChain { records[index].chain }
    package func arrival(_ index: Index) -> NIODeadline { records[index].arrival }
    package func generation(_ index: Index) -> UInt32 { records[index].generation }

    /// What the owner has noted of a trace; 0 for a new one.
    package func note(_ index: Index) -> UInt8 { records[index].note }
    /// When that was.
    package func noted(_ index: Index) -> NIODeadline { records[index].noted }

    /// Notes something of a trace.
    package func note(_ index: Index, _ note: UInt8, at now: NIODeadline) {
        records[index].note = note
        records[index].noted = now
    }

    /// A new trace without spans.
    /// Precondition: `find` has not found it.
    package func add(_ trace: TraceID, at now: NIODeadline) -> Index {
        let index: Int
        if let reused = free.popLast() {
            index = Int(reused)
        } else {
            records.append(Record())
            index = records.count - 1
        }
        let generation = records[index].generation &+ 1
        records[index] = Record(trace: trace, arrival: now, generation: generation, older: newestIndex)
        if newestIndex >= 0 {
            records[Int(newestIndex)].newer = Int32(index)
        } else {
            oldestIndex = Int32(index)
        }
        newestIndex = Int32(index)
        let known = indices.count
        indices.set(trace.low, trace.high, to: Int32(index))
        precondition(indices.count > known, "a trace was added twice")
        charge(Self.recordBytes)
        return index
    }

    /// Forgets a trace and its spans.
    package func remove(_ index: Index) {
        let record = records[index]
        free(record.chain)
        if record.older >= 0 {
            records[Int(record.older)].newer = record.newer
        } else {
            oldestIndex = record.newer
        }
        if record.newer >= 0 {
            records[Int(record.newer)].older = record.older
        } else {
            newestIndex = record.older
        }
        indices.remove(record.trace.low, record.trace.high)
        // What still refers to it refers to nothing.
        records[index] = Record(generation: record.generation &+ 1)
        free.append(Int32(index))
        charge(-Self.recordBytes)
    }

    /// Takes the spans out; the trace stays, without any. The caller frees them.
    package func takeChain(_ index: Index) -> SpanChain {
        let chain = records[index].chain
        records[index].chain = SpanChain()
        return chain
    }

    /// Keeps a group's spans with its trace.
    /// - Returns: the group alone, borrowed from the trace.
    package func append(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ grouper: TraceGrouper,
        to index: Index
    ) -> SpanChain {
        let chain = makeChain(group, envelope, of: request, grouper)
        records[index].chain.append(chain)
        return chain
    }

    /// Keeps a group's spans by themselves. The caller frees them.
    package func makeChain(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ grouper: TraceGrouper
    ) -> SpanChain {
        let fragment = Fragment(bytes: group.bytes, spans: group.spans, envelope: envelope, in: pool)
        // SAFETY: the fragment was made for the group's bytes.
        unsafe grouper.copy(group, of: request, into: fragment.content)
        envelopes.retain(envelope)
        charge(group.bytes + Fragment.headerBytes)
        let around = envelopes.byteCount(envelope) + envelopes.byteCount(envelopes.resource(of: envelope))
        var chain = SpanChain()
        chain.append(fragment, envelopeBytes: around)
        return chain
    }

    /// Frees spans that were taken out.
    package func free(_ chain: SpanChain) {
        for fragment in chain.fragments {
            charge(-(fragment.byteCount + Fragment.headerBytes))
            envelopes.release(fragment.envelope)
            fragment.free(in: pool)
        }
    }

    private func charge(_ delta: Int) {
        bytes += delta
        ledger?.charge(delta)
    }
}
