internal import NIOCore
internal import OTLP

/// The records of a `TraceStore`. A structure: what is stored in a class is checked for overlapping changes at each step.
struct TraceTable {
    struct Record {
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

    private var records: ContiguousArray<Record> = []
    private var free: [Int32] = []
    private var indices = HashIndex()
    private var oldestIndex: Int32 = -1
    private var newestIndex: Int32 = -1
    /// Bytes of all spans in the store and of what keeps them, without resources and scopes.
    var bytes = 0

    var count: Int { indices.count }
    var oldest: Int? { oldestIndex < 0 ? nil : Int(oldestIndex) }

    func newer(than index: Int) -> Int? {
        let newer = records[index].newer
        return newer < 0 ? nil : Int(newer)
    }

    func find(_ trace: TraceID) -> Int? {
        let index = indices.find(trace.low, trace.high)
        return index < 0 ? nil : Int(index)
    }

    func findNoted(_ trace: TraceID) -> (index: Int, note: UInt8)? {
        guard let index = find(trace) else { return nil }
        return (index, records[index].note)
    }

    subscript(index: Int) -> Record { records[index] }

    /// Asks for what is looked at of these traces, if they are there, to be brought into the cache. Each step waits for memory
    /// that the one before has asked for, of all traces at once.
    func prefetch(_ groups: [SpanGroup]) {
        guard groups.count > 1 else { return }
        for group in groups { indices.prefetch(group.trace.low, group.trace.high) }
        for group in groups { if let index = find(group.trace) { prefetchRecord(index) } }
        for group in groups { if let index = find(group.trace) { records[index].chain.last?.prefetch() } }
    }

    /// Asks for a trace's record or, once that is there, its place in the index and its first spans.
    func prefetch(_ index: Int, spans: Bool) {
        guard spans else { return prefetchRecord(index) }
        let record = records[index]
        indices.prefetch(record.trace.low, record.trace.high)
        record.chain.first?.prefetch()
    }

    private func prefetchRecord(_ index: Int) {
        unsafe records.withUnsafeBufferPointer {
            unsafe OTLP.prefetch(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: $0[index...index])))
        }
    }

    /// Of all traces, the first one first.
    var chains: [SpanChain] {
        var chains: [SpanChain] = []
        var index = oldestIndex
        while index >= 0 {
            chains.append(records[Int(index)].chain)
            index = records[Int(index)].newer
        }
        return chains
    }

    func noteOfSpans(_ index: Int, _ generation: UInt32) -> UInt8? {
        guard records[index].generation == generation, !records[index].chain.isEmpty else { return nil }
        return records[index].note
    }

    mutating func note(_ index: Int, _ note: UInt8, at now: NIODeadline) {
        records[index].note = note
        records[index].noted = now
    }

    mutating func add(_ trace: TraceID, at now: NIODeadline) -> Int {
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
        bytes += TraceStore.recordBytes
        return index
    }

    /// Forgets a trace; its spans are the caller's.
    mutating func remove(_ index: Int) -> SpanChain {
        let record = records[index]
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
        bytes -= TraceStore.recordBytes
        return record.chain
    }

    /// Gives the memory of an empty table back.
    mutating func forgetRecords() {
        records = []
        free = []
        indices = HashIndex()
    }

    mutating func takeChain(_ index: Int) -> SpanChain {
        let chain = records[index].chain
        records[index].chain = SpanChain()
        return chain
    }

    mutating func append(_ chain: SpanChain, to index: Int, charge: Int) {
        records[index].chain.append(chain)
        bytes += charge
    }
}
