internal import COTLP

/// Finds numbers by keys of 128 bits: open addressing, 24 bytes an entry, at most three quarters full.
///
/// Keys may be ids that clients choose: where they fall depends on a secret. One thread.
public struct HashIndex: Sendable {
    @usableFromInline
    struct Entry: Sendable, BitwiseCopyable {
        @usableFromInline var low: UInt64
        @usableFromInline var high: UInt64
        /// -1 where there is no entry.
        @usableFromInline var value: Int32

        @inlinable
        init(low: UInt64, high: UInt64, value: Int32) {
            self.low = low
            self.high = high
            self.value = value
        }
    }

    @usableFromInline var entries: ContiguousArray<Entry>
    @usableFromInline let lowSecret: UInt64
    @usableFromInline let highSecret: UInt64
    /// How many keys there are.
    public private(set) var count = 0

    private static let firstCapacity = 16
    /// What is emptied keeps room for so many.
    private static let keptCapacity = 256

    /// Without keys.
    public init() {
        entries = Self.makeEntries(Self.firstCapacity)
        lowSecret = .random(in: 1 ... .max)
        highSecret = .random(in: 1 ... .max)
    }

    private static func makeEntries(_ capacity: Int) -> ContiguousArray<Entry> {
        ContiguousArray(repeating: Entry(low: 0, high: 0, value: -1), count: capacity)
    }

    @inlinable
    @inline(__always)
    func home(_ low: UInt64, _ high: UInt64) -> Int {
        let product = (low ^ lowSecret).multipliedFullWidth(by: high ^ highSecret)
        // The low word alone, for keys whose other half makes the product nothing.
        let mixed = product.high ^ product.low ^ low
        return Int(truncatingIfNeeded: mixed ^ mixed >> 32) & (entries.count &- 1)
    }

    /// The number of a key; -1 when there is none.
    @inlinable
    public func find(_ low: UInt64, _ high: UInt64) -> Int32 {
        var slot = home(low, high)
        // A quarter of the entries is free: the search ends at one.
        while true {
            let entry = entries[slot]
            if entry.value < 0 || entry.low == low && entry.high == high { return entry.value }
            slot = (slot &+ 1) & (entries.count &- 1)
        }
    }

    /// Asks for what `find` will look at to be brought into the cache.
    public func prefetch(_ low: UInt64, _ high: UInt64) {
        let home = home(low, high)
        unsafe entries.withUnsafeBufferPointer {
            unsafe OTLP.prefetch(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: $0[home...home])))
        }
    }

    /// Likewise for the hashes of all spans that a reader has at hand.
    public func prefetch(hashesOf spans: borrowing SpanReader) {
        unsafe entries.withUnsafeBufferPointer { entries in
            for index in 0..<spans.count {
                let hash = spans.hash(index)
                // SAFETY: a home is a place among the entries.
                let entry = unsafe entries.baseAddress.unsafelyUnwrapped + home(hash.low, hash.high)
                unsafe cotlp_prefetch(UnsafeRawPointer(entry).assumingMemoryBound(to: UInt8.self), 1)
            }
        }
    }

    /// Gives a key a number from 0 up, in place of the one that it has.
    public mutating func set(_ low: UInt64, _ high: UInt64, to value: Int32) {
        precondition(value >= 0, "\(value) says that there is no number")
        if (count + 1) * 4 > entries.count * 3 { grow() }
        put(Entry(low: low, high: high, value: value))
    }

    private mutating func put(_ new: Entry) {
        var slot = home(new.low, new.high)
        while entries[slot].value >= 0 {
            if entries[slot].low == new.low, entries[slot].high == new.high {
                entries[slot].value = new.value
                return
            }
            slot = (slot &+ 1) & (entries.count &- 1)
        }
        entries[slot] = new
        count += 1
    }

    private mutating func grow() {
        let old = entries
        entries = Self.makeEntries(old.count * 2)
        count = 0
        for entry in old where entry.value >= 0 { put(entry) }
    }

    /// Forgets all keys.
    public mutating func removeAll() {
        guard count > 0 else { return }
        count = 0
        guard entries.count <= Self.keptCapacity else {
            entries = Self.makeEntries(Self.firstCapacity)
            return
        }
        for slot in entries.indices { entries[slot].value = -1 }
    }

    /// Forgets a key; one that is not there is no matter.
    public mutating func remove(_ low: UInt64, _ high: UInt64) {
        let mask = entries.count &- 1
        var slot = home(low, high)
        while entries[slot].value >= 0, entries[slot].low != low || entries[slot].high != high {
            slot = (slot &+ 1) & mask
        }
        guard entries[slot].value >= 0 else { return }
        count -= 1
        // Entries behind the hole move up as long as they are not at home.
        var next = (slot &+ 1) & mask
        while entries[next].value >= 0 {
            let distance = (next &- home(entries[next].low, entries[next].high)) & mask
            if distance >= (next &- slot) & mask {
                entries[slot] = entries[next]
                slot = next
            }
            next = (next &+ 1) & mask
        }
        entries[slot].value = -1
    }
}
