internal import OTLP
internal import Pipeline

/// What was dropped: in all, as the Collector counts it, and by condition. Any thread.
final class FilterCounts: Sendable {
    private let all: Counter
    private let byCondition: [Counter]
    private let bySelection: Counter

    init(_ texts: [String], _ context: ComponentContext) {
        let (name, help) =
            switch context.signal {
            case .traces: ("spans", "Spans that the filter processor dropped.")
            case .metrics: ("datapoints", "Data points that the filter processor dropped.")
            case .logs: ("logs", "Log records that the filter processor dropped.")
            }
        all = context.registry.counter(
            "otelcol_processor_filter_\(name)_filtered", help: help, labels: ["filter": context.name])
        func counter(_ condition: String) -> Counter {
            context.registry.counter(
                "sluice_filter_dropped_items", help: "Items that the filter processor dropped, by condition.",
                labels: [
                    "component": context.name, "otel_signal": context.signal.name, "condition": condition,
                ])
        }
        byCondition = texts.map(counter)
        bySelection = counter("include and exclude")
    }

    func dropped(_ items: Int, by condition: Int) {
        all.add(items)
        byCondition[condition].add(items)
    }

    func selected(_ items: Int) {
        all.add(items)
        bySelection.add(items)
    }
}
