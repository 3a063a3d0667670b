internal import HTTP
internal import OTLP
internal import Pipeline
import Synchronization

/// One exporter's account of one signal: accepted = sent + failed + dropped + queued.
///
/// What was accepted and has no fate yet is queued, wherever it is: in a ring, in a batch, in a queue, on the wire. So an
/// item that were lost would stay in this gauge for ever, where somebody sees it.
struct Balance: Sendable {
    let labels: MetricLabels
    /// For each pipeline to the exporter, the accepted counters of the receivers that feed it.
    let accepted: [Counter]
    let left: [Counter]

    init(exporter: String, signal: Signal, receivers: [String], registry: MetricRegistry, copies: [[String]])
    {
        labels = ["exporter": exporter, "data_type": signal.name]
        let counters = SendingQueue.Counters(registry, exporter: exporter, signal: signal)
        left = [counters.sent, counters.failed, counters.dropped]
        accepted =
            copies.flatMap { $0 }.flatMap { receiver in
                ["grpc", "http"].map { transport in
                    registry.counter(
                        "otelcol_receiver_accepted_\(signal.itemNoun)",
                        help: "Items that the pipelines took.",
                        labels: ["receiver": receiver, "transport": transport], read: .late)
                }
            } + [
                Self.recovered(registry, exporter: exporter, signal: signal),
                Self.deadLetters(registry, to: exporter, signal: signal),
            ]
    }

    /// What an earlier process had stored for an exporter.
    static func recovered(_ registry: MetricRegistry, exporter: String, signal: Signal) -> Counter {
        registry.counter(
            "sluice_exporter_recovered_\(signal.itemNoun)",
            help: "Items that an earlier process left in the exporter's store.",
            labels: ["exporter": exporter],
            read: .late)
    }

    /// What other exporters hand to one because their destinations will never take it.
    static func deadLetters(_ registry: MetricRegistry, to exporter: String, signal: Signal) -> Counter {
        registry.counter(
            "sluice_exporter_dead_letter_\(signal.itemNoun)",
            help: "Items that the exporter got from others by on_permanent_failure.",
            labels: ["exporter": exporter], read: .late)
    }

    /// Accepted minus left, both as the page shows them.
    func queued(on page: inout MetricPage) -> Int {
        var total = 0
        for counter in accepted { total += Int(page.reading(of: counter)) }
        for counter in left { total -= Int(page.reading(of: counter)) }
        return total
    }
}

/// The page of the gateway's own metrics, on which the balances hold. Any thread.
final class MetricsPage: Sendable {
    private let registry: MetricRegistry
    /// Raised when a page shows more that left than came. Not the page's own, so that the collector does not own it.
    private let early = Flag()

    init(registry: MetricRegistry, balances: [Balance]) {
        self.registry = registry
        let early = early
        registry.addCollector { page in
            for balance in balances {
                let queued = balance.queued(on: &page)
                if queued < 0 { early.raised.store(true, ordering: .relaxed) }
                page.gauge(
                    "sluice_exporter_pending_items",
                    help: "Items accepted for this exporter that are not yet sent, failed or dropped.",
                    labels: balance.labels, queued)
            }
        }
    }

    func response() -> AdminResponse {
        var body = registry.render()
        // An item's acceptance is counted a moment after it was handed on; a page from within that moment shows more
        // that left than came. It is read again until it does not.
        var tries = 0
        while early.raised.exchange(false, ordering: .relaxed), tries < 100 {
            body = registry.render()
            tries += 1
        }
        return AdminResponse(contentType: MetricPage.contentType, body: body)
    }
}

private final class Flag: Sendable {
    let raised = Atomic<Bool>(false)
}
