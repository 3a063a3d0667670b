internal import OTLP
package import Pipeline

/// What is remembered of one stream.
package protocol StreamState: Sendable {
    /// Bytes on the heap, beside the value itself.
    var keptBytes: Int { get }
}

/// What is remembered of streams, bounded: beyond the limit new streams get nothing, and those that were not seen for a time
/// are forgotten. Charged to the ledger. Nothing that it is asked takes longer when there are many streams. Not thread-safe: its
/// owner holds a lock.
package struct StreamTable<State: StreamState>: ~Copyable {
    private struct Entry {
        let key: StreamKey
        var state: State
        var seen: UInt64
    }

    /// Bytes of an entry itself, with its share of the index.
    private static var entryBytes: Int { MemoryLayout<Entry?>.stride + 48 }
    /// Entries that one call of `sweep` looks at.
    private static var sweepMax: Int { 10_000 }

    private var index = HashIndex()
    private var entries = BlockArray<Entry?>()
    private var free: [Int32] = []
    /// Where the next sweep goes on, and when.
    private var nextSwept = 0
    private var nextSweep: UInt64
    private let limit: Int
    private let ledger: MemoryLedger
    private var chargedBytes = 0

    /// - Parameters:
    ///   - limit: streams remembered at a time.
    ///   - firstSweep: when `sweep` first does anything.
    package init(limit: Int, ledger: MemoryLedger, firstSweep: UInt64) {
        nextSweep = firstSweep
        self.limit = limit
        self.ledger = ledger
    }

    deinit {
        ledger.release(chargedBytes)
    }

    /// Streams remembered.
    package var count: Int { index.count }

    /// Whether a stream is remembered.
    package func contains(_ key: StreamKey) -> Bool { index.find(key.low, key.high) >= 0 }

    /// Shows the state of a stream, to be changed in place.
    /// - Parameters:
    ///   - now: when the stream was seen, by whatever clock `sweep` uses.
    ///   - new: what a stream starts with that was not known.
    ///   - body: is told whether the stream is new.
    /// - Returns: what `body` gives; nil, and nothing done, when a new stream has no room.
    package mutating func update<Result>(
        _ key: StreamKey, now: UInt64, new: @autoclosure () -> State,
        _ body: (inout State, _ isNew: Bool) -> Result
    ) -> Result? {
        let found = index.find(key.low, key.high)
        if found >= 0 {
            // Taken out, so that what it holds is not copied.
            guard var entry = entries[Int(found)].take() else {
                preconditionFailure("the index names a stream that is not there")
            }
            let before = entry.state.keptBytes
            entry.seen = now
            let result = body(&entry.state, false)
            charge(entry.state.keptBytes - before)
            entries[Int(found)] = entry
            return result
        }
        guard count < limit else { return nil }
        var state = new()
        let result = body(&state, true)
        let entry = Entry(key: key, state: state, seen: now)
        let place: Int32
        if let reused = free.popLast() {
            place = reused
            entries[Int(place)] = entry
        } else {
            place = Int32(entries.count)
            entries.append(entry)
        }
        index.set(key.low, key.high, to: place)
        charge(Self.entryBytes + state.keptBytes)
        return result
    }

    /// Forgets the streams that were not seen for a time, when it is time to look for such: some ten thousand are looked at, and
    /// the next ones by the next call.
    /// - Parameter interval: between two looks at all of them.
    /// - Returns: how many were forgotten; nil when it is not time.
    package mutating func sweep(at now: UInt64, every interval: UInt64, notSeenFor age: UInt64) -> Int? {
        guard now >= nextSweep else { return nil }
        let time = now &- min(age, now)
        let end = min(entries.count, nextSwept + Self.sweepMax)
        var removed = 0
        for place in nextSwept..<end {
            guard let entry = entries[place], entry.seen < time else { continue }
            index.remove(entry.key.low, entry.key.high)
            entries[place] = nil
            free.append(Int32(place))
            charge(-Self.entryBytes - entry.state.keptBytes)
            removed += 1
        }
        guard end == entries.count else {
            nextSwept = end
            return removed
        }
        nextSwept = 0
        nextSweep = now &+ interval
        if count == 0 {
            // What many streams at a time took is not kept.
            index = HashIndex()
            entries = BlockArray()
            free = []
        }
        return removed
    }

    private mutating func charge(_ bytes: Int) {
        guard bytes != 0 else { return }
        chargedBytes += bytes
        ledger.charge(bytes)
    }
}
