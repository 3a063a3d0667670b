internal import OTLP

/// Samples log records: their randomness is in the trace id or an attribute, what is decided goes into attributes.
struct RecordSampler: Sendable {
    private let sampler: Sampler
    private let usesTraceID: Bool
    private let source: OwnedBytes?
    private let priority: OwnedBytes?
    private let precision: Int
    private static let randomness = OwnedBytes("sampling.randomness")
    private static let threshold = OwnedBytes("sampling.threshold")

    init(_ sampler: Sampler, _ config: SamplerConfig) {
        self.sampler = sampler
        usesTraceID = config.source == .traceID
        source = config.fromAttribute.isEmpty ? nil : OwnedBytes(config.fromAttribute)
        priority = config.priorityAttribute.isEmpty ? nil : OwnedBytes(config.priorityAttribute)
        precision = config.precision
    }

    /// Decides about the record at a position of its scope, and writes what was decided into a record that is kept.
    func sample(_ scope: MessageID, at position: Int, of request: RequestEditor) -> Decision {
        let record = request.child(scope, at: position)
        defer { request.close(record) }
        let table = request.attributes(record, Field.LogRecord.attributes)
        let evidence = evidence(record, table, request)
        let decision = sampler.decide(evidence) { policy, threshold in
            guard let priority, let own = ownThreshold(request.value(priority.bytes, in: table)),
                threshold > own
            else { return }
            policy = .samplingPriority
            threshold = own
        }
        guard decision.isSampled, evidence.isWritable else { return decision }
        if sampler.hashes {
            let digits = Randomness.digits(evidence.randomness ?? Randomness.greatest)
            request.set(Self.randomness.bytes, to: .string(request.keep(digits)), in: table)
        }
        if let threshold = decision.threshold {
            request.set(Self.threshold.bytes, to: .string(request.keep(threshold.text)), in: table)
        }
        return decision
    }

    private func evidence(_ record: MessageID, _ table: AttributeTable, _ request: RequestEditor) -> Evidence
    {
        var evidence = Evidence()
        let sampling = sampling(table, request)
        if sampling == nil {
            evidence.isFaulty = true
            evidence.isWritable = false
        }
        let traceID = request.content(record, Field.LogRecord.traceID)
        let isEmpty = SpanSampler.isEmpty(traceID)
        if sampler.hashes {
            if usesTraceID, !isEmpty {
                evidence.randomness = Randomness.hashed(traceID, seed: sampler.seed)
                evidence.policy = .traceIDHash
            } else if let hashed = hashedAttribute(table, request) {
                evidence.randomness = hashed
                evidence.policy = .attribute
            }
            if sampling?.randomness != nil || sampling?.threshold != nil {
                evidence.isFaulty = true
                evidence.isWritable = false
            }
        } else if let sampling {
            evidence.threshold = sampling.threshold
            if let randomness = sampling.randomness {
                evidence.randomness = randomness
                evidence.policy = .samplingRandomness
            } else if !isEmpty {
                evidence.randomness = SpanSampler.low56(traceID)
                evidence.policy = .traceIDW3C
            }
        }
        evidence.check()
        return evidence
    }

    /// What the record says of its sampling; nil when it cannot be read.
    private func sampling(_ table: AttributeTable, _ request: RequestEditor) -> SamplingState? {
        var state = SamplingState()
        if case .string(let text)? = request.value(Self.threshold.bytes, in: table), text.count > 0 {
            guard let threshold = Threshold(digits: text.array) else { return nil }
            state.threshold = threshold
        }
        if case .string(let text)? = request.value(Self.randomness.bytes, in: table), text.count > 0 {
            guard let randomness = Randomness.value(text.array) else { return nil }
            state.randomness = randomness
        }
        return state
    }

    /// The hash of the attribute to sample by; nil without, and for an empty one.
    private func hashedAttribute(_ table: AttributeTable, _ request: RequestEditor) -> UInt64? {
        guard let source, let value = request.value(source.bytes, in: table) else { return nil }
        switch value {
        case .bytes(let bytes), .string(let bytes):
            return bytes.count == 0 ? nil : Randomness.hashed(bytes, seed: sampler.seed)
        default:
            let text = AttributeText(value).bytes
            return text.isEmpty ? nil : Randomness.hashed(text, seed: sampler.seed)
        }
    }

    /// The threshold of the percentage in a record's own attribute; nil for 0 and what is no number.
    private func ownThreshold(_ value: AttributeValue?) -> Threshold? {
        switch value {
        case .double(let percentage): Threshold(probability: percentage / 100, precision: precision)
        case .int(let percentage): Threshold(probability: Double(percentage) / 100, precision: precision)
        default: nil
        }
    }
}
