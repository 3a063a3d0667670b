internal import Pipeline

/// What the exporter counts beside items. Any thread.
struct LokiCounters: Sendable {
    private let changes: [Counter]
    /// Pushes that Loki stored, also in part; refused for good; refused for now; found too large.
    let stored: Counter
    let rejected: Counter
    let retried: Counter
    let tooLarge: Counter

    init(_ registry: MetricRegistry, exporter: String) {
        changes = LokiLimits.Reason.allCases.map { reason in
            registry.counter(
                "sluice_exporter_loki_limited",
                help: "Lines, labels and pairs of metadata changed to stay within Loki's limits.",
                labels: ["exporter": exporter, "reason": reason.rawValue])
        }
        func pushes(_ outcome: String) -> Counter {
            registry.counter(
                "sluice_exporter_loki_pushes", help: "Pushes that were answered, or not.",
                labels: ["exporter": exporter, "outcome": outcome])
        }
        stored = pushes("stored")
        rejected = pushes("rejected")
        retried = pushes("retried")
        tooLarge = pushes("too_large")
    }

    func add(_ found: LokiLimits.Changes) {
        guard !found.isEmpty else { return }
        for (counter, reason) in zip(changes, LokiLimits.Reason.allCases) { counter.add(found[reason]) }
    }
}
