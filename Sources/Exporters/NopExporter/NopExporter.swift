internal import OTLP
package import Pipeline

extension NopConfig: ComponentConfig {}

extension ComponentType {
    /// `nop`, the exporter.
    package static let nopExporter = exporter("nop", stability: .stable, NopConfig.self) { NopExporter($1) }
}

/// Takes everything and keeps nothing: `nop`.
package final class NopExporter: Consumer, PipelineComponent {
    private let counters: SendingQueue.Counters

    package init(_ context: ComponentContext) {
        counters = SendingQueue.Counters(context)
    }

    package var input: PipelineInput { PipelineInput(self) }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        batch.enter()
        counters.taken.add(batch.items)
        counters.sent.add(batch.items)
        batch.settle(.accepted)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        counters.drop(batch.items)
        batch.settle(.refused(refusal))
    }
}
