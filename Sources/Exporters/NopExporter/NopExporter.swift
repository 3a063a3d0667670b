package import OTLP
package import Pipeline

/// Takes everything and keeps nothing: `nop`.
package final class NopExporter: Consumer {
    private let sent: Counter

    /// Registers the exporter's counter for one signal.
    package init(name: String, signal: Signal, registry: MetricRegistry) {
        sent = SendingQueue.Counters(registry, exporter: name, signal: signal).sent
    }

    package func consume(_ batch: Batch) -> Refusal? {
        sent.add(batch.items)
        batch.settle(.accepted)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        batch.settle(.refused(refusal))
    }
}
