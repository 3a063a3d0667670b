package import NIOCore
package import OTLP
package import Pipeline

/// Traces that wait, as the bytes of their spans, found by trace id, in the order of their first spans.
///
/// A trace costs the bytes of its spans, 24 bytes for each time that spans of it came, and less than 175 more; resources
/// and scopes are kept once for all traces. All of it is charged to the ledger, and so is memory that lies empty between spans
/// that stay or is kept for the next ones. One thread.
package final class TraceStore {
    /// Which trace, as long as it is in the store.
    package typealias Index = Int

    package let envelopes: EnvelopeTable
    private let ledger: MemoryLedger?
    private var table = TraceTable()
    private var pool: FragmentPool

    /// Charged for a trace beside its fragments: its record and its place in the table.
    package static let recordBytes = 160

    package init(ledger: MemoryLedger?) {
        self.ledger = ledger
        pool = FragmentPool(ledger: ledger)
        envelopes = EnvelopeTable(ledger: ledger)
    }

    deinit {
        for chain in table.chains { free(chain) }
        ledger?.release(count * Self.recordBytes)
    }

    /// Traces in the store.
    package var count: Int { table.count }
    /// Bytes of all spans in the store and of what keeps them, without resources and scopes.
    package var bytes: Int { table.bytes }
    /// The trace that came first of those in the store.
    package var oldest: Index? { table.oldest }
    /// The one that came next after this one.
    package func newer(than index: Index) -> Index? { table.newer(than: index) }

    package func find(_ trace: TraceID) -> Index? { table.find(trace) }

    /// A trace and what the owner has noted of it.
    package func findNoted(_ trace: TraceID) -> (index: Index, note: UInt8)? {
        table.findNoted(trace)
    }

    /// Asks for what is known of these traces to be brought into the cache: with a hundred thousand of them it is not there.
    package func prefetch(_ groups: [SpanGroup]) { table.prefetch(groups) }

    /// Likewise of a trace that is about to be taken out: its record, and its spans once the record is there.
    package func prefetch(_ index: Index, spans: Bool) { table.prefetch(index, spans: spans) }

    package func trace(_ index: Index) -> TraceID { table[index].trace }
    package func chain(_ index: Index) -> SpanChain { table[index].chain }
    package func arrival(_ index: Index) -> NIODeadline { table[index].arrival }
    package func generation(_ index: Index) -> UInt32 { table[index].generation }

    /// What the owner has noted of a trace; 0 for a new one.
    package func note(_ index: Index) -> UInt8 { table[index].note }
    /// What the owner has noted of a trace that has spans; nil when the index has another generation or no spans.
    package func noteOfSpans(_ index: Index, _ generation: UInt32) -> UInt8? {
        table.noteOfSpans(index, generation)
    }
    /// When that was.
    package func noted(_ index: Index) -> NIODeadline { table[index].noted }

    /// Notes something of a trace.
    package func note(_ index: Index, _ note: UInt8, at now: NIODeadline) {
        table.note(index, note, at: now)
    }

    /// A new trace without spans.
    /// Precondition: `find` has not found it.
    package func add(_ trace: TraceID, at now: NIODeadline) -> Index {
        ledger?.charge(Self.recordBytes)
        return table.add(trace, at: now)
    }

    /// Forgets a trace and its spans.
    package func remove(_ index: Index) {
        free(table.remove(index))
        ledger?.release(Self.recordBytes)
    }

    /// Takes the spans out; the trace stays, without any. The caller frees them.
    package func takeChain(_ index: Index) -> SpanChain { table.takeChain(index) }

    /// Keeps a group's spans with its trace.
    /// - Returns: the group alone, borrowed from the trace.
    package func append(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ grouper: TraceGrouper,
        to index: Index
    ) -> SpanChain {
        let chain = copy(group, envelope, of: request, grouper)
        table.append(chain, to: index, charge: group.bytes + Fragment.headerBytes)
        return chain
    }

    /// Keeps a group's spans by themselves. The caller frees them.
    package func makeChain(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ grouper: TraceGrouper
    ) -> SpanChain {
        table.bytes += group.bytes + Fragment.headerBytes
        return copy(group, envelope, of: request, grouper)
    }

    private func copy(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ grouper: TraceGrouper
    ) -> SpanChain {
        let fragment = Fragment(
            bytes: group.bytes, spans: group.spans, envelope: envelope, in: &pool)
        // SAFETY: the fragment was made for the group's bytes.
        unsafe grouper.copy(group, of: request, into: fragment.content)
        var chain = SpanChain()
        chain.append(fragment, envelopeBytes: envelopes.retain(envelope), group.summary)
        return chain
    }

    /// Frees spans that were taken out.
    package func free(_ chain: SpanChain) {
        guard !chain.isEmpty else { return }
        table.bytes -= Self.free(chain, in: &pool, envelopes)
    }

    /// Returns the bytes that it took.
    private static func free(
        _ chain: SpanChain, in pool: inout FragmentPool, _ envelopes: EnvelopeTable
    ) -> Int {
        var freed = 0
        for fragment in chain.fragments {
            freed += fragment.byteCount + Fragment.headerBytes
            envelopes.release(fragment.envelope)
            fragment.free(in: &pool)
        }
        return freed
    }

    /// Gives empty memory back: a part of it, when called about every second, or all that is more than half of what is in
    /// use.
    package func trim(all: Bool = false) { pool.trim(all: all) }

    /// Gives back the memory of the records, which a burst may have made many. Indices and generations begin anew: nobody may
    /// keep any.
    /// Precondition: the store is empty.
    package func forgetRecords() {
        precondition(count == 0, "traces are in the store")
        table.forgetRecords()
    }

    /// How many empty slabs are kept for the next spans.
    var spareSlabs: Int { unsafe pool.spare.count }
    /// How many slabs have spans, with the current one.
    var slabsInUse: Int { pool.slabsInUse }
}
