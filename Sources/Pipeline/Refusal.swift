package import OTLP

/// Why a consumer did not take a batch, or why a destination did not keep it.
///
/// Crosses module boundaries instead of thrown errors. Copying one allocates nothing when its message is a literal.
package struct Refusal: Error, Sendable, Equatable {
    /// What kind of limit or fault it was; also the `reason` label of the drop counters.
    package enum Reason: String, Sendable, CaseIterable {
        /// The memory limiter is above its limit.
        case memory
        /// A sending queue holds as much as `queue_size` allows, or its store as `max_size_mib` does.
        case queueFull = "queue_full"
        /// The gateway is stopping.
        case shuttingDown = "shutting_down"
        /// The destination answered with an error that may pass.
        case unavailable
        /// The destination said that it will never take this data.
        case rejected
        /// The data is larger than a limit.
        case tooLarge = "too_large"
        /// `retry_on_failure.max_elapsed_time` ended.
        case retriesExhausted = "retries_exhausted"
        /// The disk cannot keep the data.
        case storage
    }

    /// The kind of refusal.
    package let reason: Reason
    /// A sentence for the client or the log: what happened, the value, the limit, the key to change.
    package let message: String
    /// Whether trying the same data again can never succeed.
    package let isPermanent: Bool
    /// How long a client should wait before it tries again, in whole seconds; nil gives no hint.
    package let retryAfterSeconds: Int?
    /// What the destination itself said, for its clients to hear the same; nil when the refusal is our own.
    package let code: GRPCCode?

    /// Describes a refusal. `retryAfterSeconds` is ignored by readers when `isPermanent`.
    package init(
        _ reason: Reason, _ message: String, isPermanent: Bool = false, retryAfterSeconds: Int? = 1,
        code: GRPCCode? = nil
    ) {
        self.reason = reason
        self.message = message
        self.isPermanent = isPermanent
        self.retryAfterSeconds = retryAfterSeconds
        self.code = code
    }
}

/// How the delivery of a request, or of a part of it, ended.
package enum Outcome: Sendable, Equatable {
    /// Delivered as far as the configuration promises.
    case accepted
    /// Delivered but for `rejectedItems`, which the destination will never take. Never retried.
    case partial(rejectedItems: Int, message: String)
    /// Not delivered.
    case refused(Refusal)
}
