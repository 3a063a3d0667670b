public import OTLP

/// The sixteen bytes that tell traces apart; all zero for spans without a valid one, as the Collector reads them.
public struct TraceID: Hashable, Sendable {
    /// The first eight bytes, the first one lowest.
    public let low: UInt64
    /// The last eight bytes.
    public let high: UInt64

    /// From its halves.
    @inlinable
    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// Reads the bytes of a field; of another length it is no id.
    @inlinable
    public init(_ bytes: WireBytes) {
        guard bytes.count == 16 else {
            self.init(low: 0, high: 0)
            return
        }
        // SAFETY: there are sixteen bytes.
        let low = unsafe bytes.unsafeBytes.loadUnaligned(as: UInt64.self)
        let high = unsafe bytes.unsafeBytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        self.init(low: UInt64(littleEndian: low), high: UInt64(littleEndian: high))
    }

    /// Goes through the bytes in order.
    @inlinable
    public func forEachByte(_ body: (UInt8) -> Void) {
        for word in [low, high] {
            for shift in stride(from: 0 as UInt64, to: 64, by: 8) {
                body(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
    }
}
