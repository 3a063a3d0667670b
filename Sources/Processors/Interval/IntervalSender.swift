internal import Configuration
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline
import Synchronization

/// Hands on what `Interval` held, a part in each turn of the event loop. What nobody takes for the moment waits for the next
/// second, oldest first; of too much the oldest is given up. Used on the component's event loop.
final class IntervalSender: Sendable {
    private struct State {
        var leaving: [LeavingPoints] = []
        /// The part that nobody has taken yet.
        var waiting: Batch?
        var turn = 0
        var isFinished = false
        var isTold = false
        /// Whether the next part has its turn soon.
        var isUnderWay = false
    }

    /// Turns' points that may wait.
    private static let waitingMax = 16
    /// How soon it is tried again at a stop.
    private static let finishPause = TimeAmount.milliseconds(20)

    private let eventLoop: any EventLoop
    private let behind: PipelineInput
    private let ledger: MemoryLedger
    private let buckets: (count: Int, seconds: Int)
    private let made: Counter
    private let left: Counter
    private let dropped: Counter
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter buckets: how many have their turns in so many seconds.
    init(_ context: ComponentContext, next: PipelineInput, buckets: (count: Int, seconds: Int)) {
        eventLoop = context.eventLoop
        behind = next
        ledger = context.ledger
        self.buckets = buckets
        made = context.account.counter(.made)
        left = context.account.counter(.left)
        dropped = context.account.counter(.dropped(.refused))
        logger = context.logger
    }

    /// The bucket that has its turn now, if one has; nil after `finish`. Once a second.
    func nextTurn() -> (bucket: Int, isDue: Bool)? {
        let turn: Int? = state.withLock { state in
            guard !state.isFinished else { return nil }
            state.turn += 1
            return state.turn
        }
        sendOn()
        guard let turn else { return nil }
        let (number, before) = (
            turn * buckets.count / buckets.seconds, (turn - 1) * buckets.count / buckets.seconds
        )
        return (number % buckets.count, number > before)
    }

    /// Hands points on.
    func send(_ points: LeavingPoints?) {
        guard let points else { return }
        let givenUp: LeavingPoints? = state.withLock { state in
            state.leaving.append(points)
            return state.leaving.count > Self.waitingMax ? state.leaving.removeFirst() : nil
        }
        if let givenUp { give(up: givenUp) }
        sendOn()
    }

    /// Sends the part that waits, or the next one.
    private func sendOn() {
        guard !state.withLock({ $0.isUnderWay }), retry(), let batch = nextBatch() else { return }
        state.withLock { $0.waiting = batch }
        guard retry(), state.withLock({ !$0.leaving.isEmpty }) else { return }
        state.withLock { $0.isUnderWay = true }
        eventLoop.executeInTurn {
            self.state.withLock { $0.isUnderWay = false }
            self.sendOn()
        }
    }

    private func nextBatch() -> Batch? {
        while let points = state.withLock({ $0.leaving.first }) {
            let part = points.takeRequest()
            if points.count == 0 { state.withLock { _ = $0.leaving.removeFirst() } }
            guard let (bytes, count) = part else { continue }
            made.add(count)
            return Batch(.metrics, payload: Payload(ByteBuffer(bytes: bytes), ledger: ledger), items: count)
        }
        return nil
    }

    /// - Returns: whether no part waits any more.
    private func retry() -> Bool {
        guard let batch = state.withLock({ $0.waiting }) else { return true }
        let items = batch.items
        if let refusal = behind.consumer.consume(batch) {
            let isNew = state.withLock { state in
                defer { state.isTold = true }
                return !state.isTold
            }
            if isNew {
                logger.warning("Metrics export failed, tried again each second: \(refusal.message)")
            }
            guard refusal.isPermanent else { return false }
            give(up: batch)
        } else {
            left.add(items)
            state.withLock { $0.isTold = false }
        }
        state.withLock { $0.waiting = nil }
        return true
    }

    private func give(up points: LeavingPoints) {
        let total = points.count
        while let (_, count) = points.takeRequest() {
            made.add(count)
            dropped.add(count)
        }
        logger.error("\(total) points that were held are given up: nobody behind takes them")
    }

    private func give(up batch: Batch) {
        dropped.add(batch.items)
        logger.error("\(batch.items) points that were held are given up: nobody behind takes them")
    }

    /// Hands on these, too, part by part; gives up what nobody has taken at the deadline.
    func finish(_ points: [LeavingPoints], until deadline: NIODeadline) -> EventLoopFuture<Remainder> {
        state.withLock { state in
            state.leaving += points
            state.isFinished = true
        }
        let promise = eventLoop.makePromise(of: Remainder.self)
        finishOn(deadline, promise)
        return promise.futureResult
    }

    private func finishOn(_ deadline: NIODeadline, _ promise: EventLoopPromise<Remainder>) {
        let isFree = retry()
        if isFree, let batch = nextBatch() {
            state.withLock { $0.waiting = batch }
            return eventLoop.executeInTurn { self.finishOn(deadline, promise) }
        }
        guard !isFree else { return promise.succeed(Remainder()) }
        guard eventLoop.now >= deadline else {
            eventLoop.scheduleTask(in: Self.finishPause) { self.finishOn(deadline, promise) }
            return
        }
        let (waiting, leaving) = state.withLock { state in
            defer { (state.waiting, state.leaving) = (nil, []) }
            return (state.waiting, state.leaving)
        }
        let items = (waiting?.items ?? 0) + leaving.reduce(0) { $0 + $1.count }
        if let waiting { give(up: waiting) }
        for points in leaving { give(up: points) }
        promise.succeed(Remainder(items: items))
    }
}
