internal import CZlib

/// Compresses a body bit by bit into one gzip member, for bodies that are too large to be held whole.
///
/// Takes about twice the CPU time of `Gzipper` and 260 KB of memory. Not thread-safe.
@safe package final class GzipStream {
    /// Faster than level 1 of zlib on text that repeats, and smaller.
    private static let level: Int32 = 2
    /// A window of 32 KiB, and 16 for the format of gzip.
    private static let windowBits: Int32 = 15 + 16
    private static let memoryLevel: Int32 = 8
    /// Room asked for at a time.
    private static let roomBytes = 64 << 10

    // SAFETY: owned, initialized in init and ended in deinit; zlib wants it to stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isFinished = false

    package init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Z_OK, Z_MEM_ERROR, Z_STREAM_ERROR for parameters out of range, Z_VERSION_ERROR.
        let code = unsafe deflateInit2_(
            stream, Self.level, Z_DEFLATED, Self.windowBits, Self.memoryLevel, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { fatalError("Out of memory for a compressor.") }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Compresses the next bytes, and appends what is ready: often nothing, much less than comes in at last.
    ///
    /// - Parameter isLast: whether the body ends with these bytes, of which there may be none. Then the member is
    ///   complete, and nothing may follow.
    package func compress(_ input: borrowing RawSpan, isLast: Bool, appending append: AppendingRoom) {
        precondition(!isFinished, "the member is complete")
        precondition(input.byteCount <= Int(UInt32.max), "zlib counts in 32 bits")
        isFinished = isLast
        unsafe input.withUnsafeBytes { source in
            // SAFETY: zlib only reads from it, and not after this call.
            unsafe stream.pointee.next_in = UnsafeMutablePointer(
                mutating: source.bindMemory(to: UInt8.self).baseAddress)
            unsafe stream.pointee.avail_in = UInt32(source.count)
            var isMore = true
            while isMore {
                append(Self.roomBytes) { output in isMore = deflate(into: &output, isLast: isLast) }
            }
            precondition(unsafe stream.pointee.avail_in == 0, "zlib takes everything when there is room")
        }
    }

    /// One call of zlib; returns whether there is more to be written.
    private func deflate(into output: inout OutputRawSpan, isLast: Bool) -> Bool {
        unsafe output.withUnsafeMutableBytes { target, initializedCount in
            let room = min(target.count - initializedCount, Int(UInt32.max))
            // SAFETY: `room` bytes behind what is initialized already.
            unsafe stream.pointee.next_out =
                target.baseAddress.unsafelyUnwrapped
                .assumingMemoryBound(to: UInt8.self) + initializedCount
            unsafe stream.pointee.avail_out = UInt32(room)
            // Z_OK, Z_STREAM_END, Z_BUF_ERROR when there was nothing to do; Z_STREAM_ERROR is our bug.
            let code = unsafe CZlib.deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
            precondition(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "zlib: \(code)")
            initializedCount += unsafe room - Int(stream.pointee.avail_out)
            return unsafe stream.pointee.avail_out == 0
        }
    }
}
