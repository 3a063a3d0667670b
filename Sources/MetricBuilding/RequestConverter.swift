package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// The node around a connector that makes a request of another signal of each request, at once. Any thread.
///
/// It holds nothing: what is made of a request goes on at once, and what becomes of that is what the sender is told. A `Worker` is
/// used by one thread at a time.
package final class RequestConverter<Worker>: Sendable {
    /// A request and how many items it has; nil when nothing is to be sent.
    package typealias Made = (bytes: ByteBuffer, items: Int)?

    private struct Free: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): a worker is used by the thread that took it out.
        var workers: [Worker] = []
    }

    private let signal: Signal
    private let outputs: ConnectorOutputs
    private let ledger: MemoryLedger
    private let makeWorker: @Sendable () -> Worker
    private let convert: @Sendable (Worker, Batch, OutputAllowance) throws(Refusal) -> Made
    private let free = Mutex(Free())
    private let entered: Counter
    private let merged: Counter
    private let made: Counter
    private let left: Counter

    /// As many as loops are usual.
    private static var workersMax: Int { 8 }

    /// - Parameters:
    ///   - signal: what is made.
    ///   - convert: throws when the request is refused; tells the allowance what it makes, before.
    package init(
        _ context: ComponentContext, _ outputs: [PipelineOutput], to signal: Signal,
        worker: @escaping @Sendable () -> Worker,
        convert: @escaping @Sendable (Worker, Batch, OutputAllowance) throws(Refusal) -> Made
    ) {
        self.signal = signal
        self.outputs = ConnectorOutputs(outputs)
        ledger = context.ledger
        makeWorker = worker
        self.convert = convert
        entered = context.account.counter(.entered)
        merged = context.account.counter(.dropped(.merged))
        made = context.account.counter(.made)
        left = context.account.counter(.left)
    }

    /// The input of the connector that this is the node of.
    package func input(of connector: any Consumer) -> PipelineInput {
        let behind = outputs.input
        // A request of 1 MB with 500 exceptions took 120 ms.
        return PipelineInput(
            connector, admission: behind.admission, answersLater: behind.answersLater,
            largeBytes: min(behind.largeBytes, 128 << 10))
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        let result: Batch?
        do throws(Refusal) { result = try converted(batch) } catch { return error }
        guard let result else {
            batch.enter()
            entered.add(batch.items)
            merged.add(batch.items)
            batch.settle(.accepted)
            return nil
        }
        if let refusal = outputs.consume(result, entry: batch.entry, [made]) { return refusal }
        batch.entry = nil
        entered.add(batch.items)
        merged.add(batch.items)
        left.add(result.items)
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        entered.add(batch.items)
        merged.add(batch.items)
        // What cannot be converted is the same loss.
        guard let result = try? converted(batch) else { return batch.settle(.refused(refusal)) }
        made.add(result.items)
        left.add(result.items)
        outputs.drop(result, because: refusal)
    }

    private func converted(_ batch: Batch) throws(Refusal) -> Batch? {
        let worker = free.withLock { $0.workers.popLast() } ?? makeWorker()
        defer { free.withLock { if $0.workers.count < Self.workersMax { $0.workers.append(worker) } } }
        let allowance = OutputAllowance(ledger, requestBytes: batch.bytes)
        guard let (bytes, items) = try convert(worker, batch, allowance) else { return nil }
        let acknowledgement =
            batch.isAwaited
            ? Acknowledgement { outcome in
                // What a destination rejects of what was made says nothing of the items.
                if case .refused = outcome { batch.settle(outcome) } else { batch.settle(.accepted) }
            } : nil
        return Batch(
            signal, payload: Payload(bytes, ledger: ledger), items: items, acknowledgement: acknowledgement)
    }
}
