/// Bytes of ours that are handed to code that borrows: constants of a configuration, such as keys and values that a processor
/// sets. Any thread.
@safe
public final class OwnedBytes: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): written before it is shared, never changed.
    /// Valid as long as this object.
    public let bytes: WireBytes
    private let memory: UnsafeMutableRawBufferPointer

    /// A copy.
    public init(_ source: [UInt8]) {
        unsafe memory = .allocate(byteCount: source.count, alignment: 8)
        unsafe memory.copyBytes(from: source)
        // SAFETY: freed with this object.
        bytes = unsafe WireBytes(UnsafeRawBufferPointer(memory))
    }

    /// UTF-8.
    public convenience init(_ text: String) { self.init(Array(text.utf8)) }

    deinit {
        unsafe memory.deallocate()
    }

    /// A copy as text.
    public var text: String { bytes.text }
}

extension OwnedBytes: Equatable, Hashable {
    /// The same bytes.
    public static func == (left: OwnedBytes, right: OwnedBytes) -> Bool {
        left.bytes.isEqual(to: right.bytes)
    }
    /// By the bytes.
    public func hash(into hasher: inout Hasher) { unsafe hasher.combine(bytes: bytes.unsafeBytes) }
}

/// An attribute value of ours: a constant of a configuration. Any thread.
public struct OwnedValue: Sendable, Equatable {
    /// An `AnyValue` message.
    private let message: OwnedBytes

    /// - Parameter message: an `AnyValue` message.
    public init(message: [UInt8]) { self.message = OwnedBytes(message) }

    /// A copy.
    public init(_ value: AttributeValue) {
        var message: [UInt8] = []
        value.encode(to: &message)
        self.init(message: message)
    }

    /// Valid as long as this value, or a copy of it, is there.
    public var value: AttributeValue { AttributeValue(message.bytes) }
}
