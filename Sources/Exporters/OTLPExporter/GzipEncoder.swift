internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline
import Synchronization

/// Makes the gzip body of a batch with as little work as the configuration allows. Any thread.
///
/// Gzip members back to back are one gzip body (RFC 1952 §2.2), as requests back to back are one request: what came as
/// members leaves as those members, and nothing is compressed twice.
final class GzipEncoder: Sendable {
    /// How a batch is to be sent.
    enum Plan {
        /// As it is.
        case plain
        /// As members that are there already, of so many bytes.
        case members([ByteBuffer], bytes: Int)
        /// By `compress`.
        case compress
    }

    /// A compressor with its memory, on its way between threads.
    private struct Idle: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): a compressor is in the pool or with one thread.
        let gzipper: Gzipper
        /// Reused from batch to batch: fresh memory would cost a page fault every 4 KiB.
        var input = ByteBuffer()
        var output = ByteBuffer()
    }

    private let recompress: OTLPExporterConfig.Recompress
    private let level: Int
    private let idle = Mutex<[Idle]>([])
    /// Memory for larger batches is not kept.
    private static let keptBytesMax = 8 << 20

    /// - Parameter level: of what is compressed here, as `Gzipper` takes it.
    init(_ recompress: OTLPExporterConfig.Recompress, level: Int = 1) {
        self.recompress = recompress
        self.level = level
    }

    /// What to do with a batch. Cheap: copies nothing.
    func plan(_ batch: Batch) -> Plan {
        if recompress == .always { return .compress }
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

    /// One member of any bytes.
    func compress(_ bytes: WireBytes) -> ByteBuffer {
        withCompressor { lent in
            _ = unsafe lent.input.writeBytes(bytes.unsafeBytes)
            return Self.member(&lent)
        }
    }

    private func withCompressor<Result>(_ body: (inout Idle) -> Result) -> Result {
        var lent = idle.withLock { $0.popLast() } ?? Idle(gzipper: Gzipper(level: level))
        defer {
            if lent.input.capacity > Self.keptBytesMax { lent.input = ByteBuffer() }
            if lent.output.capacity > Self.keptBytesMax { lent.output = ByteBuffer() }
            idle.withLock { $0.append(lent) }
        }
        lent.input.clear()
        return body(&lent)
    }

    /// The body: members that are there already, and one new member for each run of slices without.
    func compress(_ batch: Batch) -> [ByteBuffer] {
        withCompressor { lent in compress(batch, &lent) }
    }

    private func compress(_ batch: Batch, _ lent: inout Idle) -> [ByteBuffer] {
        var members: [ByteBuffer] = []
        for slice in batch.slices {
            if recompress != .always, let original = slice.gzipMembers {
                if lent.input.readableBytes > 0 { members.append(Self.member(&lent)) }
                members.append(original)
            } else {
                lent.input.writeImmutableBuffer(slice.bytes)
            }
        }
        if lent.input.readableBytes > 0 || members.isEmpty { members.append(Self.member(&lent)) }
        return members
    }

    /// Compresses the input into a member of its own memory, and empties it.
    private static func member(_ lent: inout Idle) -> ByteBuffer {
        lent.output.clear()
        unsafe lent.input.withUnsafeReadableBytes { bytes in
            _ = lent.gzipper.compress(unsafe RawSpan(_unsafeBytes: bytes)) { minimum, fill in
                lent.output.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        lent.input.clear()
        // The memory for the worst case is many times what is needed: what is sent is copied out of it.
        return ByteBuffer(bytes: lent.output.readableBytesView)
    }
}
