internal import OTLP
internal import Pipeline
internal import TraceStore

/// The ids of traces that were decided lately, as many as it is made for, or as there are when memory is short; the one that was looked for longest ago goes
/// first. Charged to the ledger, an id as long as its place is kept: to the end. One thread.
struct DecisionCache: ~Copyable {
    private struct Entry {
        var trace: TraceID
        var older: Int32
        var newer: Int32
    }

    private let capacity: Int
    private let ledger: MemoryLedger
    private var entries: ContiguousArray<Entry> = []
    private var indices = HashIndex()
    private var oldest: Int32 = -1
    private var newest: Int32 = -1

    /// - Parameter capacity: ids; 0 remembers none.
    init(capacity: Int, ledger: MemoryLedger) {
        self.capacity = capacity
        self.ledger = ledger
    }

    deinit { ledger.release(entries.count * Self.idBytes) }

    /// An id's entry and its place in the index, either of which may have room for twice as many.
    private static let idBytes = 100

    /// Whether anything is remembered at all.
    var isOn: Bool { capacity > 0 }
    var count: Int { indices.count }

    /// Asks for what `contains` will look at to be brought into the cache.
    func prefetch(_ groups: [SpanGroup]) {
        guard isOn, groups.count > 1 else { return }
        for group in groups { prefetch(group.trace) }
    }

    func prefetch(_ trace: TraceID) { indices.prefetch(trace.low, trace.high) }

    mutating func insert(_ trace: TraceID) {
        guard isOn else { return }
        var index = indices.find(trace.low, trace.high)
        guard index < 0 else { return touch(index) }
        if entries.count < capacity, entries.isEmpty || ledger.bytes <= ledger.limitBytes / 8 * 7 {
            index = Int32(entries.count)
            entries.append(Entry(trace: trace, older: -1, newer: -1))
            ledger.charge(Self.idBytes)
        } else {
            index = oldest
            unlink(index)
            let forgotten = entries[Int(index)].trace
            indices.remove(forgotten.low, forgotten.high)
            entries[Int(index)].trace = trace
        }
        indices.set(trace.low, trace.high, to: index)
        link(index)
    }

    /// Whether the id is remembered; it is the newest then.
    mutating func contains(_ trace: TraceID) -> Bool {
        guard isOn else { return false }
        let index = indices.find(trace.low, trace.high)
        guard index >= 0 else { return false }
        touch(index)
        return true
    }

    private mutating func touch(_ index: Int32) {
        guard index != newest else { return }
        unlink(index)
        link(index)
    }

    private mutating func unlink(_ index: Int32) {
        let entry = entries[Int(index)]
        if entry.older >= 0 { entries[Int(entry.older)].newer = entry.newer } else { oldest = entry.newer }
        if entry.newer >= 0 { entries[Int(entry.newer)].older = entry.older } else { newest = entry.older }
    }

    private mutating func link(_ index: Int32) {
        entries[Int(index)].older = newest
        entries[Int(index)].newer = -1
        if newest >= 0 { entries[Int(newest)].newer = index } else { oldest = index }
        newest = index
    }
}
