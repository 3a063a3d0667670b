internal import NIOCore
internal import Pipeline
internal import TraceStore

/// All policies of a sampler, and what they have said. Event loop only.
final class PolicySet {
    /// A class, so that asking it counts one reference instead of those of all its metrics.
    private final class Member {
        let policy: any SamplingPolicy
        let metrics: TailSamplingMetrics.OfPolicy
        var nanoseconds: UInt64 = 0

        init(_ policy: any SamplingPolicy, _ metrics: TailSamplingMetrics.OfPolicy) {
            self.policy = policy
            self.metrics = metrics
        }
    }

    private let members: [Member]
    private let endsAtFirstMatch: Bool
    private let errors: Counter
    /// Whether some of them drop.
    let drops: Bool
    /// Whether some of them ask for summaries of traces.
    let usesSummary: Bool

    init(_ config: TailSamplingConfig, _ metrics: TailSamplingMetrics, _ ledger: MemoryLedger) {
        // What drops wins whatever others say, so it is asked first.
        let policies = config.policies.filter(\.drops) + config.policies.filter { !$0.drops }
        members = policies.map { Member($0.make(ledger), metrics.policy($0.name)) }
        usesSummary = members.contains(where: \.policy.usesSummary)
        drops = policies.contains(where: \.drops)
        endsAtFirstMatch = config.samplesOnFirstMatch
        errors = metrics.policyErrors
    }

    /// What becomes of a trace.
    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        var result = Verdict.notSampled
        var clock = NIODeadline.now()
        for member in members {
            member.metrics.executions.add(1)
            do throws(PolicyError) {
                let verdict = try member.policy.decide(trace, now: now)
                member.metrics.count(verdict, trace)
                if verdict == .dropped { result = .dropped }
                if verdict == .sampled, result == .notSampled { result = .sampled }
            } catch {
                errors.add(1)
            }
            let next = NIODeadline.now()
            member.nanoseconds += UInt64((next - clock).nanoseconds)
            clock = next
            if result == .dropped || result == .sampled && endsAtFirstMatch { break }
        }
        return result
    }

    /// Moves the time that policies took to their metrics.
    func showTimes() {
        for member in members {
            let microseconds = member.nanoseconds / 1000
            member.nanoseconds -= microseconds * 1000
            member.metrics.microseconds.add(microseconds)
        }
    }
}
