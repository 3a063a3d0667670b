internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline
import Synchronization

/// How bodies are compressed.
enum BodyCompression: Sendable, Equatable {
    /// - level: as `Gzipper` takes it.
    /// - recompress: what becomes of bodies that came as gzip.
    case gzip(level: Int = 1, recompress: OTLPExporterConfig.Recompress)
    /// - level: as `ZstdCompressor` takes it.
    case zstd(level: Int = 1)
    /// One block: HTTP's `snappy`.
    case snappy
    /// One stream of frames: gRPC's `snappy`, and HTTP's `x-snappy-framed`.
    case framedSnappy
}

/// Makes the compressed body of a batch with as little work as the configuration allows. Any thread.
///
/// Gzip members back to back are one gzip body (RFC 1952 §2.2), as requests back to back are one request: what came as
/// members leaves as those members, and nothing is compressed twice. In the other forms a body is one frame or block.
final class BodyCompressor: Sendable {
    /// How a batch is to be sent.
    enum Plan {
        /// As it is.
        case plain
        /// As gzip members that are there already, of so many bytes.
        case members([ByteBuffer], bytes: Int)
        /// By `compress`.
        case compress
    }

    /// What compresses.
    private enum Engine {
        case gzip(Gzipper)
        case zstd(ZstdCompressor)
        case snappy
        case framedSnappy

        init(_ compression: BodyCompression) {
            switch compression {
            case .gzip(let level, _): self = .gzip(Gzipper(level: level))
            case .zstd(let level): self = .zstd(ZstdCompressor(level: level))
            case .snappy: self = .snappy
            case .framedSnappy: self = .framedSnappy
            }
        }

        func compress(_ input: borrowing RawSpan, appending append: AppendingRoom) -> Int {
            switch self {
            case .gzip(let gzipper): gzipper.compress(input, appending: append)
            case .zstd(let compressor): compressor.compress(input, appending: append)
            case .snappy: Snappy.compress(input, appending: append)
            case .framedSnappy: SnappyFrames.compress(input, appending: append)
            }
        }
    }

    /// A compressor with its memory, on its way between threads.
    private struct Idle: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): a compressor is in the pool or with one thread.
        let engine: Engine
        /// Reused from batch to batch: fresh memory would cost a page fault every 4 KiB.
        var input = ByteBuffer()
        var output = ByteBuffer()
    }

    private let compression: BodyCompression
    private let idle = Mutex<[Idle]>([])
    /// Memory for larger batches is not kept.
    private static let keptBytesMax = 8 << 20

    init(_ compression: BodyCompression) {
        self.compression = compression
    }

    /// What to do with a batch. Cheap: copies nothing.
    func plan(_ batch: Batch) -> Plan {
        guard case .gzip(_, let recompress) = compression, recompress != .always else { return .compress }
        var members: [ByteBuffer] = []
        members.reserveCapacity(batch.sliceCount)
        var bytes = 0
        for slice in batch.slices {
            guard let original = slice.gzipMembers else { return recompress == .never ? .plain : .compress }
            bytes += original.readableBytes
            members.append(original)
        }
        return .members(members, bytes: bytes)
    }

    /// One body of any bytes.
    func compress(_ bytes: WireBytes) -> ByteBuffer {
        withCompressor { lent in
            _ = unsafe lent.input.writeBytes(bytes.unsafeBytes)
            return Self.output(&lent)
        }
    }

    private func withCompressor<Result>(_ body: (inout Idle) -> Result) -> Result {
        var lent = idle.withLock { $0.popLast() } ?? Idle(engine: Engine(compression))
        defer {
            if lent.input.capacity > Self.keptBytesMax { lent.input = ByteBuffer() }
            if lent.output.capacity > Self.keptBytesMax { lent.output = ByteBuffer() }
            idle.withLock { $0.append(lent) }
        }
        lent.input.clear()
        return body(&lent)
    }

    /// The body: gzip members that are there already, and what was compressed of each run of slices without.
    func compress(_ batch: Batch) -> [ByteBuffer] {
        withCompressor { lent in compress(batch, &lent) }
    }

    private func compress(_ batch: Batch, _ lent: inout Idle) -> [ByteBuffer] {
        let passesMembersOn =
            if case .gzip(_, let recompress) = compression { recompress != .always } else { false }
        var members: [ByteBuffer] = []
        for slice in batch.slices {
            if passesMembersOn, let original = slice.gzipMembers {
                if lent.input.readableBytes > 0 { members.append(Self.output(&lent)) }
                members.append(original)
            } else {
                lent.input.writeImmutableBuffer(slice.bytes)
            }
        }
        if lent.input.readableBytes > 0 || members.isEmpty { members.append(Self.output(&lent)) }
        return members
    }

    /// Compresses the input into memory of its own, and empties it.
    private static func output(_ lent: inout Idle) -> ByteBuffer {
        lent.output.clear()
        unsafe lent.input.withUnsafeReadableBytes { bytes in
            _ = lent.engine.compress(unsafe RawSpan(_unsafeBytes: bytes)) { minimum, fill in
                lent.output.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        lent.input.clear()
        // The memory for the worst case is many times what is needed: what is sent is copied out of it.
        return ByteBuffer(bytes: lent.output.readableBytesView)
    }
}
