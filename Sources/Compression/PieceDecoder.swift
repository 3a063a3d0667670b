/// Decodes bodies in pieces, for those that would keep a thread for too long at once: a few kilobytes may inflate to
/// megabytes.
///
/// One body at a time; whoever gives one up begins the next. Not thread-safe, and meant to be reused.
package final class PieceDecoder {
    /// The encodings that can be decoded in pieces.
    package enum Format: Sendable {
        case gzip
        case zlib
        case zstd
        case lz4
    }

    /// What a call appends at most: a fraction of a millisecond's work.
    package static let pieceBytes = 256 << 10

    // Each made for the first body that needs it.
    private lazy var inflater = Inflater()
    private lazy var zstd = ZstdDecompressor()
    private lazy var lz4 = LZ4Decompressor()
    private var decoder: (any FrameDecoder)?
    private var progress = FrameProgress()

    package init() {}

    /// Begins with a body, all of which is there.
    /// - Throws: when it cannot be one of its format, or says itself that it is too large.
    package func begin(_ input: borrowing RawSpan, as format: Format, limitBytes: Int) throws(InflateError) {
        progress = FrameProgress()
        switch format {
        case .gzip, .zlib:
            try inflater.begin(input, as: format == .gzip ? .gzip : .zlib)
            decoder = inflater
        case .zstd:
            try zstd.begin(input, limitBytes: limitBytes)
            decoder = zstd
        case .lz4:
            try lz4.begin(input)
            decoder = lz4
        }
    }

    /// Appends the next piece of the body that was begun last.
    /// - Parameters:
    ///   - input: the same bytes as before.
    ///   - limitBytes: what all pieces may have together.
    /// - Returns: whether that was the last.
    /// - Throws: as `FrameDecoder.inflateFrames`.
    package func next(
        _ input: borrowing RawSpan, limitBytes: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Bool {
        guard let decoder else { preconditionFailure("no body was begun") }
        return try progress.step(
            decoder, input, limitBytes: limitBytes, room: Self.pieceBytes, appending: append)
    }
}
