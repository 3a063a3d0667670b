internal import Pipeline

/// What a receiver counts. Any thread.
final class ScrapeCounters: Sendable {
    /// Points handed to the pipelines.
    let accepted: Counter
    /// Points that the pipelines did not take; they are lost, the next scrape brings new ones.
    let refused: Counter
    /// Scrapes that were left out for want of memory, or of somebody who takes them.
    let skipped: Counter
    /// Scrapes by how they ended.
    let succeeded: Counter
    let failed: Counter
    /// Samples that gave no point, by reason.
    let duplicates: Counter
    let unsupported: Counter
    /// Targets that are scraped.
    let targets: Gauge

    init(registry: MetricRegistry, source: NodeAccount, receiver: String) {
        let labels: MetricLabels = ["receiver": receiver, "transport": "http"]
        accepted = source.counter(
            .passed, "otelcol_receiver_accepted_metric_points", help: "Items that the pipelines took.",
            labels: labels)
        refused = registry.counter(
            "otelcol_receiver_refused_metric_points", help: "Items that the pipelines did not take.",
            labels: labels)
        skipped = registry.counter(
            "sluice_receiver_refused_requests",
            help: "Requests refused before their body was read, for want of memory.",
            labels: labels.adding("signal", "metrics"))
        let own: MetricLabels = ["receiver": receiver]
        func scrapes(_ result: String) -> Counter {
            registry.counter(
                "sluice_receiver_prometheus_scrapes", help: "Scrapes of all targets, by how they ended.",
                labels: own.adding("result", result))
        }
        succeeded = scrapes("success")
        failed = scrapes("failure")
        func dropped(_ reason: String) -> Counter {
            registry.counter(
                "sluice_receiver_prometheus_dropped_samples",
                help: "Samples of pages that gave no data point.",
                labels: own.adding("reason", reason))
        }
        duplicates = dropped("duplicate")
        unsupported = dropped("unsupported")
        targets = registry.gauge(
            "sluice_receiver_prometheus_targets", help: "Targets that are scraped.", labels: own)
    }
}
