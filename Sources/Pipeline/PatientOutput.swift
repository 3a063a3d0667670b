package import Logging
package import NIOCore
import Synchronization

/// Hands on batches that nobody waits for any more, for components that answered for them when they took them.
///
/// What the next consumer refuses for a reason that may pass is kept and offered again; the component refuses what comes
/// while `isStuck`, so that what is kept stays small. What is refused for good is counted there as dropped. Event loop only,
/// but for `isStuck`.
package final class PatientOutput: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only, but for the atomic.
    private let next: any Consumer
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let left: Counter
    private let stuck = Atomic<Bool>(false)
    private var refused = CircularBuffer<Batch>()
    private var retryTimer: Scheduled<Void>?

    /// How soon the next consumer is asked again.
    private static let retryInterval = TimeAmount.milliseconds(20)

    /// - Parameter left: counts the items that are handed on, or given up on the next consumer's account.
    package init(_ next: any Consumer, eventLoop: any EventLoop, logger: Logger, left: Counter) {
        self.next = next
        self.eventLoop = eventLoop
        self.logger = logger
        self.left = left
    }

    /// Whether something waits that was refused. Any thread.
    package var isStuck: Bool { stuck.load(ordering: .relaxed) }

    /// What a component says to those who bring something while it is stuck.
    package static let takesNoMore = Refusal(
        .queueFull, "the exporters behind this component take no more for the moment")

    /// Hands a batch on, now or later.
    package func send(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard refused.isEmpty else { return refused.append(batch) }
        guard let refusal = hand(batch) else { return }
        guard Self.mayPass(refusal) else { return giveUp(batch, refusal) }
        stuck.store(true, ordering: .relaxed)
        logger.warning(
            "The exporters take no more; requests are refused until they do.",
            metadata: ["reason": "\(refusal.message)"])
        refused.append(batch)
        scheduleRetry()
    }

    /// Hands on what waits; what is still refused at `deadline` is given up.
    package func drain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        let promise = eventLoop.makePromise(of: Void.self)
        finish(deadline, promise)
        return promise.futureResult
    }

    /// Whether the same batch may be taken a while later.
    static func mayPass(_ refusal: Refusal) -> Bool {
        !refusal.isPermanent && refusal.reason != .shuttingDown
    }

    private func hand(_ batch: Batch) -> Refusal? {
        let items = batch.items
        if let refusal = next.consume(batch) { return refusal }
        left.add(items)
        return nil
    }

    private func giveUp(_ batch: Batch, _ refusal: Refusal) {
        batch.enter()
        left.add(batch.items)
        next.drop(batch, because: refusal)
    }

    private func scheduleRetry() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        retryTimer = eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.retry() }
    }

    private func retry() {
        while let batch = refused.first {
            if let refusal = hand(batch) {
                guard !Self.mayPass(refusal) else { return scheduleRetry() }
                giveUp(batch, refusal)
            }
            refused.removeFirst()
        }
        if stuck.exchange(false, ordering: .relaxed) { logger.info("The exporters take data again.") }
    }

    private func finish(_ deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        retryTimer?.cancel()
        if !refused.isEmpty { retry() }
        if !refused.isEmpty, eventLoop.now < deadline {
            retryTimer?.cancel()
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.finish(deadline, promise) }
            return
        }
        retryTimer?.cancel()
        let tooLate = Refusal(.shuttingDown, "the gateway stopped before the exporters took the batch")
        while let batch = refused.popFirst() { giveUp(batch, tooLate) }
        promise.succeed()
    }
}
