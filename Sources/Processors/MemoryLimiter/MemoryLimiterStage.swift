internal import OTLP
package import Pipeline

/// A memory limiter's place in one pipeline: counts what passes. The memory of what comes here was admitted before it was
/// read. Any thread.
package final class MemoryLimiterStage: Consumer, PipelineComponent {
    private let accepted: Counter
    private let refused: Counter
    private let next: any Consumer
    private let limiter: any AdmissionControl
    private let behind: PipelineInput

    package init(_ limiter: any AdmissionControl, _ context: ComponentContext, next: PipelineInput) {
        self.limiter = limiter
        self.next = next.consumer
        behind = next
        let account = context.account
        accepted = account.counter(
            .passed, "otelcol_processor_memory_limiter_accepted_\(context.signal.itemNoun)",
            help: "Items that passed the memory limiter.", labels: ["processor": context.name])
        refused = context.registry.counter(
            "otelcol_processor_memory_limiter_refused_\(context.signal.itemNoun)",
            help: "Items that were read and found no memory behind the limiter.",
            labels: ["processor": context.name])
        // It takes nothing that it does not hand on.
        let labels: MetricLabels = ["processor": context.name, "otel_signal": context.signal.name]
        account.show(
            accepted, "otelcol_processor_incoming_items", help: "Items that the processor took.",
            labels: labels)
        account.show(
            accepted, "otelcol_processor_outgoing_items", help: "Items that the processor sent on.",
            labels: labels)
    }

    package var input: PipelineInput { behind.behind(self, admission: [limiter]) }

    package func consume(_ batch: Batch) -> Refusal? {
        let items = batch.items
        if let refusal = next.consume(batch) {
            if refusal.reason == .memory { refused.add(items) }
            return refusal
        }
        accepted.add(items)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        next.drop(batch, because: refusal)
    }
}
