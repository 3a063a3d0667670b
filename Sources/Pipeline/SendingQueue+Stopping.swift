internal import Logging
package import NIOCore
import Synchronization

// How a queue ends. Event loop only, but for the first two.

extension SendingQueue {
    /// Sends what it holds, each batch once more without retries, until `deadline`; then gives up the rest, counts it,
    /// and says how much it was. What is stored stays stored instead. Once; any thread.
    /// - Returns: the items that no destination has because the gateway stopped.
    package func drain(until deadline: NIODeadline) async -> Int {
        let left = try? await beginDrain(until: deadline).get()
        return left ?? 0
    }

    /// `drain` for callers that do not wait.
    package func beginDrain(until deadline: NIODeadline) -> EventLoopFuture<Int> {
        // Whoever comes after this is refused; what came before is seen by the hop to the loop.
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit { self.drainOnLoop(until: deadline) }
    }

    private func drainOnLoop(until deadline: NIODeadline) -> EventLoopFuture<Int> {
        eventLoop.preconditionInEventLoop()
        let handedOver = whenEmpty.take()
        state.apply(.drain)
        flushAccumulator()
        mailbox.drainNow()
        if disk != nil {
            releaseWaiting()
        } else {
            for work in active.values {
                guard let timer = work.timer else { continue }
                timer.cancel()
                attempt(work)
            }
        }
        let empty = emptied()
        if let handedOver { empty.cascade(to: handedOver) }
        if whenEmpty != nil {
            let lastMoment = eventLoop.scheduleTask(deadline: deadline) { self.giveUp() }
            empty.whenComplete { _ in lastMoment.cancel() }
        }
        return empty.flatMap { self.sender.close() }.flatMap { self.closeDisk() }
            .map { self.givenUp.load(ordering: .relaxed) }
    }

    private func giveUp() {
        let empty = whenEmpty.take()
        let left = Array(active.values) + waiting
        active.removeAll()
        waiting.removeAll()
        for work in left {
            if disk != nil { release(work) } else { giveUp(work, isAnswered: !waitsForDestination) }
        }
        empty?.succeed()
    }

    func giveUp(_ work: Work, isAnswered: Bool) {
        let delivered = sender.itemsDelivered(of: work.batch)
        counters.sent.add(delivered)
        givenUp.add(work.batch.items - delivered, ordering: .relaxed)
        counters.dropped.add(work.batch.items - delivered)
        forget(work)
        guard !isAnswered else { return }
        work.batch.settle(
            .refused(Refusal(.shuttingDown, "the gateway stopped before exporter \(name) sent it")))
    }
}
