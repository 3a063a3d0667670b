internal import CLibdeflate

// Bodies arrive whole, so libdeflate, which decodes twice as fast as zlib, serves all of them; it wants room for
// a whole member at once, which is guessed and, when the guess was too low, grown. `Inflater` is for bodies that
// are too large to be decoded at once.

/// Asks its caller for room at the end of a buffer: at least `minimumBytes` of it, which `fill` appends to.
///
/// Must call `fill` exactly once. For a `ByteBuffer`:
/// `{ buffer.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) }`.
package typealias AppendingRoom = (_ minimumBytes: Int, _ fill: (inout OutputRawSpan) -> Void) -> Void

/// Decodes whole gzip and zlib bodies.
///
/// One per event loop: not thread-safe, and meant to be reused. What a body says about its own
/// size is only ever a first guess; what is allocated and what is written stay within the caller's limit and
/// within what deflate can reach at all.
@safe package final class Gunzipper {
    /// The format of a compressed body.
    package enum Format: Sendable {
        /// RFC 1952, any number of members back to back. HTTP and gRPC call it `gzip`.
        case gzip
        /// RFC 1950. HTTP calls it `deflate`, some also `zlib`.
        case zlib
    }

    /// No deflate stream inflates to more than this many times its size: 258 bytes from 2 bits.
    private static let expansionMax = 1032
    /// The room for a second attempt, when the first guess was lower than this.
    private static let secondRoomBytes = 64 << 10

    // SAFETY: owned, made in init, freed in deinit, never handed out.
    private let decompressor: OpaquePointer

    package init() {
        guard let decompressor = unsafe libdeflate_alloc_decompressor() else {
            fatalError("Out of memory for a decompressor.")
        }
        unsafe self.decompressor = decompressor
    }

    deinit {
        // SAFETY: allocated in init, and nothing can use it any more.
        unsafe libdeflate_free_decompressor(decompressor)
    }

    /// Inflates `input`, all of it, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// Calls `append` once for each member whose size was guessed well, more often otherwise. After an error the
    /// members before the failing one have been appended; the caller drops them.
    ///
    /// - Returns: the number of bytes appended.
    /// - Throws: `.tooLarge` when there is more than the limit, else `.corrupt` when anything is wrong: every
    ///   checksum is verified, and nothing but further gzip members may follow the first.
    /// - Complexity: linear in input and output; a wrong guess costs at most twice as much. Allocates nothing.
    package func inflate(
        _ input: borrowing RawSpan, as format: Format = .gzip, limitBytes: Int,
        appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        precondition(limitBytes >= 0, "A limit cannot be negative: \(limitBytes)")
        guard !input.isEmpty else { throw .corrupt(.empty) }
        var consumed = 0
        var produced = 0
        repeat {
            guard Self.starts(format, input, at: consumed) else {
                throw .corrupt(consumed == 0 ? .wrongFormat : .trailingBytes)
            }
            let member = try inflateMember(
                input, from: consumed, as: format, limitBytes: limitBytes - produced, appending: append)
            guard let member else { throw .tooLarge(limitBytes: limitBytes) }
            consumed += member.inputBytes
            produced += member.outputBytes
        } while format == .gzip && consumed < input.byteCount
        guard consumed == input.byteCount else { throw .corrupt(.trailingBytes) }
        return produced
    }

    /// Inflates the member that starts at `start`.
    ///
    /// - Returns: its sizes, or nil when it holds more than `limitBytes` bytes.
    private func inflateMember(
        _ input: borrowing RawSpan, from start: Int, as format: Format, limitBytes: Int,
        appending append: AppendingRoom
    ) throws(InflateError) -> (inputBytes: Int, outputBytes: Int)? {
        let possibleBytes = (input.byteCount - start) * Self.expansionMax
        let roomMax = min(limitBytes, possibleBytes)
        var room = min(Self.guess(input, from: start, as: format), roomMax)
        while true {
            var attempt = Attempt.damaged
            var tried = 0
            append(max(room, 1)) { output in
                precondition(output.freeCapacity >= room, "Less room than asked for: \(output.freeCapacity)")
                tried = min(output.freeCapacity, roomMax)
                attempt = decode(input, from: start, as: format, into: &output, outputBytesMax: tried)
            }
            switch attempt {
            case .done(let inputBytes, let outputBytes):
                return (inputBytes, outputBytes)
            case .damaged:
                throw .corrupt(.damaged)
            case .needsMoreRoom where tried < roomMax:
                room = min(max(tried * 4, Self.secondRoomBytes), roomMax)
            case .needsMoreRoom:
                // Past what deflate can reach it is not large but damaged.
                if possibleBytes < limitBytes { throw .corrupt(.damaged) }
                return nil
            }
        }
    }

    private enum Attempt {
        case done(inputBytes: Int, outputBytes: Int)
        case needsMoreRoom
        case damaged
    }

    /// One call of libdeflate. Appends to `output` only on success.
    private func decode(
        _ input: borrowing RawSpan, from start: Int, as format: Format,
        into output: inout OutputRawSpan, outputBytesMax: Int
    ) -> Attempt {
        var inputBytes = 0
        var outputBytes = 0
        // SAFETY: both buffers live for the closures; libdeflate reads at most `source.count - start` bytes from
        // `start` (which is below the count) and writes at most `outputBytesMax` bytes, which the caller bounded
        // by the free capacity, behind what is initialized already.
        let code = unsafe input.withUnsafeBytes { source in
            unsafe output.withUnsafeMutableBytes { target, initializedCount in
                let from = unsafe source.baseAddress.unsafelyUnwrapped + start
                let into = unsafe target.baseAddress.map { unsafe $0 + initializedCount }
                let decode =
                    switch format {
                    case .gzip: unsafe libdeflate_gzip_decompress_ex
                    case .zlib: unsafe libdeflate_zlib_decompress_ex
                    }
                let code = unsafe decode(
                    decompressor, from, source.count - start, into, outputBytesMax, &inputBytes, &outputBytes)
                if code == LIBDEFLATE_SUCCESS {
                    initializedCount += outputBytes
                }
                return code
            }
        }
        switch code {
        case LIBDEFLATE_SUCCESS: return .done(inputBytes: inputBytes, outputBytes: outputBytes)
        case LIBDEFLATE_INSUFFICIENT_SPACE: return .needsMoreRoom
        // LIBDEFLATE_BAD_DATA; LIBDEFLATE_SHORT_OUTPUT comes only without an actual size to fill in.
        default: return .damaged
        }
    }

    /// Whether the first bytes at `start` are those of the format, as far as every stream of it has them.
    static func starts(_ format: Format, _ input: borrowing RawSpan, at start: Int) -> Bool {
        guard input.byteCount - start >= 2 else { return false }
        let first = input.byte(at: start)
        let second = input.byte(at: start + 1)
        switch format {
        case .gzip: return first == 0x1f && second == 0x8b
        case .zlib: return first & 0x0f == 8 && (Int(first) << 8 + Int(second)) % 31 == 0
        }
    }

    /// How many bytes a gzip body may inflate to: exact for an honest one of one member.
    package static func guess(_ input: borrowing RawSpan) -> Int { guess(input, from: 0, as: .gzip) }

    /// How many bytes the member at `start` may inflate to: exact for the one member of an honest body.
    private static func guess(_ input: borrowing RawSpan, from start: Int, as format: Format) -> Int {
        let rest = input.byteCount - start
        guard format == .gzip, rest >= 18 else { return rest * 4 }
        // The last four bytes of a member are its size; of several members we see the last one's only, and text
        // shrinks, so a size below the compressed one means that there are several.
        var size = 0
        for index in 0..<4 {
            size |= Int(input.byte(at: input.byteCount - 4 + index)) << (8 * index)
        }
        return size >= rest ? size : max(size, rest * 4)
    }
}

extension RawSpan {
    /// The byte at `offset`, bounds checked.
    func byte(at offset: Int) -> UInt8 {
        // SAFETY: every bit pattern is a UInt8; the offset is checked by the call.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
