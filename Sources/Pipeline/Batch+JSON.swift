internal import NIOCore
package import OTLP

extension Batch {
    /// Writes the batch as one object of OTLP JSON. Any thread.
    package func write(to writer: inout OTLPJSONWriter) {
        writer.begin(signal)
        for slice in slices {
            unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                // SAFETY: the writer copies what it needs before the closure ends.
                unsafe writer.append(WireBytes(bytes))
            }
        }
        writer.end()
    }
}
