internal import CSnappy

/// Snappy's framing format: a stream identifier, then chunks of at most 64 KiB with a checksum each.
///
/// What gRPC calls `snappy` and HTTP `x-snappy-framed`. Has no state: any thread.
///
///     FF 06 00 00 "sNaPpY" · then chunks: kind, 1 byte · length of what follows, 3 bytes, lowest first · content
///     00 compressed, 01 as it is: masked CRC-32C of the plain bytes, 4 bytes, lowest first · bytes
///     80…FE to be skipped · FF an identifier again · 02…7F nobody knows
package enum SnappyFrames {
    private static let identifier: [UInt8] = [0xff, 6, 0, 0] + Array("sNaPpY".utf8)
    private static let chunkHeadBytes = 4
    private static let checksumBytes = 4
    /// Plain bytes of a chunk.
    private static let chunkBytesMax = 65_536

    /// Whether bytes begin as a stream does; no block of `Snappy` does.
    package static func isStream(_ input: borrowing RawSpan) -> Bool {
        guard input.byteCount >= identifier.count else { return false }
        for (offset, byte) in identifier.enumerated() where input.byte(at: offset) != byte { return false }
        return true
    }

    // MARK: - Compressing

    /// The most bytes that `compress` appends for an input of this size; it asks for as much room.
    package static func outputBytesMax(inputBytes: Int) -> Int {
        let whole = inputBytes / chunkBytesMax
        let head = chunkHeadBytes + checksumBytes
        return identifier.count + whole * (head + snappy_max_compressed_length(chunkBytesMax))
            + head + snappy_max_compressed_length(inputBytes % chunkBytesMax)
    }

    /// Compresses `input`, which may be empty, and appends one stream to the caller's buffer.
    ///
    /// - Returns: the number of bytes appended.
    package static func compress(_ input: borrowing RawSpan, appending append: AppendingRoom) -> Int {
        let bound = outputBytesMax(inputBytes: input.byteCount)
        var written = 0
        append(bound) { output in
            precondition(output.freeCapacity >= bound, "Less room than asked for: \(output.freeCapacity)")
            // SAFETY: both buffers live for the closures. What is written stays within the bound, which is
            // the sum of each chunk's, behind what is initialized already.
            written = unsafe input.withUnsafeBytes { source in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let room = unsafe UnsafeMutableRawBufferPointer(rebasing: target[initializedCount...])
                    unsafe room.copyBytes(from: identifier)
                    var count = identifier.count
                    var start = 0
                    while start < source.count {
                        let end = min(start + chunkBytesMax, source.count)
                        count += unsafe write(
                            UnsafeRawBufferPointer(rebasing: source[start..<end]),
                            to: UnsafeMutableRawBufferPointer(rebasing: room[count...]))
                        start = end
                    }
                    initializedCount += count
                    return count
                }
            }
        }
        return written
    }

    /// Writes one chunk of some bytes to the beginning of `room`, which has enough for the worst case.
    private static func write(_ plain: UnsafeRawBufferPointer, to room: UnsafeMutableRawBufferPointer) -> Int
    {
        let head = chunkHeadBytes + checksumBytes
        var count = room.count - head
        // SAFETY: reads the plain bytes; writes at most `count` bytes behind the head, which is all of the room.
        let code = unsafe snappy_compress(
            Snappy.start(of: plain), plain.count,
            (room.baseAddress.unsafelyUnwrapped + head).assumingMemoryBound(to: CChar.self), &count)
        precondition(code == SNAPPY_OK, "snappy needs no more than its own bound")
        // Too little won to be worth the reader's time.
        let isStored = count >= plain.count - plain.count / 8
        if isStored {
            // SAFETY: the room has the bound's bytes, which are more than the plain ones.
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[head...]).copyMemory(from: plain)
            count = plain.count
        }
        let first = UInt32(isStored ? 1 : 0) | UInt32(count + checksumBytes) << 8
        // SAFETY: the room begins with the head's eight bytes.
        unsafe room.storeBytes(of: first.littleEndian, as: UInt32.self)
        unsafe room.storeBytes(
            of: checksum(plain).littleEndian, toByteOffset: chunkHeadBytes, as: UInt32.self)
        return head + count
    }

    // MARK: - Decompressing

    /// Decompresses a stream, all of `input`, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// Calls `append` once for each chunk, for no more than 64 KiB. After an error the chunks before the failing
    /// one have been appended; the caller drops them.
    ///
    /// - Returns: the number of bytes appended.
    /// - Throws: `.tooLarge` when there is more than the limit, else `.corrupt` when anything is wrong: every
    ///   checksum is verified.
    package static func decompress(
        _ input: borrowing RawSpan, limitBytes: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        precondition(limitBytes >= 0, "A limit cannot be negative: \(limitBytes)")
        guard !input.isEmpty else { throw .corrupt(.empty) }
        guard isStream(input) else { throw .corrupt(.wrongFormat) }
        var offset = identifier.count
        var produced = 0
        while offset < input.byteCount {
            guard input.byteCount - offset >= chunkHeadBytes else { throw .corrupt(.damaged) }
            let kind = input.byte(at: offset)
            let start = offset + chunkHeadBytes
            let end = start + number(input, at: offset + 1, bytes: 3)
            guard end <= input.byteCount else { throw .corrupt(.damaged) }
            switch kind {
            case 0x00, 0x01:
                guard end - start >= checksumBytes else { throw .corrupt(.damaged) }
                let checksum = UInt32(number(input, at: start, bytes: checksumBytes))
                let content = input.extracting((start + checksumBytes)..<end)
                let declared = kind == 0 ? Snappy.declaredBytes(content) : content.byteCount
                guard let declared, declared <= chunkBytesMax else { throw .corrupt(.damaged) }
                guard declared <= limitBytes - produced else { throw .tooLarge(limitBytes: limitBytes) }
                let isAppended =
                    kind == 0
                    ? Snappy.decompress(
                        content, declaredBytes: declared, checksum: checksum, appending: append)
                    : copy(content, checksum: checksum, appending: append)
                guard isAppended else { throw .corrupt(.damaged) }
                produced += declared
            case 0x80...0xfe: break
            case 0xff where isStream(input.extracting(offset..<end)) && end - offset == identifier.count:
                break
            default: throw .corrupt(.damaged)
            }
            offset = end
        }
        return produced
    }

    /// Appends the bytes of a chunk that is not compressed, when they have this checksum.
    private static func copy(
        _ content: borrowing RawSpan, checksum: UInt32, appending append: AppendingRoom
    ) -> Bool {
        // SAFETY: both buffers live for the closures; as many bytes are copied as room was asked for.
        unsafe content.withUnsafeBytes { source in
            guard unsafe checksum == self.checksum(source) else { return false }
            append(max(source.count, 1)) { output in
                unsafe output.withUnsafeMutableBytes { target, initializedCount in
                    let room = unsafe UnsafeMutableRawBufferPointer(rebasing: target[initializedCount...])
                    unsafe room.copyMemory(from: source)
                    initializedCount += source.count
                }
            }
            return true
        }
    }

    /// A number of some bytes, the lowest first.
    private static func number(_ input: borrowing RawSpan, at offset: Int, bytes: Int) -> Int {
        var number = 0
        for index in 0..<bytes { number |= Int(input.byte(at: offset + index)) << (8 * index) }
        return number
    }

    /// A checksum as chunks carry it: masked, since checksums of bytes that hold checksums are weak.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let checksum = unsafe CRC32C.checksum(bytes)
        return (checksum >> 15 | checksum << 17) &+ 0xa282_ead8
    }
}
