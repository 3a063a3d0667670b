internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Batches in the form of the Collector's `compression: zstd`: each a frame (RFC 8878) behind the frame's length in four
/// bytes, the highest first. One thread at a time.
final class ZstdFrames {
    /// Every frame begins so.
    static let firstByte: UInt8 = 0x28

    private let format: FileExporterConfig.Format
    private let compressor = ZstdCompressor()
    /// One batch before and after compression; reused.
    private var content = OTLPJSONWriter()
    private var frame = ByteBuffer()

    init(_ format: FileExporterConfig.Format) {
        self.format = format
    }

    /// Appends a batch to a text.
    func put(_ batch: Batch, to text: inout JSONText) {
        switch format {
        case .json: batch.write(to: &content)
        case .proto:
            for slice in batch.slices {
                // SAFETY: the bytes live for the closure, and the text copies them.
                unsafe slice.bytes.withUnsafeReadableBytes { unsafe content.text.put($0) }
            }
        }
        frame.clear()
        let count = content.text.withBytes { bytes in
            // SAFETY: the bytes live for the call.
            compressor.compress(unsafe RawSpan(_unsafeBytes: bytes.unsafeBytes)) { minimum, fill in
                frame.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        content.text.removeAll()
        for shift in stride(from: 24, through: 0, by: -8) {
            text.put(byte: UInt8(truncatingIfNeeded: count >> shift))
        }
        // SAFETY: the bytes live for the closure, and the text copies them.
        unsafe frame.withUnsafeReadableBytes { unsafe text.put($0) }
    }
}
