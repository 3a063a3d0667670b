package import OTLP
package import Pipeline

/// `probabilistic_sampler`: keeps a share of the spans or records, by their own randomness.
package final class SamplerTransform: RequestTransform {
    private let spans: SpanSampler
    private let records: RecordSampler
    private let counts: SamplerCounts

    package init(_ config: SamplerConfig, _ context: ComponentContext) {
        let sampler = Sampler(config)
        spans = SpanSampler(sampler)
        records = RecordSampler(sampler, config)
        counts = SamplerCounts(context, attribute: config.fromAttribute)
    }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        var tally = SamplerCounts.Tally()
        request.forEachResource { resource in
            request.forEachScope(of: resource) { scope in
                sample(scope.entry, of: request, context.signal, &tally)
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
        counts.add(tally)
    }

    /// Spans that go, the most, are not opened.
    private func sample(
        _ scope: MessageID, of request: RequestEditor, _ signal: Signal, _ tally: inout SamplerCounts.Tally
    ) {
        for position in 0..<request.fieldCount(scope)
        where request.number(scope, at: position) == Field.ScopeEntry.entries {
            let decision: Decision
            switch signal {
            case .traces: decision = spans.sample(scope, at: position, of: request)
            default: decision = records.sample(scope, at: position, of: request)
            }
            tally.add(decision)
            if !decision.isSampled { request.remove(scope, at: position) }
        }
    }
}

/// The sampler's own metrics. Any thread.
final class SamplerCounts: Sendable {
    /// Counts of one request.
    struct Tally {
        fileprivate var counts = InlineArray<12, Int>(repeating: 0)

        mutating func add(_ decision: Decision) {
            counts[decision.policy.rawValue * 2 + (decision.isSampled ? 1 : 0)] += 1
        }
    }

    private let counters: [Counter]

    init(_ context: ComponentContext, attribute: String) {
        let isTraces = context.signal == .traces
        let name = "otelcol_processor_probabilistic_sampler_count_\(isTraces ? "traces" : "logs")_sampled"
        let help =
            isTraces ? "Count of traces that were sampled or not" : "Count of logs that were sampled or not"
        let policies = [
            "missing_randomness", "trace_id_hash", "trace_id_w3c", "sampling_randomness", "sampling_priority",
            attribute.isEmpty ? "attribute" : attribute,
        ]
        counters = policies.flatMap { policy in
            ["false", "true"].map { sampled in
                context.registry.counter(name, help: help, labels: ["policy": policy, "sampled": sampled])
            }
        }
    }

    func add(_ tally: Tally) {
        for (index, counter) in counters.enumerated() where tally.counts[index] > 0 {
            counter.add(tally.counts[index])
        }
    }
}
