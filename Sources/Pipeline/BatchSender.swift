package import NIOCore
package import OTLP

/// How one attempt to send a batch ended.
package enum SendResult: Sendable {
    /// The destination has it, but for `rejectedItems`.
    case sent(rejectedItems: Int, message: String)
    /// It may work later; `after` is the destination's own wish.
    case retryable(String, after: TimeAmount?)
    /// The destination is there and takes no more now, or not so much at once; `after` is its own wish.
    case throttled(String, after: TimeAmount?)
    /// The destination will never take this batch, and it may be for a part of it only; `code` is what it said, if it
    /// speaks of such codes.
    case refused(String, code: GRPCCode? = nil)
    /// It will never work, whatever is sent: credentials, a wrong address, no such service.
    case permanent(String, code: GRPCCode? = nil)
    /// It will not work as one message; in smaller ones it may.
    case tooLarge(String)
}

/// What a sending queue stands before: one destination. Event loop of its queue only.
package protocol BatchSender: AnyObject {
    /// Sends a batch. Calls `done` exactly once, on the event loop, at the latest when `deadline` passes; never inside
    /// the call itself.
    func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void)
    /// Lets go of connections. Attempts under way end as retryable.
    func close() -> EventLoopFuture<Void>
    /// Whether the sender itself logs what the destination rejects, so that nobody else does.
    var logsRejections: Bool { get }
}

extension BatchSender {
    package var logsRejections: Bool { false }
}
