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
}

/// Where a receiver hands its batches: the entrance of every pipeline of one signal that names the receiver.
package struct Entrance: Sendable {
    /// First consumer of the pipelines.
    package let consumer: any Consumer
    /// The limiters that stand at the pipelines' head; asked before a body is read.
    package let limiters: [any AdmissionControl]
    /// Whether the answer to a client must wait for its batch to be settled.
    package let answersLater: Bool
    /// Whether somebody behind it passes gzip members on as they came.
    package let keepsGzip: Bool

    /// Describes an entrance.
    package init(
        consumer: any Consumer, limiters: [any AdmissionControl], answersLater: Bool, keepsGzip: Bool = false
    ) {
        self.consumer = consumer
        self.limiters = limiters
        self.answersLater = answersLater
        self.keepsGzip = keepsGzip
    }

    /// The first limiter's objection to taking `bytes` more.
    package func admit(bytes: Int) -> Refusal? {
        for limiter in limiters {
            if let refusal = limiter.admit(bytes: bytes) { return refusal }
        }
        return nil
    }
}
