internal import CLz4

/// Single blocks of lz4, without the frame: for bytes that do not leave the process. Any thread.
package enum LZ4Block {
    /// The most that so many bytes become.
    package static func compressedBytesMax(_ count: Int) -> Int {
        Int(LZ4_compressBound(Int32(clamping: count)))
    }

    /// Compresses `bytes`, 1 GiB at most.
    /// - Returns: how many bytes of `room` it took; nil: they do not fit.
    package static func compress(_ bytes: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer)
        -> Int?
    {
        precondition(bytes.count <= 1 << 30, "too much for one block: \(bytes.count)")
        // SAFETY: lz4 reads the first buffer's bytes and writes at most the second's.
        let count = unsafe LZ4_compress_default(
            bytes.baseAddress, room.baseAddress, Int32(bytes.count), Int32(clamping: room.count))
        return count > 0 ? Int(count) : nil
    }

    /// Fills `room` with what was compressed.
    /// - Returns: whether it was as much as that, and undamaged.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
    ) -> Bool {
        // SAFETY: as in `compress`.
        let count = unsafe LZ4_decompress_safe(
            bytes.baseAddress, room.baseAddress, Int32(clamping: bytes.count), Int32(clamping: room.count))
        return Int(count) == room.count
    }
}
