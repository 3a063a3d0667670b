package import Pipeline

/// What may be made of a request: bounded, and asked of the memory limit before it is made. Charged as long as this lives. One
/// thread.
///
/// Without it a request of 1 MB became gigabytes of records: one attribute of a span is copied for each of its events.
package final class OutputAllowance {
    /// No request may become more than this, or more than twice what it was.
    private static let bytesMin = 64 << 20
    /// The memory limit is not asked for less.
    private static let stepBytes = 256 << 10

    private let ledger: MemoryLedger
    private let requestBytes: Int
    private let most: Int
    private var chargedBytes = 0

    package init(_ ledger: MemoryLedger, requestBytes: Int) {
        self.ledger = ledger
        self.requestBytes = requestBytes
        most = max(Self.bytesMin, 2 * requestBytes)
    }

    deinit { ledger.release(chargedBytes) }

    /// Says what everything made so far, and what is made next, will take.
    /// - Throws: it is too much, or there is no memory for it.
    @inline(__always)
    package func reach(_ bytes: Int) throws(Refusal) {
        if bytes > chargedBytes { try grow(to: bytes) }
    }

    @inline(never)
    private func grow(to bytes: Int) throws(Refusal) {
        guard bytes <= most else {
            throw Refusal(
                .tooLarge,
                "a request of \(requestBytes) bytes would become \(bytes) bytes or more, and the most is \(most): send it in smaller parts, or without the large attribute that is copied into much of what is made (attributes, dimensions)",
                isPermanent: true, retryAfterSeconds: nil)
        }
        // Buffers double.
        let more = max(bytes, 2 * chargedBytes, Self.stepBytes) - chargedBytes
        if let refusal = ledger.admit(bytes: more) { throw refusal }
        ledger.charge(more)
        chargedBytes += more
    }
}
