package import NIOCore

/// The frames that carry next to nothing which one connection may send.
///
/// A bucket that fills with time and with complete requests. No clock of its own; event loop only.
package struct FrameBudget {
    /// How the bucket fills.
    package struct Limits: Sendable, Equatable {
        /// What it holds.
        package var burst = 20_000
        /// What a second adds.
        package var perSecond = 2_000
        /// What a request adds: its own frames, and those that keep windows open.
        package var perRequest = 8

        /// The defaults.
        package init() {}
    }

    private let limits: Limits
    private var left: Int
    private var filledAt: NIODeadline

    /// A connection that opens now.
    package init(_ limits: Limits = Limits(), now: NIODeadline) {
        self.limits = limits
        left = limits.burst
        filledAt = now
    }

    /// Takes for frames that came.
    /// - Returns: whether there were so many left.
    package mutating func take(_ frames: Int, now: NIODeadline) -> Bool {
        if frames <= left {
            left -= frames
            return true
        }
        // The clock is looked at when it matters only.
        let passed = min(max((now - filledAt).nanoseconds, 0), TimeAmount.hours(1).nanoseconds)
        filledAt = now
        left = min(left + Int(passed / 1_000_000) * limits.perSecond / 1_000, limits.burst) - frames
        return left >= 0
    }

    /// A request was complete.
    package mutating func earn() {
        left = min(left + limits.perRequest, limits.burst)
    }
}
