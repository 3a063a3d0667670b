internal import OTLP

/// 96 bits of a hash: enough that of a hundred million series no two are ever taken for one.
struct SeriesKey: Hashable, Sendable {
    let low: UInt64
    let high: UInt32

    init(_ hash: WireHash) {
        low = hash.low
        high = UInt32(truncatingIfNeeded: hash.high)
    }

    init(low: UInt64, high: UInt32) {
        self.low = low
        self.high = high
    }
}

/// A number in place of "there is none", in tables and lists of numbered things.
let noIndex = UInt32.max

/// Finds numbers by keys: open addressing, 16 bytes an entry, at most three quarters full.
///
/// In parts that grow by themselves, so that no insertion moves more than a sixty-fourth of a large table.
/// Not thread-safe. Keys are hashes with a secret, so that nobody can choose where they fall.
@safe
final class KeyTable {
    private struct Entry {
        var low: UInt64
        var high: UInt32
        /// `noIndex` where there is no entry.
        var value: UInt32
    }

    @unsafe
    private struct Part {
        var entries: UnsafeMutablePointer<Entry>
        var mask: Int
        var count: Int
    }

    // SAFETY: `partMask + 1` initialized parts, each with `mask + 1` initialized entries; owned, freed in
    // deinit.
    private let parts: UnsafeMutablePointer<Part>
    private let partMask: UInt32
    /// Memory of the table.
    private(set) var bytes = 0

    private static let firstCapacity = 16

    /// An empty table of so many parts, a power of two.
    init(parts partCount: Int = 1) {
        precondition(partCount > 0 && partCount & (partCount - 1) == 0, "\(partCount) is no power of two")
        partMask = UInt32(partCount - 1)
        unsafe parts = .allocate(capacity: partCount)
        for index in 0..<partCount { unsafe (parts + index).initialize(to: makePart(Self.firstCapacity)) }
    }

    deinit {
        for index in 0...Int(partMask) { unsafe parts[index].entries.deallocate() }
        unsafe parts.deallocate()
    }

    private func makePart(_ capacity: Int) -> Part {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        unsafe entries.initialize(repeating: Entry(low: 0, high: 0, value: noIndex), count: capacity)
        bytes += capacity * MemoryLayout<Entry>.stride
        return unsafe Part(entries: entries, mask: capacity - 1, count: 0)
    }

    /// The number of a key, or `noIndex`.
    @inline(__always)
    func find(_ key: SeriesKey) -> UInt32 {
        // SAFETY: masks keep both indices inside; a part always has a free entry, where the search ends.
        let part = unsafe parts[Int(key.high & partMask)]
        var slot = unsafe Int(truncatingIfNeeded: key.low) & part.mask
        while true {
            let entry = unsafe part.entries[slot]
            if entry.value == noIndex || entry.low == key.low && entry.high == key.high { return entry.value }
            slot = unsafe (slot &+ 1) & part.mask
        }
    }

    /// Gives a key a number, in place of the one that it has.
    func set(_ key: SeriesKey, _ value: UInt32) {
        precondition(value != noIndex, "this number says that there is none")
        let index = Int(key.high & partMask)
        unsafe grow(&parts[index])
        unsafe insert(Entry(low: key.low, high: key.high, value: value), into: &parts[index])
    }

    private func insert(_ new: Entry, into part: inout Part) {
        var slot = unsafe Int(truncatingIfNeeded: new.low) & part.mask
        while true {
            // SAFETY: as in `find`.
            let entry = unsafe part.entries[slot]
            if entry.value == noIndex {
                unsafe part.entries[slot] = new
                unsafe part.count += 1
                return
            }
            if entry.low == new.low && entry.high == new.high {
                unsafe part.entries[slot].value = new.value
                return
            }
            slot = unsafe (slot &+ 1) & part.mask
        }
    }

    private func grow(_ part: inout Part) {
        let capacity = unsafe part.mask + 1
        guard unsafe (part.count + 1) * 4 > capacity * 3 else { return }
        var larger = unsafe makePart(capacity * 2)
        for slot in 0..<capacity {
            let entry = unsafe part.entries[slot]
            if entry.value != noIndex { unsafe insert(entry, into: &larger) }
        }
        unsafe part.entries.deallocate()
        bytes -= capacity * MemoryLayout<Entry>.stride
        unsafe part = unsafe larger
    }

    /// Forgets a key; one that is not there is no matter.
    func remove(_ key: SeriesKey) {
        let index = Int(key.high & partMask)
        // SAFETY: as in `find`.
        let part = unsafe parts[index]
        let mask = unsafe part.mask
        var slot = Int(truncatingIfNeeded: key.low) & mask
        while true {
            let entry = unsafe part.entries[slot]
            if entry.value == noIndex { return }
            if entry.low == key.low && entry.high == key.high { break }
            slot = (slot &+ 1) & mask
        }
        unsafe parts[index].count -= 1
        // Entries behind the hole move up as long as they are not at home.
        var next = (slot &+ 1) & mask
        while true {
            let entry = unsafe part.entries[next]
            if entry.value == noIndex { break }
            let home = Int(truncatingIfNeeded: entry.low) & mask
            if (next &- home) & mask >= (next &- slot) & mask {
                unsafe part.entries[slot] = entry
                slot = next
            }
            next = (next &+ 1) & mask
        }
        unsafe part.entries[slot].value = noIndex
    }

    /// How many keys there are. For tests and metrics: adds up the parts.
    var count: Int {
        var count = 0
        for index in 0...Int(partMask) { count += unsafe parts[index].count }
        return count
    }
}
