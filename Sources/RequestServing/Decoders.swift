internal import Compression

/// How a body is compressed: what `content-encoding` and `grpc-encoding` say, as far as it is understood. The text is
/// for messages.
enum ContentEncoding: String, Sendable {
    case identity
    case gzip
    case zlib
    case zstd
    /// Frames.
    case lz4
    /// A block or a stream, which begin differently: HTTP's `snappy`.
    case snappy
    /// A stream: gRPC's `snappy`, and HTTP's `x-snappy-framed`.
    case framedSnappy = "framed snappy"

    /// What `grpc-accept-encoding` says.
    static let grpcNames = "identity,gzip,zstd,snappy"

    /// - Parameter name: in small letters.
    init?(http name: String) {
        switch name {
        case "", "identity": self = .identity
        case "gzip", "x-gzip": self = .gzip
        case "lz4": self = .lz4
        case "zlib", "deflate": self = .zlib
        case "zstd": self = .zstd
        case "snappy": self = .snappy
        case "x-snappy-framed": self = .framedSnappy
        default: return nil
        }
    }

    init?(grpc name: String) {
        switch name {
        case "identity": self = .identity
        case "gzip", "x-gzip": self = .gzip
        case "zstd": self = .zstd
        case "snappy": self = .framedSnappy
        default: return nil
        }
    }
}

/// The decompressors of one event loop.
final class Decoders {
    private let gunzipper = Gunzipper()
    /// Made for the first body that needs it. Keeps the largest window that it has met, at most
    /// `ZstdDecompressor.windowBytesMax`, which no limit but this one counts.
    private lazy var zstd = ZstdDecompressor()
    /// Made for the first body that needs it. Keeps the room for one block, 4 MiB at most, as `zstd` does.
    private lazy var lz4 = LZ4Decompressor()
    /// For large bodies; one of them at a time.
    private(set) lazy var pieces = PieceDecoder()

    /// Decompresses `input`, all of it, and appends at most `limitBytes` bytes to the caller's buffer.
    ///
    /// After an error some bytes may have been appended; the caller drops them.
    func decode(
        _ input: borrowing RawSpan, as encoding: ContentEncoding, limitBytes: Int,
        appending append: AppendingRoom
    ) throws(InflateError) {
        switch encoding {
        case .identity: preconditionFailure("Nothing is compressed.")
        case .gzip:
            _ = try gunzipper.inflate(input, as: .gzip, limitBytes: limitBytes, appending: append)
        case .zlib:
            _ = try gunzipper.inflate(input, as: .zlib, limitBytes: limitBytes, appending: append)
        case .zstd:
            _ = try zstd.inflate(input, limitBytes: limitBytes, appending: append)
        case .lz4:
            _ = try lz4.inflate(input, limitBytes: limitBytes, appending: append)
        case .snappy where !SnappyFrames.isStream(input):
            _ = try Snappy.decompress(input, limitBytes: limitBytes, appending: append)
        case .snappy, .framedSnappy:
            _ = try SnappyFrames.decompress(input, limitBytes: limitBytes, appending: append)
        }
    }
}
