internal import OTLP

/// Samples spans: their randomness is in the trace id or the tracestate, what is decided goes into the tracestate.
struct SpanSampler: Sendable {
    private let sampler: Sampler
    private static let priority = OwnedBytes("sampling.priority")
    private static let priorityBytes = 17
    /// The tracestate of a span that came without one; in `hash_seed` with room for the randomness.
    private let freshState: OwnedBytes

    init(_ sampler: Sampler) {
        self.sampler = sampler
        let threshold = Array("th:".utf8) + sampler.usualThreshold.text
        let randomness = sampler.hashes ? Array("rv:00000000000000;".utf8) : []
        freshState = OwnedBytes(Array("ot=".utf8) + randomness + threshold)
    }

    /// Decides about the span at a position of its scope, and writes what was decided into a span that is kept.
    func sample(_ scope: MessageID, at position: Int, of request: RequestEditor) -> Decision {
        var traceID = WireBytes.none
        var text = WireBytes.none
        var priority: AttributeValue?
        for field in request.content(scope, at: position).fields {
            switch field.number {
            case Field.Span.traceID: traceID = field.bytes
            case Field.Span.traceState: text = field.bytes
            case Field.Span.attributes: if priority == nil { priority = Self.priority(field.bytes) }
            default: break
            }
        }
        var state: TraceState?
        let evidence = evidence(traceID, text, &state)
        let decision = sampler.decide(evidence) { policy, threshold in
            guard let priority, let wish = Self.wish(priority) else { return }
            policy = .samplingPriority
            threshold = wish ? .always : .never
        }
        guard decision.isSampled, evidence.isWritable else { return decision }
        let span = request.child(scope, at: position)
        if text.count == 0, decision.threshold == sampler.usualThreshold, evidence.randomness != nil {
            setFreshState(of: span, request, evidence.randomness ?? 0)
        } else {
            var state = state ?? TraceState()
            if sampler.hashes { state.sampling.set(randomness: evidence.randomness ?? Randomness.greatest) }
            state.sampling.threshold = evidence.threshold
            if let threshold = decision.threshold { state.sampling.set(threshold) }
            request.setContent(span, Field.Span.traceState, request.keep(state.text))
        }
        request.close(span)
        return decision
    }

    private func evidence(_ traceID: WireBytes, _ text: WireBytes, _ state: inout TraceState?) -> Evidence {
        var evidence = Evidence()
        if text.count > 0 {
            state = TraceState(text.array)
            evidence.isFaulty = state == nil
            evidence.isWritable = state != nil
        }
        let sampling = state?.sampling ?? SamplingState()
        let isEmpty = Self.isEmpty(traceID)
        if sampler.hashes {
            if !isEmpty {
                evidence.randomness = Randomness.hashed(traceID, seed: sampler.seed)
                evidence.policy = .traceIDHash
            }
            if sampling.randomness != nil || sampling.threshold != nil {
                evidence.isFaulty = true
                evidence.isWritable = false
            }
        } else if evidence.isWritable {
            evidence.threshold = sampling.threshold
            if let randomness = sampling.randomness {
                evidence.randomness = randomness
                evidence.policy = .samplingRandomness
            } else if !isEmpty {
                evidence.randomness = Self.low56(traceID)
                evidence.policy = .traceIDW3C
            }
        }
        evidence.check()
        return evidence
    }

    /// Allocates nothing.
    private func setFreshState(of span: MessageID, _ request: RequestEditor, _ randomness: UInt64) {
        guard sampler.hashes else {
            return request.setContent(span, Field.Span.traceState, freshState.bytes)
        }
        let count = freshState.bytes.count
        unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) { room in
            // SAFETY: the room has `count` bytes, the randomness 14 of them from the 6th on.
            unsafe room.copyMemory(from: freshState.bytes.unsafeBytes)
            for digit in 0..<14 {
                let value = UInt8(truncatingIfNeeded: randomness >> UInt64(52 - 4 * digit) & 15)
                unsafe room[6 + digit] =
                    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
            }
            unsafe request.setContent(span, Field.Span.traceState, WireBytes(UnsafeRawBufferPointer(room)))
        }
    }

    // MARK: - Reading

    static func isEmpty(_ traceID: WireBytes) -> Bool {
        for index in 0..<traceID.count where traceID[index] != 0 { return false }
        return true
    }

    /// The last seven bytes of a trace id.
    static func low56(_ traceID: WireBytes) -> UInt64 {
        var value: UInt64 = 0
        for index in max(0, traceID.count - 7)..<traceID.count { value = value << 8 | UInt64(traceID[index]) }
        return value
    }

    /// The value of a `KeyValue` whose key is `sampling.priority`.
    private static func priority(_ attribute: WireBytes) -> AttributeValue? {
        // A key of another length, nearly always: one look.
        if attribute.count >= 2, attribute[0] == Field.KeyValue.key &<< 3 | 2, attribute[1] < 0x80,
            attribute[1] != priorityBytes
        {
            return nil
        }
        for field in attribute.fields where field.number == Field.KeyValue.key {
            guard field.bytes.isEqual(to: priority.bytes) else { return nil }
            return Attribute(attribute).value
        }
        return nil
    }

    /// Whether a span is to be kept, or dropped; nil when its priority says nothing.
    private static func wish(_ priority: AttributeValue) -> Bool? {
        let number: Double
        switch priority {
        case .int(let value): number = Double(value)
        case .double(let value): number = value
        case .string(let text):
            guard let value = Double(goText: text.text) else { return nil }
            number = value
        default: return nil
        }
        return number == 0 ? false : number > 0 ? true : nil
    }
}

extension Randomness {
    /// As for other bytes; allocates nothing.
    static func hashed(_ bytes: WireBytes, seed: UInt32) -> UInt64 {
        // SAFETY: borrowed for the call.
        unsafe hashed(bytes.unsafeBytes, seed: seed)
    }
}
