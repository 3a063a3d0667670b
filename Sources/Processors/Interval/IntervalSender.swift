internal import Configuration
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline
import Synchronization

/// Hands on what `Interval` held. What nobody takes for the moment waits for the next second, oldest first; of too much the
/// oldest is given up. Used on the component's event loop.
final class IntervalSender: Sendable {
    private struct State {
        var waiting: [Batch] = []
        var turn = 0
        var isFinished = false
        var isTold = false
    }

    /// Requests that may wait.
    private static let waitingMax = 16

    private let behind: PipelineInput
    private let ledger: MemoryLedger
    private let secondsPerBucket: Int
    private let made: Counter
    private let left: Counter
    private let dropped: Counter
    private let logger: Logger
    private let state = Mutex(State())

    init(_ context: ComponentContext, next: PipelineInput, secondsPerBucket: Int) {
        behind = next
        ledger = context.ledger
        self.secondsPerBucket = secondsPerBucket
        made = context.account.counter(.made)
        left = context.account.counter(.left)
        dropped = context.account.counter(.dropped(.refused))
        logger = context.logger
    }

    /// What has its turn now; nil after `finish`. Once a second.
    func nextTurn() -> (number: Int, isDue: Bool)? {
        let turn: Int? = state.withLock { state in
            guard !state.isFinished else { return nil }
            state.turn += 1
            return state.turn
        }
        retry()
        return turn.map { ($0 / secondsPerBucket, $0 % secondsPerBucket == 0) }
    }

    /// Hands a request on.
    func send(_ request: [UInt8]?) {
        guard let request else { return }
        let items = unsafe request.withUnsafeBytes { bytes in
            do throws(WireError) {
                return unsafe try summarize(bytes, as: .metrics).items
            } catch {
                preconditionFailure("held points do not make a valid request: \(error)")
            }
        }
        let batch = Batch(
            .metrics, payload: Payload(ByteBuffer(bytes: request), ledger: ledger), items: items)
        made.add(items)
        let givenUp: Batch? = state.withLock { state in
            state.waiting.append(batch)
            return state.waiting.count > Self.waitingMax ? state.waiting.removeFirst() : nil
        }
        if let givenUp { give(up: givenUp) }
        retry()
    }

    private func retry() {
        while let batch = state.withLock({ $0.waiting.first }) {
            let items = batch.items
            if let refusal = behind.consumer.consume(batch) {
                let isNew = state.withLock { state in
                    defer { state.isTold = true }
                    return !state.isTold
                }
                if isNew {
                    logger.warning("Metrics export failed, tried again each second: \(refusal.message)")
                }
                guard refusal.isPermanent else { return }
                state.withLock { _ = $0.waiting.removeFirst() }
                give(up: batch)
                continue
            }
            left.add(items)
            state.withLock { state in
                state.waiting.removeFirst()
                state.isTold = false
            }
        }
    }

    private func give(up batch: Batch) {
        dropped.add(batch.items)
        logger.error("\(batch.items) points that were held are given up: nobody behind takes them")
    }

    /// Gives up what still waits.
    func finish() -> Remainder {
        retry()
        let waiting = state.withLock { state in
            state.isFinished = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for batch in waiting { give(up: batch) }
        return Remainder(items: waiting.reduce(0) { $0 + $1.items })
    }
}
