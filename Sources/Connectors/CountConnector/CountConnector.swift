internal import Configuration
internal import MetricBuilding
internal import NIOCore
internal import OTLP
package import Pipeline

extension ComponentType {
    private static let toMetrics = Set(Signal.allCases.map { SignalPair($0, .metrics) })

    /// `count`.
    package static let count = connector("count", stability: .alpha, pairs: toMetrics, CountConfig.self) {
        CountConnector($0.metrics, scope: "otelcol/countconnector", $1, $2)
    }

    /// `sum`.
    package static let sum = connector("sum", stability: .alpha, pairs: toMetrics, SumConfig.self) {
        CountConnector($0.metrics, scope: "otelcol/sumconnector", $1, $2)
    }
}

/// Makes metrics of each request: how many items there are, or what their attributes add up to: `count`, `sum`. Any thread.
package final class CountConnector: Consumer, PipelineComponent {
    private let converter: RequestConverter<ItemCounts>

    package init(
        _ metrics: [CountedMetric], scope: String, _ context: ComponentContext, _ outputs: [PipelineOutput],
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        let (signal, ledger) = (context.signal, context.ledger)
        let metrics = metrics.filter { $0.item.signal == signal }
        let overflowed = OverflowReport(
            context, "sluice_connector_count_overflowed_items",
            help: "Items counted in the series with otel.metric.overflow, by metric.")
        converter = RequestConverter(context, outputs, to: .metrics) {
            ItemCounts(metrics, scope: scope, ledger: ledger) { overflowed.add($0) }
        } convert: { (counts, batch, allowance) throws(Refusal) in
            var request = MetricRequest()
            let now = UInt64(clamping: clock())
            for slice in batch.slices {
                let bytes = slice.bytes
                var refusal: Refusal?
                unsafe bytes.withUnsafeReadableBytes { bytes in
                    do throws(Refusal) {
                        unsafe try counts.count(
                            WireBytes(bytes), signal, into: &request, allowance, now: now)
                    } catch {
                        refusal = error
                    }
                }
                if let refusal { throw refusal }
            }
            let points = request.points
            return points > 0 ? (request.finish(), points) : nil
        }
    }

    package var input: PipelineInput { converter.input(of: self) }

    package func consume(_ batch: Batch) -> Refusal? { converter.consume(batch) }

    package func drop(_ batch: Batch, because refusal: Refusal) { converter.drop(batch, because: refusal) }
}
