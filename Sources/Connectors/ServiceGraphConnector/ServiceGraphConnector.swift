internal import Configuration
internal import MetricBuilding
package import NIOCore
internal import OTLP
package import Pipeline

extension ComponentType {
    /// `service_graph`.
    package static let serviceGraph = connector(
        "service_graph", aliases: ["servicegraph"], stability: .alpha,
        pairs: [SignalPair(.traces, .metrics)], ServiceGraphConfig.self
    ) {
        ServiceGraphConnector($0, $1, $2)
    }
}

/// Makes metrics of who calls whom: `service_graph`. As `SpanMetricsConnector`, on one event loop.
package final class ServiceGraphConnector: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `One at a time` are touched where the collector calls its closures, one at a time.
    private let collector: SpanCollector

    // One at a time.
    private let held: Held
    private let edges: Counter
    private let expired: Counter
    private let dropped: Counter
    private let oversized: Counter
    private let overflowed: OverflowReport
    private let series: Gauge
    private var told = ServiceGraph.Counts()

    /// What the collector's closures share.
    private final class Held {
        var graph: ServiceGraph
        init(_ graph: consuming ServiceGraph) { self.graph = graph }
    }

    package init(
        _ config: ServiceGraphConfig, _ context: ComponentContext, _ outputs: [PipelineOutput],
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        let held = Held(ServiceGraph(config, ledger: context.ledger, now: UInt64(clamping: clock())))
        self.held = held
        let labels: MetricLabels = ["connector": context.name]
        func counter(_ name: String, _ help: String) -> Counter {
            context.registry.counter("otelcol_connector_servicegraph_" + name, help: help, labels: labels)
        }
        edges = counter("total_edges", "Edges that were counted.")
        expired = counter("expired_edges", "Edges of which half did not come in time.")
        dropped = counter("dropped_spans", "Spans without room for their edge (store::max_items).")
        oversized = context.registry.counter(
            "sluice_connector_service_graph_oversized_spans",
            help: "Spans of which no edges are made, because their service or labels are too long.",
            labels: labels)
        overflowed = OverflowReport(
            context, "sluice_connector_service_graph_overflowed_edges",
            help: "Edges counted in the series with otel.metric.overflow.")
        series = context.registry.gauge(
            "sluice_connector_service_graph_series", help: "Series that are kept.", labels: labels)
        collector = SpanCollector(context, outputs, every: TimeAmount(config.flushInterval)) { request in
            held.graph.count(request, now: UInt64(clamping: clock()))
        } flush: { emit in
            held.graph.flush(now: UInt64(clamping: clock()), emit: emit)
        }
        collector.chores = [
            (TimeAmount(config.expirationLoop), { held.graph.expire(now: UInt64(clamping: clock())) }),
            (TimeAmount(config.cacheLoop), { held.graph.forget(now: UInt64(clamping: clock())) }),
        ]
        collector.afterRequest = { [unowned self] in show() }
    }

    package var input: PipelineInput { PipelineInput(self) }

    package func start() async throws { try await collector.start() }

    /// Starts flushing. Event loop only.
    package func startFlushing() { collector.startFlushing() }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        await collector.stop(until: deadline)
    }

    package func consume(_ batch: Batch) -> Refusal? { collector.consume(batch) }

    package func drop(_ batch: Batch, because refusal: Refusal) { collector.drop(batch, because: refusal) }

    private func show() {
        let counts = held.graph.counts
        edges.add(counts.edges - told.edges)
        expired.add(counts.expired - told.expired)
        dropped.add(counts.droppedSpans - told.droppedSpans)
        oversized.add(counts.oversized - told.oversized)
        overflowed.show(held.graph.series.room)
        series.set(held.graph.seriesCount)
        told = counts
    }
}
