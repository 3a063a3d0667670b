internal import Configuration
internal import OTLP
internal import Pipeline
internal import TraceStore

/// What the sampler counts, under the Collector's names.
struct TailSamplingMetrics {
    private static let prefix = "otelcol_processor_tail_sampling_"

    /// Of one policy.
    struct OfPolicy {
        let executions: Counter
        let microseconds: Counter
        fileprivate let traces: [Counter]
        fileprivate let spans: [Counter]
        fileprivate let bytes: [Counter]

        func count(_ verdict: Verdict, _ trace: TraceView) {
            traces[verdict.index].add(1)
            spans[verdict.index].add(trace.spans)
            bytes[verdict.index].add(trace.wireBytes)
        }
    }

    let incoming: Counter
    let left: Counter
    let notSampled: Counter
    let evicted: Counter
    let malformed: Counter
    let newTraces: Counter
    let policyErrors: Counter
    let droppedTooEarly: Counter
    let tooLarge: Counter
    /// Traces decided before their time because of `max_bytes`.
    let decidedEarly: Counter
    let waiting: Gauge
    let waitingBytes: Gauge
    let decisionLatency: Histogram
    let lateAge: Histogram
    let removalAge: Histogram
    private let verdicts: [Counter]
    private let cached: [Counter]
    private let context: ComponentContext
    private let labels: MetricLabels

    init(_ context: ComponentContext) {
        let registry = context.registry
        let labels: MetricLabels = ["processor": context.name]
        let bySignal = labels.adding("otel_signal", context.signal.name)
        func counter(_ name: String, _ help: String, _ more: MetricLabels? = nil) -> Counter {
            registry.counter(Self.prefix + name, help: help, labels: more ?? labels)
        }
        func histogram(_ name: String, _ help: String, _ bounds: [Double]) -> Histogram {
            registry.histogram(Self.prefix + name, help: help, bounds: bounds, labels: labels)
        }
        self.context = context
        self.labels = labels
        incoming = context.account.counter(
            .entered, "otelcol_processor_incoming_items", help: "Items that the processor took.",
            labels: bySignal)
        left = context.account.counter(
            .left, "otelcol_processor_outgoing_items", help: "Items that the processor sent on.",
            labels: bySignal)
        notSampled = context.account.counter(.dropped(.notSampled))
        evicted = context.account.counter(.dropped(.stateLimit))
        malformed = context.account.counter(.dropped(.invalid))
        newTraces = counter("new_trace_id_received", "Traces whose first span came.")
        policyErrors = counter("sampling_policy_evaluation_error", "Policies that could not say anything.")
        droppedTooEarly = counter(
            "sampling_trace_dropped_too_early", "Traces evicted before they were decided (num_traces).")
        tooLarge = counter(
            "traces_dropped_too_large", "Traces larger than maximum_trace_size_bytes.")
        decidedEarly = registry.counter(
            "sluice_processor_tail_sampling_decided_early_traces",
            help: "Traces decided before their time because more than max_bytes waited.", labels: labels)
        waiting = registry.gauge(
            Self.prefix + "sampling_traces_on_memory", help: "Traces in memory, decided ones included.",
            labels: labels)
        waitingBytes = registry.gauge(
            "sluice_processor_tail_sampling_waiting_bytes", help: "Bytes of the spans that wait.",
            labels: labels)
        decisionLatency = histogram(
            "sampling_decision_timer_latency", "Milliseconds that the decisions of a second took.",
            [1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2000, 3000, 4000, 5000, 10000])
        let ages: [Double] = [1, 2, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2000, 3000]
        lateAge = histogram(
            "sampling_late_span_age", "Seconds between the decision on a trace and a span that came late.",
            ages)
        removalAge = histogram(
            "sampling_trace_removal_age", "Seconds that a trace was in memory when it was evicted.", ages)
        verdicts = Verdict.all.map {
            counter(
                "global_count_traces_sampled", "Traces that were decided.",
                labels.adding("sampled", $0 == .sampled ? "true" : "false").adding("decision", $0.name))
        }
        cached = ["false", "true"].map {
            counter(
                "early_releases_from_cache_decision", "Spans whose trace a decision cache knew.",
                labels.adding("sampled", $0))
        }
    }

    /// The metrics of a policy; its name has the component's before it, if the id has one.
    func policy(_ name: String) -> OfPolicy {
        let whole = context.id.name.isEmpty ? name : "\(context.id.name).\(name)"
        let labels = labels.adding("policy", whole)
        let registry = context.registry
        func counters(_ name: String, _ help: String) -> [Counter] {
            Verdict.all.map {
                registry.counter(
                    Self.prefix + name, help: help,
                    labels: labels.adding("sampled", $0 == .sampled ? "true" : "false").adding(
                        "decision", $0.name))
            }
        }
        return OfPolicy(
            executions: registry.counter(
                Self.prefix + "sampling_policy_execution_count", help: "Times that a policy was asked.",
                labels: labels),
            microseconds: registry.counter(
                Self.prefix + "sampling_policy_execution_time_sum",
                help: "Microseconds that a policy took.", labels: labels),
            traces: counters("count_traces_sampled", "Traces by what a policy said."),
            spans: counters("count_spans_sampled", "Spans by what a policy said."),
            bytes: counters("count_bytes_sampled", "Bytes by what a policy said."))
    }

    func count(_ verdict: Verdict) { verdicts[verdict.index].add(1) }

    /// Spans of a trace that a cache knew.
    func countCached(sampled: Bool, _ spans: Int) { cached[sampled ? 1 : 0].add(spans) }
}

extension Verdict {
    static let all: [Verdict] = [.sampled, .notSampled, .dropped]

    fileprivate var index: Int {
        switch self {
        case .sampled: 0
        case .notSampled: 1
        case .dropped: 2
        }
    }

    fileprivate var name: String {
        switch self {
        case .sampled: "sampled"
        case .notSampled: "not_sampled"
        case .dropped: "dropped"
        }
    }
}
