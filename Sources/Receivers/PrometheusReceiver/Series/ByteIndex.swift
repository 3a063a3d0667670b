internal import Glibc

/// Numbers byte strings in the order they are added: 0, 1, 2…
///
/// Looking up allocates nothing and costs a hash and a comparison of the bytes. The hash is seeded, so that a page cannot
/// be written to collide.
struct ByteIndex {
    private static let empty: Int32 = -1
    private static let seed = UInt64.random(in: .min ... .max)

    /// Where each key ends in `bytes`; it starts where the one before ends.
    private var ends: [Int] = []
    private var hashes: [UInt64] = []
    private var bytes: [UInt8] = []
    /// A power of two of slots, at most half of them in use.
    private var slots: [Int32] = []

    /// How many keys there are.
    var count: Int { ends.count }

    /// Memory, about.
    var memoryBytes: Int { bytes.count + ends.count * 16 + slots.count * 4 }

    /// The number of a key.
    func find(_ key: Span<UInt8>) -> Int32? {
        find(key, Self.hash(key))
    }

    /// The number of a key, which is added when it is new.
    mutating func insert(_ key: Span<UInt8>) -> Int32 {
        let hash = Self.hash(key)
        if let number = find(key, hash) { return number }
        if (ends.count + 1) * 2 > slots.count { grow() }
        let number = Int32(ends.count)
        for index in 0..<key.count { bytes.append(key[index]) }
        ends.append(bytes.count)
        hashes.append(hash)
        place(number, hash)
        return number
    }

    /// Keeps the keys that are wanted; they are numbered anew, in the same order.
    mutating func keep(_ isWanted: (Int) -> Bool) {
        var kept = ByteIndex()
        for number in ends.indices where isWanted(number) {
            let start = number == 0 ? 0 : ends[number - 1]
            kept.bytes += bytes[start..<ends[number]]
            kept.ends.append(kept.bytes.count)
            kept.hashes.append(hashes[number])
        }
        kept.grow()
        self = kept
    }

    private func find(_ key: Span<UInt8>, _ hash: UInt64) -> Int32? {
        guard !slots.isEmpty else { return nil }
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != Self.empty {
            let number = Int(slots[slot])
            if hashes[number] == hash, isEqual(number, key) { return slots[slot] }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private func isEqual(_ number: Int, _ key: Span<UInt8>) -> Bool {
        let start = number == 0 ? 0 : ends[number - 1]
        guard ends[number] - start == key.count else { return false }
        let own = bytes.span.extracting(start..<ends[number])
        // SAFETY: both are borrowed for the call and have the same count.
        return unsafe own.withUnsafeBytes { own in
            unsafe key.withUnsafeBytes { key in
                guard let left = own.baseAddress, let right = key.baseAddress else {
                    return true
                }
                return unsafe memcmp(left, right, key.count) == 0
            }
        }
    }

    private mutating func place(_ number: Int32, _ hash: UInt64) {
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != Self.empty { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = number
    }

    private mutating func grow() {
        var size = 16
        while size < (ends.count + 1) * 4 { size *= 2 }
        slots = Array(repeating: Self.empty, count: size)
        for number in ends.indices { place(Int32(number), hashes[number]) }
    }

    /// Eight bytes at a time, each step a full multiplication folded.
    private static func hash(_ key: Span<UInt8>) -> UInt64 {
        func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
            let (high, low) = left.multipliedFullWidth(by: right)
            return high ^ low
        }
        var state = seed ^ UInt64(truncatingIfNeeded: key.count) &* 0x9E37_79B9_7F4A_7C15
        // SAFETY: offsets stay below the count; the bytes are borrowed for the call.
        unsafe key.withUnsafeBytes { bytes in
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                state = mix(state ^ word, 0xD6E8_FEB8_6659_FD93)
                offset += 8
            }
            var last: UInt64 = 0
            while offset < bytes.count {
                last = unsafe last << 8 | UInt64(bytes[offset])
                offset += 1
            }
            state = mix(state ^ last, 0xA076_1D64_78BD_642F)
        }
        return mix(state, seed | 1)
    }
}
