internal import CZstd

/// Decodes whole zstd bodies (RFC 8878): any number of frames back to back.
///
/// One per event loop: not thread-safe, and meant to be reused. What a frame says about its own size is only a
/// first guess; what is allocated for the output stays within the caller's limit, and the window within
/// `windowBytesMax`.
@safe package final class ZstdDecompressor: FrameDecoder {
    /// Frames that need a larger window are refused. RFC 8878 asks every decoder for 8 MiB and no more.
    package static let windowBytesMax = 1 << windowLogMax
    private static let windowLogMax = 23
    /// The first room is at most this many times the input, whatever a frame declares.
    private static let firstExpansionMax = 64

    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let context: OpaquePointer

    package init() {
        guard let context = unsafe ZSTD_createDCtx() else { fatalError("Out of memory for a decompressor.") }
        unsafe self.context = context
        let code = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(Self.windowLogMax))
        precondition(ZSTD_isError(code) == 0, "The window's limit is one that zstd has")
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        _ = unsafe ZSTD_freeDCtx(context)
    }

    /// Inflates `input`, all of it, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// Calls `append` as often as room runs out. After an error some bytes may have been appended; the caller
    /// drops them.
    ///
    /// - Returns: the number of bytes appended.
    /// - Throws: `.tooLarge` when there is more than the limit, else `.corrupt` when anything is wrong: the last
    ///   frame must be whole, and checksums are verified where a frame has one.
    package func inflate(
        _ input: borrowing RawSpan, limitBytes: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        precondition(limitBytes >= 0, "A limit cannot be negative: \(limitBytes)")
        try begin(input, limitBytes: limitBytes)
        let firstRoom = Self.firstRoom(input, Self.declaredBytes(input))
        return try inflateFrames(input, limitBytes: limitBytes, firstRoom: firstRoom, appending: append)
    }

    /// Begins with a body.
    func begin(_ input: borrowing RawSpan, limitBytes: Int) throws(InflateError) {
        guard !input.isEmpty else { throw .corrupt(.empty) }
        // SAFETY: the context is ours. A reset of the session alone cannot fail and keeps the window's limit.
        _ = unsafe ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        // Whether it is true or not, nothing good can come of it.
        if let declared = Self.declaredBytes(input), declared > limitBytes {
            throw .tooLarge(limitBytes: limitBytes)
        }
    }

    /// One call of zstd.
    func decode(
        _ input: borrowing RawSpan, from start: Int, into output: inout OutputRawSpan, limitBytes: Int
    ) -> FrameStep {
        // SAFETY: both buffers live for the closures; zstd reads at most `source.count - start` bytes from
        // `start` (at most the count) and writes at most the free capacity behind what is initialized already.
        unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target, initializedCount in
                let into = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                let size = min(target.count - initializedCount, limitBytes + 1)
                var from = unsafe ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: start)
                var to = unsafe ZSTD_outBuffer(dst: into, size: size, pos: 0)
                let code = unsafe ZSTD_decompressStream(context, &to, &from)
                initializedCount += unsafe min(to.pos, limitBytes)
                return unsafe FrameStep(
                    damage: ZSTD_isError(code) == 0 ? nil : start == 0 ? .wrongFormat : .damaged,
                    isFrameEnd: code == 0, inputBytes: from.pos - start,
                    outputBytes: to.pos, isFull: to.pos == size)
            }
        }
    }

    /// The size that the first frame declares; nil when it does not or cannot be read.
    private static func declaredBytes(_ input: borrowing RawSpan) -> Int? {
        // SAFETY: reads at most the source's bytes, during the call.
        let declared = unsafe input.withUnsafeBytes { source in
            unsafe ZSTD_getFrameContentSize(source.baseAddress, source.count)
        }
        // The two highest numbers say that it is unknown or not readable.
        return declared < UInt64(Int.max) ? Int(declared) : nil
    }

    /// The declared size, as far as so few bytes make it likely.
    private static func firstRoom(_ input: borrowing RawSpan, _ declared: Int?) -> Int {
        guard let declared else { return input.byteCount * 4 }
        return max(1, min(declared, input.byteCount * firstExpansionMax))
    }
}

/// Compresses whole bodies, one zstd frame each.
///
/// One per event loop: not thread-safe, and meant to be reused.
@safe package final class ZstdCompressor {
    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let context: OpaquePointer

    /// A compressor of this level. A level that zstd has not traps.
    ///
    /// Level 1 is the default for its price: on traces and logs level 3, zstd's own, takes a fifth to three quarters more
    /// CPU time and saves 0.6 percent of the bytes at most.
    package init(level: Int = 1) {
        guard let context = unsafe ZSTD_createCCtx() else { fatalError("Out of memory for a compressor.") }
        unsafe self.context = context
        precondition((1...Int(ZSTD_maxCLevel())).contains(level), "No such level: \(level)")
        let code = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        precondition(ZSTD_isError(code) == 0, "The level is one that zstd has")
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        _ = unsafe ZSTD_freeCCtx(context)
    }

    /// Compresses `input`, which may be empty, and appends one frame to the caller's buffer.
    ///
    /// - Returns: the number of bytes appended.
    package func compress(_ input: borrowing RawSpan, appending append: AppendingRoom) -> Int {
        let bound = ZSTD_compressBound(input.byteCount)
        var written = 0
        append(bound) { output in
            precondition(output.freeCapacity >= bound, "Less room than asked for: \(output.freeCapacity)")
            // SAFETY: both buffers live for the closures; zstd reads the whole source (nil only when it is empty)
            // and writes at most the free capacity, behind what is initialized already.
            written = unsafe input.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let into = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                    let count = unsafe ZSTD_compress2(
                        context, into, target.count - initializedCount, source.baseAddress, source.count)
                    // Only no memory for the tables can be wrong: the room was asked for.
                    guard ZSTD_isError(count) == 0 else { fatalError("Out of memory for a compressor.") }
                    initializedCount += count
                    return count
                }
            }
        }
        return written
    }
}
