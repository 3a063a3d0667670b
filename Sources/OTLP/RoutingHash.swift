/// A hash that is the same in every process, on every machine and in every version: gateways that do not know of each
/// other must agree where a trace goes. No defence against chosen keys.
package enum RoutingHash {
    /// Of any bytes. Of two words, such as a trace id's, `of(_:_:)` gives the same sooner.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash = start
        var word: UInt64 = 0
        var count: UInt64 = 0
        for byte in bytes {
            word |= UInt64(byte) << (8 * (count & 7))
            count &+= 1
            if count & 7 == 0 {
                hash = step(hash, word)
                word = 0
            }
        }
        if count & 7 != 0 { hash = step(hash, word) }
        return finish(hash, count)
    }

    /// Of sixteen bytes, read as two words, lowest byte first.
    static func of(_ low: UInt64, _ high: UInt64) -> UInt64 {
        finish(step(step(start, low), high), 16)
    }

    /// Of a part of a request.
    static func of(_ bytes: WireBytes) -> UInt64 {
        unsafe of(bytes.unsafeBytes)
    }

    private static let start: UInt64 = 0x243F_6A88_85A3_08D3

    private static func step(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let mixed = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        return mixed ^ mixed >> 32
    }

    /// Spreads every bit over all others.
    private static func finish(_ hash: UInt64, _ count: UInt64) -> UInt64 {
        var mixed = hash ^ count
        mixed ^= mixed >> 33
        mixed &*= 0xFF51_AFD7_ED55_8CCD
        mixed ^= mixed >> 33
        mixed &*= 0xC4CE_B9FE_1A85_EC53
        return mixed ^ mixed >> 33
    }
}
