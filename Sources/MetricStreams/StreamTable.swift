package import Pipeline

/// What is remembered of one stream.
package protocol StreamState: Sendable {
    /// Bytes on the heap, beside the value itself.
    var keptBytes: Int { get }
}

/// What is remembered of streams, bounded: beyond the limit new streams get nothing, and those that were not seen for a time
/// are forgotten. Charged to the ledger. Not thread-safe: its owner holds a lock.
package struct StreamTable<State: StreamState>: ~Copyable {
    private struct Entry {
        var state: State
        var seen: UInt64
    }

    /// Bytes of an entry itself, with its share of the table's empty places.
    private static var entryBytes: Int { 2 * (MemoryLayout<StreamKey>.stride + MemoryLayout<Entry>.stride) }

    private var entries: [StreamKey: Entry] = [:]
    private let limit: Int
    private let ledger: MemoryLedger
    private var chargedBytes = 0

    /// - Parameter limit: streams remembered at a time.
    package init(limit: Int, ledger: MemoryLedger) {
        self.limit = limit
        self.ledger = ledger
    }

    deinit {
        ledger.release(chargedBytes)
    }

    /// Streams remembered.
    package var count: Int { entries.count }

    /// Whether a stream is remembered.
    package func contains(_ key: StreamKey) -> Bool { entries[key] != nil }

    /// Shows the state of a stream, to be changed in place.
    /// - Parameters:
    ///   - now: when the stream was seen, by whatever clock `removeStreams(notSeenSince:)` uses.
    ///   - new: what a stream starts with that was not known.
    ///   - body: is told whether the stream is new.
    /// - Returns: what `body` gives; nil, and nothing done, when a new stream has no room.
    package mutating func update<Result>(
        _ key: StreamKey, now: UInt64, new: @autoclosure () -> State,
        _ body: (inout State, _ isNew: Bool) -> Result
    ) -> Result? {
        if let index = entries.index(forKey: key) {
            let before = entries.values[index].state.keptBytes
            entries.values[index].seen = now
            let result = body(&entries.values[index].state, false)
            charge(entries.values[index].state.keptBytes - before)
            return result
        }
        guard entries.count < limit else { return nil }
        var state = new()
        let result = body(&state, true)
        entries[key] = Entry(state: state, seen: now)
        charge(Self.entryBytes + state.keptBytes)
        return result
    }

    /// Forgets the streams that were not seen since a time.
    /// - Returns: how many.
    package mutating func removeStreams(notSeenSince time: UInt64) -> Int {
        let stale = entries.filter { $0.value.seen < time }.keys
        for key in stale {
            guard let entry = entries.removeValue(forKey: key) else { continue }
            charge(-Self.entryBytes - entry.state.keptBytes)
        }
        if entries.isEmpty { entries = [:] }
        return stale.count
    }

    private mutating func charge(_ bytes: Int) {
        guard bytes != 0 else { return }
        chargedBytes += bytes
        ledger.charge(bytes)
    }
}
