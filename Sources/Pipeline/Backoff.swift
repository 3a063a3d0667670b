package import NIOCore

/// When to try again: exponential, with jitter (`retry_on_failure`).
package struct Backoff: Sendable {
    private let config: RetryConfig
    private var interval: TimeAmount
    /// When the first attempt was made.
    let started: NIODeadline

    /// Starts with `initial_interval` at `now`.
    package init(_ config: RetryConfig, now: NIODeadline) {
        self.config = config
        interval = TimeAmount(config.initialInterval)
        started = now
    }

    /// How long to wait before the next attempt; nil when `max_elapsed_time` would pass before it, or has.
    /// - Parameters:
    ///   - hint: what the destination asked for; waited for when it is longer.
    ///   - random: a number in 0..<1.
    package mutating func next(hint: TimeAmount?, now: NIODeadline, random: Double) -> TimeAmount? {
        let spread = config.randomizationFactor * Double(interval.nanoseconds)
        let jittered = Double(interval.nanoseconds) - spread + random * 2 * spread
        let largest = TimeAmount(config.maxInterval)
        let grown = Double(interval.nanoseconds) * config.multiplier
        interval = grown < Double(largest.nanoseconds) ? .nanoseconds(Int64(grown)) : largest
        // The longest interval that a configuration can write, spread upwards, does not fit.
        let waited = TimeAmount.nanoseconds(Int64(exactly: jittered.rounded(.down)) ?? .max)
        let delay = max(waited, hint ?? .zero)
        let limit = TimeAmount(config.maxElapsedTime)
        if limit > .zero, now + delay - started > limit { return nil }
        return delay
    }
}
