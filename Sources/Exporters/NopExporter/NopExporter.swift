package import OTLP
package import Pipeline

/// Takes everything and keeps nothing: `nop`.
package final class NopExporter: Consumer {
    private let counters: SendingQueue.Counters

    /// Registers the exporter's counter for one signal.
    package init(name: String, signal: Signal, registry: MetricRegistry) {
        counters = SendingQueue.Counters(registry, exporter: name, signal: signal)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        counters.sent.add(batch.items)
        batch.settle(.accepted)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        counters.dropped.add(batch.items)
        batch.settle(.refused(refusal))
    }
}
