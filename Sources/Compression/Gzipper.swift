internal import CISAL
internal import CLibdeflate

/// Compresses whole bodies, one gzip member each.
///
/// One per event loop: not thread-safe, and meant to be reused.
///
/// libdeflate for small bodies and all levels; at level 1, of larger ones, ISA-L where the machine has it: 46 KB of spans take 26 µs
/// instead of 46, 3.7 MB 1.5 ms instead of 4.8, and become 2 % larger (logs 3 %) than by libdeflate; what cannot be compressed takes
/// a sixteenth. Below 14 KB it is the slower one (5 KB: 12 µs instead of 8).
@safe package final class Gzipper {
    /// The levels that there are: 0 stores, 1 is fastest, 12 is smallest.
    package static let levels = 0...12

    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let compressor: OpaquePointer
    // SAFETY: owned, made by the first large body, freed in deinit, never handed out.
    private var large: OpaquePointer?
    /// Whether large bodies are ISA-L's, as far as is known: until it turns out not to be there, or to get no memory.
    private var hasLarge: Bool

    /// From so many bytes on a body is large.
    private static let largeBytes = 14 << 10

    /// A compressor of this level, one of `levels`; another traps, because configuration was checked before.
    ///
    /// Level 1 is the default for its price: on trace data the higher ones cost two to eight times the CPU time and
    /// save two to seven percent of the bytes.
    package init(level: Int = 1) {
        precondition(Self.levels.contains(level), "No such level: \(level)")
        guard let compressor = unsafe libdeflate_alloc_compressor(Int32(level)) else {
            fatalError("Out of memory for a compressor.")
        }
        unsafe self.compressor = compressor
        unsafe large = nil
        hasLarge = level == 1
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        unsafe libdeflate_free_compressor(compressor)
        if let large = unsafe large { unsafe cisal_free(large) }
    }

    /// The most bytes that `compress` appends for an input of this size; it asks for as much room.
    package func outputBytesMax(inputBytes: Int) -> Int {
        // SAFETY: only computes.
        unsafe libdeflate_gzip_compress_bound(compressor, inputBytes)
    }

    /// Compresses `input`, which may be empty, and appends one gzip member to the caller's buffer.
    ///
    /// Members back to back are one gzip body. Allocates nothing.
    ///
    /// - Returns: the number of bytes appended.
    package func compress(_ input: borrowing RawSpan, appending append: AppendingRoom) -> Int {
        let bound = outputBytesMax(inputBytes: input.byteCount)
        var written = 0
        append(bound) { output in
            precondition(output.freeCapacity >= bound, "Less room than asked for: \(output.freeCapacity)")
            // SAFETY: both buffers live for the closures; libdeflate reads the whole source (nil only when it is
            // empty) and writes at most the free capacity, behind what is initialized already.
            written = unsafe input.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let into = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                    let room = target.count - initializedCount
                    var count = unsafe compressLarge(source, into, room)
                    if count == 0 {
                        count = unsafe libdeflate_gzip_compress(
                            compressor, source.baseAddress, source.count, into, room)
                    }
                    initializedCount += count
                    return count
                }
            }
        }
        precondition(written > 0, "libdeflate needs no more than its own bound")
        return written
    }

    /// By ISA-L, if the body is for it. SAFETY: `output` has room for `room` bytes.
    /// - Returns: the number of bytes written; 0 when it is libdeflate's turn.
    @unsafe private func compressLarge(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawPointer, _ room: Int
    ) -> Int {
        guard hasLarge, input.count >= Self.largeBytes, let source = input.baseAddress else { return 0 }
        if unsafe large == nil { unsafe large = cisal_make() }
        guard let large = unsafe large else {
            hasLarge = false
            return 0
        }
        return unsafe cisal_compress(large, source, input.count, output, room)
    }
}
