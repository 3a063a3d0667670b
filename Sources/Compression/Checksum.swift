internal import CLibdeflate

/// CRC-32 as in gzip (RFC 1952 §8). Any thread; tens of gigabytes a second.
package enum Checksum {
    /// The checksum of `bytes` behind what `checksum` is of; 0 to begin.
    package static func crc32(_ checksum: UInt32 = 0, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        // nil would reset the checksum.
        guard let start = bytes.baseAddress else { return checksum }
        // SAFETY: reads `count` bytes of the borrowed buffer.
        return unsafe libdeflate_crc32(checksum, start, bytes.count)
    }
}
