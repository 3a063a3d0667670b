internal import CLz4

/// Decodes whole lz4 bodies in the frame format: any number of frames back to back.
///
/// One per event loop: not thread-safe, and meant to be reused. What is allocated for the output stays within the
/// caller's limit; a block has at most 4 MiB, which lz4 keeps together with the 64 KiB before it.
@safe package final class LZ4Decompressor: FrameDecoder {
    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let context: OpaquePointer

    package init() {
        var context: OpaquePointer?
        let code = unsafe LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(code) == 0, let context = unsafe context else {
            fatalError("Out of memory for a decompressor.")
        }
        unsafe self.context = context
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        _ = unsafe LZ4F_freeDecompressionContext(context)
    }

    /// Inflates `input`, all of it, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// Calls `append` as often as room runs out. After an error some bytes may have been appended; the caller
    /// drops them.
    ///
    /// - Returns: the number of bytes appended.
    /// - Throws: `.tooLarge` when there is more than the limit, else `.corrupt` when anything is wrong: the last
    ///   frame must be whole, and checksums are verified where a frame has them.
    package func inflate(
        _ input: borrowing RawSpan, limitBytes: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        precondition(limitBytes >= 0, "A limit cannot be negative: \(limitBytes)")
        try begin(input)
        return try inflateFrames(
            input, limitBytes: limitBytes, firstRoom: input.byteCount * 4, appending: append)
    }

    /// Begins with a body.
    func begin(_ input: borrowing RawSpan) throws(InflateError) {
        guard !input.isEmpty else { throw .corrupt(.empty) }
        guard Self.isFrame(input) else { throw .corrupt(.wrongFormat) }
        unsafe LZ4F_resetDecompressionContext(context)
    }

    /// Whether bytes begin as a frame does, or as one that is to be skipped.
    private static func isFrame(_ input: borrowing RawSpan) -> Bool {
        guard input.byteCount >= 4 else { return false }
        var magic: UInt32 = 0
        for index in 0..<4 { magic |= UInt32(input.byte(at: index)) << UInt32(8 * index) }
        return magic == 0x184D_2204 || magic & 0xFFFF_FFF0 == 0x184D_2A50
    }

    /// Calls lz4 until the room is full, the input used up, or something is wrong.
    func decode(
        _ input: borrowing RawSpan, from start: Int, into output: inout OutputRawSpan, limitBytes: Int
    ) -> FrameStep {
        // SAFETY: both buffers live for the closures; lz4 reads at most the source's bytes from `start` on and writes
        // at most the free capacity behind what is initialized already.
        unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target, initializedCount in
                let into = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                let size = min(target.count - initializedCount, limitBytes + 1)
                var (from, written, code) = (start, 0, 1)
                while from < source.count, written < size {
                    var sourceBytes = source.count - from
                    var targetBytes = size - written
                    code = unsafe LZ4F_decompress(
                        context, into + written, &targetBytes, source.baseAddress.unsafelyUnwrapped + from,
                        &sourceBytes, nil)
                    guard LZ4F_isError(code) == 0, sourceBytes + targetBytes > 0 else { break }
                    from += sourceBytes
                    written += targetBytes
                }
                // What a block still holds comes without further input.
                if from == source.count, code != 0, LZ4F_isError(code) == 0, written < size {
                    var sourceBytes = 0
                    var targetBytes = size - written
                    code = unsafe LZ4F_decompress(
                        context, into + written, &targetBytes, into, &sourceBytes, nil)
                    written += targetBytes
                }
                initializedCount += min(written, limitBytes)
                return FrameStep(
                    damage: LZ4F_isError(code) == 0 ? nil : .damaged, isFrameEnd: code == 0,
                    inputBytes: from - start,
                    outputBytes: written, isFull: written == size)
            }
        }
    }
}
