internal import Configuration
internal import MetricBuilding
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `span_metrics`.
    package static let spanMetrics = connector(
        "span_metrics", aliases: ["spanmetrics"], stability: .beta,
        pairs: [SignalPair(.traces, .metrics)], SpanMetricsConfig.self
    ) {
        SpanMetricsConnector($0, $1, $2)
    }
}

/// Makes metrics of spans: `span_metrics`.
///
/// `consume` from any thread: requests come through a ring to the connector's event loop, which alone has the counts. Who
/// sent the spans is answered when they were counted.
package final class SpanMetricsConnector: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `One at a time` are touched where the collector calls its closures, one at a time.
    private let config: SpanMetricsConfig
    private let collector: SpanCollector
    private let clock: @Sendable () -> Int64

    // One at a time.
    private let held: Held
    private let seriesGauge: Gauge
    private let overflowed: OverflowReport
    private let skipped: Counter
    private let lost: Counter
    private var told = (skipped: 0, lost: 0)

    /// What the collector's closures share.
    private final class Held {
        var metrics: SpanMetrics
        init(_ metrics: consuming SpanMetrics) { self.metrics = metrics }
    }

    package init(
        _ config: SpanMetricsConfig, _ context: ComponentContext, _ outputs: [PipelineOutput],
        instance: String = InstanceID.random(),
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        self.config = config
        self.clock = clock
        let held = Held(SpanMetrics(config, instance: instance, ledger: context.ledger))
        self.held = held
        let labels: MetricLabels = ["connector": context.name]
        func counter(_ name: String, _ help: String) -> Counter {
            context.registry.counter("sluice_connector_span_metrics_" + name, help: help, labels: labels)
        }
        seriesGauge = context.registry.gauge(
            "sluice_connector_span_metrics_series", help: "Series that are kept.", labels: labels)
        overflowed = OverflowReport(
            context, "sluice_connector_span_metrics_overflowed_spans",
            help: "Spans counted in a series with otel.metric.overflow, by metric.")
        skipped = counter("skipped_spans", "Spans not counted because their resource has no service.name.")
        lost = counter("lost_resources", "Resources forgotten before a flush (resource_metrics_cache_size).")
        collector = SpanCollector(context, outputs, every: TimeAmount(config.flushInterval)) { request in
            held.metrics.count(request, now: UInt64(clamping: clock()))
        } flush: { emit in
            held.metrics.flush(now: UInt64(clamping: clock()), emit: emit)
        }
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
        let (skippedSpans, lostResources) = (held.metrics.skipped, held.metrics.lostResources)
        overflowed.show(held.metrics.table.room)
        seriesGauge.set(held.metrics.seriesCount)
        skipped.add(skippedSpans - told.skipped)
        lost.add(lostResources - told.lost)
        told = (skippedSpans, lostResources)
    }
}

/// Tells gateways apart that write the same series.
package enum InstanceID {
    /// A random UUID, as text.
    package static func random() -> String {
        var source = SystemRandomNumberGenerator()
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &source) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array("0123456789abcdef")
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append("-") }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }
}
