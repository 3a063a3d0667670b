internal import NIOCore
internal import TraceStore

/// What a policy says of a trace.
package enum Verdict: Sendable, Equatable {
    case sampled
    case notSampled
    /// Not sampled, whatever other policies say.
    case dropped
}

/// A policy could not say anything of a trace; it counts as if it were not there.
struct PolicyError: Error {
    let message: String
}

/// Says which traces are worth keeping. Lives on one event loop: it may count as it goes.
protocol SamplingPolicy: AnyObject {
    /// - Parameter now: the loop's time, for policies that limit a rate.
    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict
    /// Whether it says something else of the same trace another time.
    var isStateful: Bool { get }
    /// Whether it asks for a trace's summary.
    var usesSummary: Bool { get }
}

extension SamplingPolicy {
    var isStateful: Bool { false }
    var usesSummary: Bool { false }
}

extension Verdict {
    init(_ isSampled: Bool) { self = isSampled ? .sampled : .notSampled }
}
