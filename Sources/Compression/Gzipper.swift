internal import CLibdeflate

/// Compresses whole bodies, one gzip member each.
///
/// One per event loop: not thread-safe, and meant to be reused.
@safe package final class Gzipper {
    /// The levels that there are: 0 stores, 1 is fastest, 12 is smallest.
    package static let levels = 0...12

    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let compressor: OpaquePointer

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
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        unsafe libdeflate_free_compressor(compressor)
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
                    let count = unsafe libdeflate_gzip_compress(
                        compressor, source.baseAddress, source.count, into, target.count - initializedCount)
                    initializedCount += count
                    return count
                }
            }
        }
        precondition(written > 0, "libdeflate needs no more than its own bound")
        return written
    }
}
