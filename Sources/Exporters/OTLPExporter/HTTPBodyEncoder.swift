internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline
import Synchronization

/// Makes the bodies that are not a batch's own bytes: JSON, gzip, or both. Any thread; takes milliseconds.
final class HTTPBodyEncoder: Sendable {
    /// A compressor with its memory, on its way between threads.
    private struct Idle: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): a compressor is in the pool or with one thread.
        let gzipper: Gzipper
        /// Reused from batch to batch: fresh memory costs a page fault every 4 KiB.
        var input = ByteBuffer()
        var output = ByteBuffer()
    }

    private let writesJSON: Bool
    private let level: Int?
    private let idle = Mutex<[Idle]>([])
    /// Memory for larger batches is not kept.
    private static let keptBytesMax = 8 << 20

    /// Nil when bodies are the batches as they are.
    init?(_ config: OTLPHTTPConfig) {
        guard config.encoding == .json || config.compression == .gzip else { return nil }
        writesJSON = config.encoding == .json
        level = config.compression == .gzip ? config.compressionLevel : nil
    }

    /// The body of one request.
    func encode(_ batch: Batch) -> ByteBuffer {
        guard writesJSON else {
            return withCompressor { lent in
                // One member of all slices: some readers stop after the first.
                for slice in batch.slices { lent.input.writeImmutableBuffer(slice.bytes) }
                return Self.compress(&lent)
            }
        }
        var writer = OTLPJSONWriter(capacity: 2 * batch.bytes + 64)
        batch.write(to: &writer)
        guard level != nil else { return writer.text.withBytes { unsafe ByteBuffer(bytes: $0.unsafeBytes) } }
        return withCompressor { lent in
            writer.text.withBytes { _ = unsafe lent.input.writeBytes($0.unsafeBytes) }
            return Self.compress(&lent)
        }
    }

    private func withCompressor(_ body: (inout Idle) -> ByteBuffer) -> ByteBuffer {
        var lent = idle.withLock { $0.popLast() } ?? Idle(gzipper: Gzipper(level: level ?? 1))
        defer {
            if lent.input.capacity > Self.keptBytesMax { lent.input = ByteBuffer() }
            if lent.output.capacity > Self.keptBytesMax { lent.output = ByteBuffer() }
            idle.withLock { $0.append(lent) }
        }
        lent.input.clear()
        return body(&lent)
    }

    /// Compresses the input. The room for the worst case is many times what is needed: what is sent is copied out.
    private static func compress(_ lent: inout Idle) -> ByteBuffer {
        lent.output.clear()
        unsafe lent.input.withUnsafeReadableBytes { bytes in
            _ = lent.gzipper.compress(unsafe RawSpan(_unsafeBytes: bytes)) { minimum, fill in
                lent.output.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        return ByteBuffer(bytes: lent.output.readableBytesView)
    }
}
