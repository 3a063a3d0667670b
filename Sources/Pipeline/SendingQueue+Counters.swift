internal import Configuration
package import OTLP

extension SendingQueue {
    /// What an exporter counts of one signal, in items, under the Collector's names.
    package struct Counters: Sendable {
        /// What came, also what is only counted as dropped.
        package let taken: Counter
        /// Read from the store, where an earlier process had left it.
        package let recovered: Counter
        /// The destination has them.
        package let sent: Counter
        /// Given up after the destination was asked.
        package let failed: Counter
        /// Never asked for: the queue was full or the gateway stopped.
        package let dropped: Counter
        let inFlight: Gauge
        let batchItems: Histogram?
        let batchBytes: Histogram?
        let enqueuedItems: Histogram?
        let enqueuedBytes: Histogram?

        /// Makes the counters of an exporter's node.
        /// - Parameter detailed: whether the sizes of what is sent are counted, too.
        package init(
            _ account: NodeAccount, _ registry: MetricRegistry, exporter: String, signal: Signal,
            detailed: Bool = false
        ) {
            let labels: MetricLabels = ["exporter": exporter]
            let items = signal.itemNoun
            taken = account.counter(.entered)
            recovered = account.counter(
                .made, "sluice_exporter_recovered_\(items)",
                help: "Items that an earlier process left in the exporter's store.", labels: labels)
            // On every page, though nobody may ever hand it anything.
            _ = Self.deadLetters(of: account, exporter: exporter, signal: signal)
            sent = account.counter(
                .left, "otelcol_exporter_sent_\(items)", help: "Items that the destination took.",
                labels: labels)
            failed = account.counter(
                .dropped(.sendFailed), "otelcol_exporter_send_failed_\(items)",
                help: "Items given up after the destination refused them or could not be reached.",
                labels: labels)
            dropped = account.counter(
                .dropped(.enqueueFailed), "otelcol_exporter_enqueue_failed_\(items)",
                help: "Accepted items that the exporter's queue did not take.", labels: labels)
            inFlight = registry.gauge(
                "otelcol_exporter_in_flight_requests",
                help: "Batches that are with the destination and not answered.",
                labels: labels.adding("data_type", signal.name))
            guard detailed else {
                batchItems = nil
                batchBytes = nil
                enqueuedItems = nil
                enqueuedBytes = nil
                return
            }
            batchItems = registry.histogram(
                "otelcol_exporter_queue_batch_send_size", help: "Items of a batch that is sent.",
                bounds: Histogram.itemBounds, labels: labels)
            batchBytes = registry.histogram(
                "otelcol_exporter_queue_batch_send_size_bytes",
                help: "Bytes of a batch that is sent, not compressed.", bounds: Histogram.byteBounds,
                labels: labels)
            enqueuedItems = registry.histogram(
                "otelcol_exporter_queue_batch_enqueue_size", help: "Items of what the queue took at once.",
                bounds: Histogram.itemBounds, labels: labels)
            enqueuedBytes = registry.histogram(
                "otelcol_exporter_queue_batch_enqueue_size_bytes",
                help: "Bytes of what the queue took at once, not compressed.", bounds: Histogram.byteBounds,
                labels: labels)
        }

        /// The counters of a component that is being made.
        package init(_ context: ComponentContext) {
            self.init(
                context.account, context.registry, exporter: context.name, signal: context.signal,
                detailed: context.gateway.isDetailed)
        }

        /// Counters with an account of their own, for an exporter by itself.
        package init(_ registry: MetricRegistry, exporter: String, signal: Signal) {
            let id = ComponentID(type: exporter)
            let account = NodeAccount(kind: .exporter, id: id, signal: signal)
            registry.add(account)
            self.init(account, registry, exporter: exporter, signal: signal)
        }

        /// What another exporter counts in the account of the one that it hands items to.
        static func deadLetters(of account: NodeAccount, exporter: String, signal: Signal) -> Counter {
            account.counter(
                .announced, "sluice_exporter_dead_letter_\(signal.itemNoun)",
                help: "Items that the exporter got from others by on_permanent_failure.",
                labels: ["exporter": exporter])
        }

        /// Counts items that nobody takes.
        /// - Parameter areNew: whether they were not counted as taken before.
        package func drop(_ items: Int, areNew: Bool = true) {
            if areNew { taken.add(items) }
            dropped.add(items)
        }
    }
}
