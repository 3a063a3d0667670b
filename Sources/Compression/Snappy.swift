internal import CSnappy

/// Snappy's block format: one block, no framing, no checksum.
///
/// What Loki and Prometheus call `snappy`; gRPC means `SnappyFrames`. Has no state: any thread.
package enum Snappy {
    /// No block decompresses to more than this many times its size: 64 bytes from the 3 of a copy, with the
    /// length in front making up for what is rounded.
    private static let expansionMax = 22

    /// The most bytes that `compress` appends for an input of this size; it asks for as much room.
    package static func outputBytesMax(inputBytes: Int) -> Int {
        snappy_max_compressed_length(inputBytes)
    }

    /// Compresses `input`, which may be empty and must be smaller than 4 GiB, and appends one block to the
    /// caller's buffer.
    ///
    /// - Returns: the number of bytes appended.
    package static func compress(_ input: borrowing RawSpan, appending append: AppendingRoom) -> Int {
        precondition(input.byteCount <= Int(UInt32.max), "A block holds at most 4 GiB")
        let bound = outputBytesMax(inputBytes: input.byteCount)
        var written = 0
        append(bound) { output in
            precondition(output.freeCapacity >= bound, "Less room than asked for: \(output.freeCapacity)")
            // SAFETY: both buffers live for the closures; snappy reads the source's bytes and writes at most
            // `count` bytes, the free capacity, behind what is initialized already.
            written = unsafe input.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let start = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                    var count = target.count - initializedCount
                    let code = unsafe snappy_compress(
                        Self.start(of: source), source.count, start.assumingMemoryBound(to: CChar.self),
                        &count)
                    // SNAPPY_BUFFER_TOO_SMALL is all that can happen, and the room was asked for.
                    precondition(code == SNAPPY_OK, "snappy needs no more than its own bound")
                    initializedCount += count
                    return count
                }
            }
        }
        return written
    }

    /// Decompresses one block, all of `input`, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// What the block says about its own size is checked against the limit, and against what so few bytes can
    /// hold at all, before room is asked for. A block of an empty text appends nothing and asks for no room.
    ///
    /// - Returns: the number of bytes appended; after an error none.
    package static func decompress(
        _ input: borrowing RawSpan, limitBytes: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        precondition(limitBytes >= 0, "A limit cannot be negative: \(limitBytes)")
        guard !input.isEmpty else { throw .corrupt(.empty) }
        guard let declared = declaredBytes(input) else { throw .corrupt(.wrongFormat) }
        guard declared <= input.byteCount * expansionMax else { throw .corrupt(.damaged) }
        guard declared <= limitBytes else { throw .tooLarge(limitBytes: limitBytes) }
        guard decompress(input, declaredBytes: declared, checksum: nil, appending: append) else {
            throw .corrupt(.damaged)
        }
        return declared
    }

    /// Decompresses a block whose size was read and allowed.
    ///
    /// - Parameter checksum: of the bytes, as `SnappyFrames.checksum` makes it; nil: is not asked for.
    /// - Returns: whether they were appended; when not, nothing is.
    static func decompress(
        _ input: borrowing RawSpan, declaredBytes declared: Int, checksum: UInt32?,
        appending append: AppendingRoom
    ) -> Bool {
        var isAppended = false
        append(max(declared, 1)) { output in
            precondition(output.freeCapacity >= declared, "Less room than asked for: \(output.freeCapacity)")
            // SAFETY: both buffers live for the closures; snappy writes exactly the declared bytes or fails,
            // and then nothing counts as initialized.
            isAppended = unsafe input.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let start = unsafe target.baseAddress.unsafelyUnwrapped + initializedCount
                    var count = target.count - initializedCount
                    let code = unsafe snappy_uncompress(
                        Self.start(of: source), source.count, start.assumingMemoryBound(to: CChar.self),
                        &count)
                    // SNAPPY_INVALID_INPUT; never SNAPPY_BUFFER_TOO_SMALL, by the length read above.
                    guard code == SNAPPY_OK, count == declared else { return false }
                    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
                    if let checksum, unsafe checksum != SnappyFrames.checksum(bytes) { return false }
                    initializedCount += count
                    return true
                }
            }
        }
        return isAppended
    }

    /// The size that a block says it decompresses to; nil when it has none.
    static func declaredBytes(_ input: borrowing RawSpan) -> Int? {
        var count = 0
        // SAFETY: reads at most the source's bytes, during the call.
        let code = unsafe input.withUnsafeBytes { source in
            unsafe snappy_uncompressed_length(Self.start(of: source), source.count, &count)
        }
        return code == SNAPPY_OK ? count : nil
    }

    /// An address even for no bytes, which snappy does not read then.
    static func start(of bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar> {
        // SAFETY: the stand-in is never read.
        let start = unsafe bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        return unsafe start.assumingMemoryBound(to: CChar.self)
    }
}
