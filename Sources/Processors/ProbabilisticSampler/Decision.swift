/// What an item's randomness comes from: the `policy` label of the counters.
enum SamplingPolicy: Int, CaseIterable {
    case missingRandomness
    case traceIDHash
    case traceIDW3C
    case samplingRandomness
    case samplingPriority
    /// An attribute of the record; the label is its name.
    case attribute
}

/// What is known of an item before it is decided.
struct Evidence {
    /// 56 bits; nil: there is nothing to decide by.
    var randomness: UInt64?
    var policy = SamplingPolicy.missingRandomness
    /// The threshold that the item came with.
    var threshold: Threshold?
    /// What the item says of its sampling contradicts the mode or itself, or cannot be read.
    var isFaulty = false
    /// Whether the item may be told its threshold.
    var isWritable = true

    /// Faults that follow from the rest: no randomness, or a threshold by which the item would not be here.
    mutating func check() {
        guard !isFaulty else { return }
        guard let randomness else {
            isFaulty = true
            return
        }
        if isWritable, let arriving = threshold, !arriving.samples(randomness) {
            threshold = nil
            isFaulty = true
        }
    }
}

/// The decision about an item.
struct Decision {
    var isSampled: Bool
    var policy: SamplingPolicy
    /// The item's new threshold; nil: it keeps what it has.
    var threshold: Threshold?
}

/// Decides: one of the modes, with its percentage. Any thread.
struct Sampler: Sendable {
    private enum Rule {
        case constant(Threshold)
        case proportional(Double)
    }

    /// The mode hashes, and tells items their randomness.
    let hashes: Bool
    let seed: UInt32
    private let rule: Rule
    private let precision: Int
    private let onFault: Threshold

    init(_ config: SamplerConfig) {
        seed = config.seed
        precision = config.precision
        onFault = config.failsClosed ? .never : .always
        let percentage = min(config.percentage, 100)
        let ratio = Double(percentage) / 100
        // Counted in single precision and cut off: gateways of other makes decide the same.
        let buckets = UInt64(percentage * 163.84)
        switch config.mode {
        case _ where percentage == 0: (hashes, rule) = (false, .constant(.never))
        case .hashSeed:
            hashes = buckets > 0
            rule = .constant(buckets > 0 ? Threshold(rejected: (0x4000 - buckets) << 42) : .never)
        case .proportional: (hashes, rule) = (false, .proportional(ratio))
        case .equalizing:
            let threshold = Threshold(probability: ratio, precision: config.precision)
            (hashes, rule) = (false, .constant(threshold ?? .never))
        }
    }

    /// - Parameter adjust: has the last word about policy and threshold.
    func decide(
        _ evidence: Evidence, adjust: (inout SamplingPolicy, inout Threshold) -> Void
    ) -> Decision {
        var threshold = evidence.isFaulty ? onFault : self.threshold(arriving: evidence.threshold)
        var policy = evidence.policy
        adjust(&policy, &threshold)
        let isSampled = threshold.samples(evidence.randomness ?? Randomness.greatest)
        let isRaised = evidence.threshold.map { $0 <= threshold } ?? true
        return Decision(
            isSampled: isSampled, policy: policy,
            threshold: isSampled && evidence.isWritable && isRaised ? threshold : nil)
    }

    private func threshold(arriving: Threshold?) -> Threshold {
        switch rule {
        case .constant(let threshold): threshold
        case .proportional(let ratio):
            Threshold(probability: (arriving?.probability ?? 1) * ratio, precision: precision) ?? .never
        }
    }

    /// The threshold of an item that arrives without one.
    var usualThreshold: Threshold { threshold(arriving: nil) }
}
