/// MurmurHash3 by Austin Appleby, seed 0: not cryptographic.
enum Murmur3 {
    /// The 32 bit form.
    static func hash32(_ data: [UInt8]) -> UInt32 {
        var hash: UInt32 = 0
        func mixed(_ word: UInt32) -> UInt32 {
            let product = word &* 0xcc9e_2d51
            return (product << 15 | product >> 17) &* 0x1b87_3593
        }
        let whole = data.count / 4 * 4
        for start in stride(from: 0, to: whole, by: 4) {
            hash ^= mixed(UInt32(truncatingIfNeeded: data.little(start, 4)))
            hash = (hash << 13 | hash >> 19) &* 5 &+ 0xe654_6b64
        }
        if whole < data.count {
            hash ^= mixed(UInt32(truncatingIfNeeded: data.little(whole, data.count - whole)))
        }
        hash ^= UInt32(truncatingIfNeeded: data.count)
        hash = (hash ^ hash >> 16) &* 0x85eb_ca6b
        hash = (hash ^ hash >> 13) &* 0xc2b2_ae35
        return hash ^ hash >> 16
    }

    /// The 128 bit form for 64 bit processors.
    static func hash128(_ data: [UInt8]) -> (UInt64, UInt64) {
        let (c1, c2): (UInt64, UInt64) = (0x87c3_7b91_1142_53d5, 0x4cf5_ad43_2745_937f)
        var (h1, h2): (UInt64, UInt64) = (0, 0)
        func first(_ word: UInt64) -> UInt64 { (word &* c1).rotated(31) &* c2 }
        func second(_ word: UInt64) -> UInt64 { (word &* c2).rotated(33) &* c1 }
        let whole = data.count / 16 * 16
        for start in stride(from: 0, to: whole, by: 16) {
            h1 = ((h1 ^ first(data.little(start, 8))).rotated(27) &+ h2) &* 5 &+ 0x52dc_e729
            h2 = ((h2 ^ second(data.little(start + 8, 8))).rotated(31) &+ h1) &* 5 &+ 0x3849_5ab5
        }
        let rest = data.count - whole
        if rest > 8 { h2 ^= second(data.little(whole + 8, rest - 8)) }
        if rest > 0 { h1 ^= first(data.little(whole, min(8, rest))) }
        h1 ^= UInt64(data.count)
        h2 ^= UInt64(data.count)
        h1 &+= h2
        h2 &+= h1
        (h1, h2) = (finished(h1), finished(h2))
        h1 &+= h2
        h2 &+= h1
        return (h1, h2)
    }

    private static func finished(_ word: UInt64) -> UInt64 {
        var word = (word ^ word >> 33) &* 0xff51_afd7_ed55_8ccd
        word = (word ^ word >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return word ^ word >> 33
    }
}

extension [UInt8] {
    /// A little-endian number of so many bytes, 8 at most.
    @inline(__always)
    func little(_ start: Int, _ count: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<count { word |= UInt64(self[start + index]) << UInt64(8 * index) }
        return word
    }

    mutating func appendBigEndian(_ word: UInt64, count: Int = 8) {
        for index in (0..<count).reversed() { append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
    }
}

extension UInt64 {
    @inline(__always)
    func rotated(_ bits: UInt64) -> UInt64 { self << bits | self >> (64 - bits) }
}
