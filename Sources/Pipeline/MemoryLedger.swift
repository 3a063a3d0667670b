import Synchronization

/// The bytes of request bodies that were admitted and not yet released, in the whole process.
///
/// Charged when a body's buffer is taken, released when its `Payload` dies. Counts capacities, not lengths: it is what
/// the allocator holds. Any thread; one relaxed atomic add each way, since nothing else is published through it.
package final class MemoryLedger: Sendable {
    // A line of its own on both sides, so that two loops do not slow each other more than the add itself does.
    private let before: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (
        0, 0, 0, 0, 0, 0, 0, 0
    )
    private let charged = Atomic<Int>(0)
    private let after: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (
        0, 0, 0, 0, 0, 0, 0, 0
    )

    /// Starts at zero.
    package init() {}

    /// Bytes charged now.
    package var bytes: Int { charged.load(ordering: .relaxed) }

    /// Adds to the ledger.
    package func charge(_ bytes: Int) {
        charged.add(bytes, ordering: .relaxed)
    }

    /// Takes back what `charge` added.
    package func release(_ bytes: Int) {
        charged.subtract(bytes, ordering: .relaxed)
    }

    // MARK: - Limits

    private let limits = Mutex<[any AdmissionControl]>([])

    /// Says who limits the ledger. While the gateway is made.
    package func limit(by control: any AdmissionControl) {
        limits.withLock { $0.append(control) }
    }

    /// The first objection to taking `bytes` more, for those who have no limiter behind them: processors that make new data
    /// of what was admitted.
    package func admit(bytes: Int) -> Refusal? {
        for control in limits.withLock({ $0 }) {
            if let refusal = control.admit(bytes: bytes) { return refusal }
        }
        return nil
    }
}
