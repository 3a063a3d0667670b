/// Takes batches: a processor, a fan-out, a sending queue.
package protocol Consumer: AnyObject, Sendable {
    /// Takes a batch, or says why not. Any thread; never blocks.
    ///
    /// After nil the batch is the consumer's: it will settle it exactly once and count its items. After a refusal the
    /// batch is the caller's as before and nothing was counted or settled.
    func consume(_ batch: Batch) -> Refusal?

    /// Counts a batch that this consumer refused and whose caller gives it up for good, having answered for it before.
    /// Settles it. Any thread.
    func drop(_ batch: Batch, because refusal: Refusal)
}

/// Decides whether the memory for a request may be taken: the memory limiter, seen from a receiver.
package protocol AdmissionControl: AnyObject, Sendable {
    /// Nil when `bytes` more may be taken now. Any thread; a few nanoseconds.
    func admit(bytes: Int) -> Refusal?
    /// Whether receivers should leave bytes in their sockets for the moment. Any thread; a few nanoseconds.
    var shouldPause: Bool { get }
    /// The bytes that requests may hold in all before clients are slowed down; `Int.max` when it does not say. Any thread.
    var limitBytes: Int { get }
}

extension AdmissionControl {
    package func admit(bytes: Int) -> Refusal? { nil }
    package var limitBytes: Int { .max }
}
