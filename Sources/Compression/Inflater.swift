internal import CZlib

/// Decodes gzip and zlib bodies in pieces: zlib goes on where room or input ended, which libdeflate cannot, and takes twice
/// its time. Not thread-safe, and meant to be reused; 40 KB.
@safe final class Inflater: FrameDecoder {
    /// What is read at most in one call: there are bodies that inflate to nothing.
    private static let inputBytesMax = 32 << 10
    /// A window of 32 KiB; 16 more for the format of gzip.
    private static let windowBits: Int32 = 15

    // SAFETY: owned, initialized in init and ended in deinit; zlib wants it to stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>
    private var format = Gunzipper.Format.gzip
    /// Whether the last member is complete.
    private var isMemberEnd = false

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Z_OK, Z_MEM_ERROR; Z_STREAM_ERROR and Z_VERSION_ERROR would be our bug.
        let code = unsafe inflateInit2_(
            stream, Self.windowBits + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { fatalError("Out of memory for a decompressor.") }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Begins with a body.
    func begin(_ input: borrowing RawSpan, as format: Gunzipper.Format) throws(InflateError) {
        guard !input.isEmpty else { throw .corrupt(.empty) }
        guard Gunzipper.starts(format, input, at: 0) else { throw .corrupt(.wrongFormat) }
        self.format = format
        isMemberEnd = false
        // Fails for parameters that zlib does not know only.
        let code = unsafe inflateReset2(stream, Self.windowBits + (format == .gzip ? 16 : 0))
        precondition(code == Z_OK, "zlib: \(code)")
    }

    func decode(
        _ input: borrowing RawSpan, from start: Int, into output: inout OutputRawSpan, limitBytes: Int
    ) -> FrameStep {
        if isMemberEnd {
            guard format == .gzip, Gunzipper.starts(format, input, at: start) else {
                return FrameStep(damage: .trailingBytes)
            }
            isMemberEnd = false
            unsafe inflateReset(stream)
        }
        // SAFETY: both buffers live for the closures; zlib reads at most `available` bytes from `start`, which is below the
        // count, and writes at most `size` bytes, which are free, behind what is initialized already.
        return unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target, initializedCount in
                let available = min(source.count - start, Self.inputBytesMax)
                let size = min(target.count - initializedCount, limitBytes + 1)
                unsafe stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: (source.baseAddress.unsafelyUnwrapped + start).assumingMemoryBound(
                        to: UInt8.self))
                unsafe stream.pointee.avail_in = UInt32(available)
                unsafe stream.pointee.next_out =
                    (target.baseAddress.unsafelyUnwrapped + initializedCount).assumingMemoryBound(
                        to: UInt8.self)
                unsafe stream.pointee.avail_out = UInt32(size)
                let code = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
                let read = unsafe available - Int(stream.pointee.avail_in)
                let written = unsafe size - Int(stream.pointee.avail_out)
                initializedCount += min(written, limitBytes)
                isMemberEnd = code == Z_STREAM_END
                // Z_BUF_ERROR: nothing could be done. Z_DATA_ERROR, Z_NEED_DICT, Z_MEM_ERROR.
                let isDamaged = code != Z_OK && code != Z_STREAM_END
                return FrameStep(
                    damage: isDamaged ? .damaged : nil, isFrameEnd: isMemberEnd, inputBytes: read,
                    outputBytes: written, isFull: written == size)
            }
        }
    }
}
