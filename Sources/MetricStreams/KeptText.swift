package import OTLP

/// A text of the configuration at a place of its own, to be compared with and written into requests without copying.
@safe
package final class KeptText: Sendable {
    // SAFETY: owned, written in init only, freed in deinit.
    private nonisolated(unsafe) let buffer: UnsafeMutableRawBufferPointer
    package let text: String

    package init(_ text: String) {
        self.text = text
        var text = text
        unsafe buffer = text.withUTF8 { utf8 in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(utf8.count, 1), alignment: 1)
            // SAFETY: the buffer has room for the bytes.
            unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(utf8))
            return unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<utf8.count])
        }
    }

    deinit {
        unsafe buffer.deallocate()
    }

    /// The bytes, valid as long as this object.
    package var bytes: WireBytes { unsafe WireBytes(UnsafeRawBufferPointer(buffer)) }
}
