internal import Configuration
internal import MetricBuilding
package import NIOCore
internal import OTLP
package import Pipeline

extension ComponentType {
    /// `exceptions`.
    package static let exceptions = connector(
        "exceptions", stability: .alpha,
        pairs: [SignalPair(.traces, .metrics), SignalPair(.traces, .logs)], ExceptionsConfig.self
    ) { config, context, outputs in
        if outputs.first?.pipeline?.signal == .logs {
            return ExceptionLogsConnector(config, context, outputs)
        }
        return ExceptionMetricsConnector(config, context, outputs)
    }
}

/// Counts exceptions of spans: `exceptions` in front of metrics. The series that a request counts in are sent with it, or all of
/// them every so often.
package final class ExceptionMetricsConnector: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `counts` is touched where the collector calls its closures, one at a time.
    private let collector: SpanCollector
    private let counts: ExceptionCounts
    private let overflowed: OverflowReport

    package init(
        _ config: ExceptionsConfig, _ context: ComponentContext, _ outputs: [PipelineOutput],
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        let counts = ExceptionCounts(config, ledger: context.ledger, now: UInt64(clamping: clock()))
        self.counts = counts
        overflowed = OverflowReport(
            context, "sluice_connector_exceptions_overflowed",
            help: "Exceptions counted in the series with otel.metric.overflow.")
        collector = SpanCollector(context, outputs, every: TimeAmount(config.flushInterval)) { request in
            counts.count(request, now: UInt64(clamping: clock()))
        } flush: { emit in
            counts.flush(now: UInt64(clamping: clock()), emit: emit)
        }
        collector.afterRequest = { [unowned self] in overflowed.show(counts.room) }
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
}

/// Makes log records of exceptions of spans: `exceptions` in front of logs. Any thread; holds nothing.
package final class ExceptionLogsConnector: Consumer, PipelineComponent {
    private let converter: RequestConverter<Void>

    package init(_ config: ExceptionsConfig, _ context: ComponentContext, _ outputs: [PipelineOutput]) {
        converter = RequestConverter(context, outputs, to: .logs) {
        } convert: { (_, batch, allowance) throws(Refusal) in
            var logs = ExceptionLogs(config, allowance)
            for slice in batch.slices {
                let bytes = slice.bytes
                var refusal: Refusal?
                unsafe bytes.withUnsafeReadableBytes { bytes in
                    do throws(Refusal) { unsafe try logs.add(WireBytes(bytes)) } catch { refusal = error }
                }
                if let refusal { throw refusal }
            }
            let records = logs.records
            return records > 0 ? (logs.finish(), records) : nil
        }
    }

    package var input: PipelineInput { converter.input(of: self) }

    package func consume(_ batch: Batch) -> Refusal? { converter.consume(batch) }

    package func drop(_ batch: Batch, because refusal: Refusal) { converter.drop(batch, because: refusal) }
}
