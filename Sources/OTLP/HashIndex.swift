internal import COTLP

/// Finds numbers by keys of 128 bits: open addressing, 24 bytes an entry, at most three quarters full.
///
/// Keys may be ids that clients choose: where they fall depends on a secret. Large ones are of parts, each of which divides when
/// it is full, so that a key costs 50 us at most (extendible hashing): to double one of half a million keys took 20 ms. One thread.
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

    /// What makes a key's hash one that nobody outside can choose.
    @usableFromInline
    struct Secret: Sendable {
        @usableFromInline let low = UInt64.random(in: 1 ... .max)
        @usableFromInline let high = UInt64.random(in: 1 ... .max)

        init() {}

        @inlinable
        @inline(__always)
        func mixed(_ low: UInt64, _ high: UInt64) -> UInt64 {
            let product = (low ^ self.low).multipliedFullWidth(by: high ^ self.high)
            // The low word alone, for keys whose other half makes the product nothing.
            return product.high ^ product.low ^ low
        }
    }

    /// The keys whose `depth` bits of their parts are the same.
    @usableFromInline
    struct Part: Sendable {
        @usableFromInline var entries: ContiguousArray<Entry>
        @usableFromInline var count = 0
        var depth = 0

        init(capacity: Int) {
            entries = ContiguousArray(repeating: Entry(low: 0, high: 0, value: -1), count: capacity)
        }
    }

    @usableFromInline var parts: ContiguousArray<Part>
    /// The part of a key, by the bits of its hash.
    @usableFromInline var directory: ContiguousArray<Int32> = [0]
    @usableFromInline let secret = Secret()
    /// How many keys there are.
    public private(set) var count = 0

    private static let firstCapacity = 16
    /// What is emptied keeps room for so many.
    private static let keptCapacity = 256
    /// A part has no more entries.
    private static let partCapacity = 4096
    /// The bits of a hash from there on choose a part, those before and, mixed, behind the place in it.
    @usableFromInline static var partBits: Int { 44 }

    /// Without keys.
    public init() {
        parts = [Part(capacity: Self.firstCapacity)]
    }

    @inlinable
    @inline(__always)
    func part(_ mixed: UInt64) -> Int {
        Int(directory[Int(truncatingIfNeeded: mixed &>> UInt64(Self.partBits)) & (directory.count &- 1)])
    }

    @inlinable
    @inline(__always)
    static func home(_ mixed: UInt64, _ entries: Int) -> Int {
        Int(truncatingIfNeeded: mixed ^ mixed &>> 32) & (entries &- 1)
    }

    /// The number of a key; -1 when there is none.
    @inlinable
    public func find(_ low: UInt64, _ high: UInt64) -> Int32 {
        let mixed = secret.mixed(low, high)
        return unsafe parts[part(mixed)].entries.withUnsafeBufferPointer { entries in
            var slot = Self.home(mixed, entries.count)
            // A quarter of the entries is free: the search ends at one.
            while true {
                // SAFETY: the number of entries is a power of two, of which `slot` is the rest.
                let entry = unsafe entries.baseAddress.unsafelyUnwrapped[slot]
                if entry.value < 0 || entry.low == low && entry.high == high { return entry.value }
                slot = (slot &+ 1) & (entries.count &- 1)
            }
        }
    }

    /// Asks for what `find` will look at to be brought into the cache.
    public func prefetch(_ low: UInt64, _ high: UInt64) {
        let mixed = secret.mixed(low, high)
        unsafe parts[part(mixed)].entries.withUnsafeBufferPointer { entries in
            // SAFETY: a home is a place among the entries.
            let entry = unsafe entries.baseAddress.unsafelyUnwrapped + Self.home(mixed, entries.count)
            unsafe cotlp_prefetch(UnsafeRawPointer(entry).assumingMemoryBound(to: UInt8.self), 1)
        }
    }

    /// Likewise for the hashes of all spans that a reader has at hand.
    public func prefetch(hashesOf spans: borrowing SpanReader) {
        for index in 0..<spans.count {
            let hash = spans.hash(index)
            prefetch(hash.low, hash.high)
        }
    }

    /// Gives a key a number from 0 up, in place of the one that it has.
    public mutating func set(_ low: UInt64, _ high: UInt64, to value: Int32) {
        precondition(value >= 0, "\(value) says that there is no number")
        let mixed = secret.mixed(low, high)
        var place = part(mixed)
        while (parts[place].count + 1) * 4 > parts[place].entries.count * 3 {
            grow(place)
            place = part(mixed)
        }
        if Self.put(Entry(low: low, high: high, value: value), mixed, into: &parts[place]) { count += 1 }
    }

    /// - Returns: whether the key is new.
    private static func put(_ new: Entry, _ mixed: UInt64, into part: inout Part) -> Bool {
        var slot = home(mixed, part.entries.count)
        while part.entries[slot].value >= 0 {
            if part.entries[slot].low == new.low, part.entries[slot].high == new.high {
                part.entries[slot].value = new.value
                return false
            }
            slot = (slot &+ 1) & (part.entries.count &- 1)
        }
        part.entries[slot] = new
        part.count += 1
        return true
    }

    /// Doubles a part, or divides it.
    private mutating func grow(_ place: Int) {
        let old = parts[place]
        let divides = old.entries.count >= Self.partCapacity && old.depth < 64 - Self.partBits
        var halves = [Part(capacity: divides ? old.entries.count : old.entries.count * 2)]
        halves[0].depth = old.depth
        if divides {
            halves[0].depth += 1
            halves.append(halves[0])
        }
        let bit = UInt64(1) << UInt64(Self.partBits + old.depth)
        for entry in old.entries where entry.value >= 0 {
            let mixed = secret.mixed(entry.low, entry.high)
            _ = Self.put(entry, mixed, into: &halves[divides && mixed & bit != 0 ? 1 : 0])
        }
        parts[place] = halves[0]
        guard divides else { return }
        if old.depth == directory.count.trailingZeroBitCount { directory += directory }
        for bits in directory.indices where Int(directory[bits]) == place && bits >> old.depth & 1 == 1 {
            directory[bits] = Int32(parts.count)
        }
        parts.append(halves[1])
    }

    /// Forgets all keys.
    public mutating func removeAll() {
        guard count > 0 else { return }
        count = 0
        if parts.count > 1 || parts[0].entries.count > Self.keptCapacity {
            parts = [Part(capacity: Self.firstCapacity)]
            directory = [0]
            return
        }
        parts[0].count = 0
        for slot in parts[0].entries.indices { parts[0].entries[slot].value = -1 }
    }

    /// Forgets a key; one that is not there is no matter.
    public mutating func remove(_ low: UInt64, _ high: UInt64) {
        let mixed = secret.mixed(low, high)
        let place = part(mixed)
        if Self.remove(low, high, mixed, secret, from: &parts[place]) { count -= 1 }
    }

    private static func remove(
        _ low: UInt64, _ high: UInt64, _ mixed: UInt64, _ secret: Secret, from part: inout Part
    ) -> Bool {
        let mask = part.entries.count &- 1
        var slot = home(mixed, part.entries.count)
        while part.entries[slot].value >= 0, part.entries[slot].low != low || part.entries[slot].high != high
        {
            slot = (slot &+ 1) & mask
        }
        guard part.entries[slot].value >= 0 else { return false }
        part.count -= 1
        // Entries behind the hole move up as long as they are not at home.
        var next = (slot &+ 1) & mask
        while part.entries[next].value >= 0 {
            let entry = part.entries[next]
            let home = home(secret.mixed(entry.low, entry.high), part.entries.count)
            if (next &- home) & mask >= (next &- slot) & mask {
                part.entries[slot] = entry
                slot = next
            }
            next = (next &+ 1) & mask
        }
        part.entries[slot].value = -1
        return true
    }
}
