/// CRC-32C (Castagnoli), which snappy's frames carry. Any thread; eight bytes a step.
///
/// By hand: none of the libraries that the gateway links has it (zlib's and libdeflate's CRC-32 is another polynomial), and one
/// more for these lines would be slower to build than they are to run: 4.5 instructions a byte, 2 GB/s.
enum CRC32C {
    /// The checksum's polynomial, lowest power first.
    private static let polynomial: UInt32 = 0x82f6_3b78
    private static let tableCount = 8

    /// Entry `256 * n + byte`: what a byte with `n` bytes of zeros behind it does to the checksum.
    private static let tables: [UInt32] = {
        var tables: [UInt32] = []
        tables.reserveCapacity(256 * tableCount)
        for byte in 0..<UInt32(256) {
            tables.append((0..<8).reduce(byte) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? polynomial : 0) })
        }
        for index in 256..<(256 * tableCount) {
            let shorter = tables[index - 256]
            tables.append(shorter >> 8 ^ tables[Int(shorter & 0xff)])
        }
        return tables
    }()

    /// The checksum of all of `bytes`.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        // SAFETY: a table has 256 entries for 256 bytes; words are read while eight bytes are left.
        unsafe tables.withUnsafeBufferPointer { table in
            var crc = UInt32.max
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian
                let low = UInt32(truncatingIfNeeded: word) ^ crc
                let high = UInt32(truncatingIfNeeded: word >> 32)
                crc = unsafe four(low, table, from: 4) ^ four(high, table, from: 0)
                offset += 8
            }
            while offset < bytes.count {
                crc = unsafe crc >> 8 ^ table[Int((crc ^ UInt32(bytes[offset])) & 0xff)]
                offset += 1
            }
            return ~crc
        }
    }

    /// Four bytes, the last of them with `first` bytes behind it.
    @inline(__always)
    private static func four(_ word: UInt32, _ table: UnsafeBufferPointer<UInt32>, from first: Int) -> UInt32
    {
        // SAFETY: `first` is at most 4, so that the highest entry is in the eighth table.
        let one = unsafe table[(first + 3) << 8 + Int(word & 0xff)]
        let two = unsafe table[(first + 2) << 8 + Int(word >> 8 & 0xff)]
        let three = unsafe table[(first + 1) << 8 + Int(word >> 16 & 0xff)]
        let four = unsafe table[first << 8 + Int(word >> 24)]
        return one ^ two ^ three ^ four
    }
}
