// Policies of policies.

internal import NIOCore
internal import TraceStore

/// All of them sample.
final class AndPolicy: SamplingPolicy {
    private let parts: [any SamplingPolicy]
    /// What it says when all do.
    private let verdict: Verdict

    /// - Parameter drops: whether it says "dropped" instead of "sampled".
    init(_ parts: [any SamplingPolicy], drops: Bool = false) {
        self.parts = parts
        verdict = drops ? .dropped : .sampled
    }

    var isStateful: Bool { parts.contains(where: \.isStateful) }
    var usesSummary: Bool { parts.contains(where: \.usesSummary) }

    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict {
        for part in parts where try part.decide(trace, now: now) != .sampled { return .notSampled }
        return verdict
    }
}

/// The other way round.
final class NotPolicy: SamplingPolicy {
    private let part: any SamplingPolicy

    init(_ part: any SamplingPolicy) { self.part = part }

    var isStateful: Bool { part.isStateful }
    var usesSummary: Bool { part.usesSummary }

    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict {
        switch try part.decide(trace, now: now) {
        case .sampled: .notSampled
        case .notSampled: .sampled
        case .dropped: .dropped
        }
    }
}

/// The first that samples decides, within its share of the spans a second.
final class CompositePolicy: SamplingPolicy {
    struct Part {
        let policy: any SamplingPolicy
        /// Spans a second.
        let share: Int
        fileprivate var spansThisSecond = 0

        init(_ policy: any SamplingPolicy, share: Int) {
            self.policy = policy
            self.share = share
        }
    }

    private let most: Int
    private var parts: [Part]
    private var second: UInt64 = 0

    /// - Parameter most: spans a second of each part, whatever its share.
    init(_ parts: [Part], most: Int) {
        self.parts = parts
        self.most = most
    }

    var isStateful: Bool { parts.contains { $0.policy.isStateful } }
    var usesSummary: Bool { parts.contains { $0.policy.usesSummary } }

    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict {
        let second = now.uptimeNanoseconds / 1_000_000_000
        if second != self.second {
            self.second = second
            for index in parts.indices { parts[index].spansThisSecond = 0 }
        }
        for index in parts.indices where try parts[index].policy.decide(trace, now: now) == .sampled {
            let spans = parts[index].spansThisSecond + trace.spans
            guard spans <= min(parts[index].share, most) else { return .notSampled }
            parts[index].spansThisSecond = spans
            return .sampled
        }
        return .notSampled
    }
}
