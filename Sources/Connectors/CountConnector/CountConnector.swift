internal import Configuration
internal import MetricBuilding
internal import NIOCore
internal import OTLP
package import Pipeline
import Synchronization

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
///
/// It holds nothing: the metrics of a request go on at once, and what becomes of them is what the sender is told.
package final class CountConnector: Consumer, PipelineComponent {
    private struct Free: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): counts are used by the thread that took them out.
        var counts: [ItemCounts] = []
    }

    private let metrics: [CountedMetric]
    private let scope: String
    private let signal: Signal
    private let outputs: ConnectorOutputs
    private let ledger: MemoryLedger
    private let clock: @Sendable () -> Int64
    private let free = Mutex(Free())
    private let entered: Counter
    private let counted: Counter
    private let made: Counter
    private let left: Counter

    package init(
        _ metrics: [CountedMetric], scope: String, _ context: ComponentContext, _ outputs: [PipelineOutput],
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        signal = context.signal
        let signal = signal
        self.metrics = metrics.filter { $0.item.signal == signal }
        self.scope = scope
        self.outputs = ConnectorOutputs(outputs)
        self.clock = clock
        ledger = context.ledger
        entered = context.account.counter(.entered)
        counted = context.account.counter(.dropped(.merged))
        made = context.account.counter(.made)
        left = context.account.counter(.left)
    }

    package var input: PipelineInput {
        let behind = outputs.input
        return PipelineInput(self, admission: behind.admission, answersLater: behind.answersLater)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        guard let result = count(batch) else {
            batch.enter()
            entered.add(batch.items)
            counted.add(batch.items)
            batch.settle(.accepted)
            return nil
        }
        if let refusal = outputs.consume(result, entry: batch.entry, [made]) { return refusal }
        batch.entry = nil
        entered.add(batch.items)
        counted.add(batch.items)
        left.add(result.items)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        entered.add(batch.items)
        counted.add(batch.items)
        guard let result = count(batch) else { return batch.settle(.refused(refusal)) }
        made.add(result.items)
        left.add(result.items)
        outputs.drop(result, because: refusal)
    }

    /// The metrics of a batch; nil when there are none.
    private func count(_ batch: Batch) -> Batch? {
        let counts = free.withLock { $0.counts.popLast() } ?? ItemCounts(metrics, scope: scope)
        defer { free.withLock { if $0.counts.count < Self.countsMax { $0.counts.append(counts) } } }
        var request = MetricRequest()
        let now = UInt64(clamping: clock())
        for slice in batch.slices {
            let bytes = slice.bytes
            unsafe bytes.withUnsafeReadableBytes {
                unsafe counts.count(WireBytes($0), signal, into: &request, now: now)
            }
        }
        let points = request.points
        guard points > 0 else { return nil }
        let acknowledgement =
            batch.isAwaited
            ? Acknowledgement { outcome in
                // What a destination rejects of the points says nothing of the items.
                if case .refused = outcome { batch.settle(outcome) } else { batch.settle(.accepted) }
            } : nil
        return Batch(
            .metrics, payload: Payload(request.finish(), ledger: ledger), items: points,
            acknowledgement: acknowledgement)
    }

    /// As many as loops are usual.
    private static let countsMax = 8
}
