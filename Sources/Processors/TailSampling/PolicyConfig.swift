internal import Configuration
internal import Pipeline
package import RegularExpression

/// A policy as the configuration describes it.
package struct PolicyConfig: Sendable, Equatable {
    /// What a policy looks at.
    package indirect enum Rule: Sendable, Equatable {
        case alwaysSample
        case latency(thresholdMilliseconds: Int, upperMilliseconds: Int)
        /// - Parameter range: nil for one without values.
        case numericAttribute(key: String, range: ClosedRange<Int64>?, isInverted: Bool)
        case stringAttribute(key: String, values: [String], isInverted: Bool)
        case pattern(key: String, values: [RegularExpression], isInverted: Bool)
        case booleanAttribute(key: String, value: Bool, isInverted: Bool)
        /// Numbers of `StatusCode`.
        case statusCode(Set<UInt64>)
        case probabilistic(salt: String, percentage: Double)
        case rateLimiting(spansPerSecond: Int, burst: Int)
        case bytesLimiting(bytesPerSecond: Int, burst: Int)
        case spanCount(least: Int, most: Int)
        case traceState(key: String, values: [String])
        case traceFlags
        case condition(ConditionConfig)
        case and([PolicyConfig])
        case not(PolicyConfig)
        case drop([PolicyConfig])
        /// Shares in spans a second, one for each policy.
        case composite([PolicyConfig], shares: [Int], most: Int)
        /// Was not valid, which is reported.
        case invalid
    }

    package let name: String
    package let rule: Rule

    package init(_ name: String, _ rule: Rule) {
        self.name = name
        self.rule = rule
    }

    /// Whether it drops: such policies are asked before all others.
    var drops: Bool {
        if case .drop = rule { return true }
        return false
    }
}

extension PolicyConfig {
    /// Makes the running policy.
    /// - Parameter ledger: is charged with what its conditions hold.
    func make(_ ledger: MemoryLedger) -> any SamplingPolicy {
        switch rule {
        case .alwaysSample: AlwaysSample()
        case .latency(let threshold, let upper):
            Latency(thresholdMilliseconds: threshold, upperMilliseconds: upper)
        case .numericAttribute(let key, let range, let isInverted):
            AttributeMatch(key, .number(range), isInverted: isInverted)
        case .stringAttribute(let key, let values, let isInverted):
            AttributeMatch(
                key, .text(Set(values.filter { !$0.isEmpty }.map { Array($0.utf8) })), isInverted: isInverted)
        case .pattern(let key, let values, let isInverted):
            AttributeMatch(key, .pattern(values), isInverted: isInverted)
        case .booleanAttribute(let key, let value, let isInverted):
            AttributeMatch(key, .bool(value), isInverted: isInverted)
        case .statusCode(let codes): StatusCode(codes: codes)
        case .probabilistic(let salt, let percentage): Probabilistic(salt: salt, percentage: percentage)
        case .rateLimiting(let rate, let burst): RateLimiting(.spans, perSecond: rate, burst: burst)
        case .bytesLimiting(let rate, let burst): RateLimiting(.bytes, perSecond: rate, burst: burst)
        case .spanCount(let least, let most): SpanCount(least: least, most: most)
        case .traceState(let key, let values): TraceStateMatch(key: key, values: values)
        case .traceFlags: TraceFlags()
        case .condition(let config): ConditionPolicy(config, ledger)
        case .and(let parts): AndPolicy(parts.map { $0.make(ledger) })
        case .not(let part): NotPolicy(part.make(ledger))
        case .drop(let parts): AndPolicy(parts.map { $0.make(ledger) }, drops: true)
        case .composite(let parts, let shares, let most):
            CompositePolicy(
                zip(parts, shares).map { CompositePolicy.Part($0.make(ledger), share: $1) }, most: most)
        case .invalid: preconditionFailure("a policy that is not valid was to run")
        }
    }
}
