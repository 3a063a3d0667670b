internal import OTLP
package import Pipeline

/// What is remembered of one stream.
package protocol StreamState: Sendable {
    /// Bytes on the heap, beside the value itself.
    var keptBytes: Int { get }
}

/// What is remembered of streams, bounded: beyond the limit new streams get nothing, and those that were not seen for a time
/// are forgotten: one that comes again is new, whether or not `sweep` has found it. Charged to the ledger. Nothing that it is asked takes longer when there are many streams. Not thread-safe: its
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
    /// And a new stream that has no room.
    private static var fullMax: Int { 16 }

    private var index = HashIndex()
    private var entries = BlockArray<Entry?>()
    private var free: [Int32] = []
    /// Where the next sweep goes on, and when.
    private var nextSwept = 0
    private var nextSweep: UInt64
    /// Streams that were forgotten since the last sweep.
    private var forgotten = 0
    private let limit: Int
    private let age: UInt64
    private let sweepInterval: UInt64
    private let ledger: MemoryLedger
    private var chargedBytes = 0

    /// - Parameters:
    ///   - limit: streams remembered at a time.
    ///   - age: nanoseconds; streams that were not seen for longer are forgotten; 0: never.
    ///   - sweepInterval: nanoseconds between two looks at all of them; a tenth of the age, a second at least, where it is nil.
    ///   - now: nanoseconds, by whatever clock `update` and `sweep` use.
    package init(limit: Int, age: UInt64, sweepInterval: UInt64? = nil, now: UInt64, ledger: MemoryLedger) {
        self.limit = limit
        self.age = age
        self.sweepInterval = sweepInterval ?? max(age / 10, 1_000_000_000)
        nextSweep = now &+ self.sweepInterval
        self.ledger = ledger
    }

    deinit {
        ledger.release(chargedBytes)
    }

    /// Streams remembered.
    package var count: Int { index.count }

    /// Whether a stream is remembered at a moment.
    package func contains(_ key: StreamKey, at now: UInt64) -> Bool {
        let found = index.find(key.low, key.high)
        guard found >= 0, let entry = entries[Int(found)] else { return false }
        return !isStale(entry, at: now)
    }

    /// Shows the state of a stream, to be changed in place.
    /// - Parameters:
    ///   - now: when the stream was seen.
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
            let isNew = isStale(entry, at: now)
            if isNew {
                forgotten += 1
                entry.state = new()
            }
            entry.seen = now
            let result = body(&entry.state, isNew)
            charge(entry.state.keptBytes - before)
            entries[Int(found)] = entry
            return result
        }
        if count >= limit { forget(lookingAt: Self.fullMax, at: now) }
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

    private func isStale(_ entry: Entry, at now: UInt64) -> Bool {
        age > 0 && entry.seen < now &- min(age, now)
    }

    /// Forgets the streams that were not seen for a time, when it is time to look for such: some ten thousand are looked at, and
    /// the next ones by the next call.
    /// - Returns: how many were forgotten since it was called last; nil when it is not time.
    package mutating func sweep(at now: UInt64) -> Int? {
        guard age > 0, now >= nextSweep else { return nil }
        forget(lookingAt: Self.sweepMax, at: now)
        if nextSwept == 0 {
            nextSweep = now &+ sweepInterval
            if count == 0 {
                // What many streams at a time took is not kept.
                index = HashIndex()
                entries = BlockArray()
                free = []
            }
        }
        defer { forgotten = 0 }
        return forgotten
    }

    /// Goes on looking for stale streams; from the first one on next, once all were looked at.
    private mutating func forget(lookingAt most: Int, at now: UInt64) {
        let end = min(entries.count, nextSwept + most)
        for place in nextSwept..<end {
            guard let entry = entries[place], isStale(entry, at: now) else { continue }
            index.remove(entry.key.low, entry.key.high)
            entries[place] = nil
            free.append(Int32(place))
            charge(-Self.entryBytes - entry.state.keptBytes)
            forgotten += 1
        }
        nextSwept = end == entries.count ? 0 : end
    }

    private mutating func charge(_ bytes: Int) {
        guard bytes != 0 else { return }
        chargedBytes += bytes
        ledger.charge(bytes)
    }
}
