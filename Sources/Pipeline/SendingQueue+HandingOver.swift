internal import Logging
package import NIOCore
import Synchronization

// How a queue ends whose destination is gone while the gateway goes on. Event loop only, but for `handOver`.

extension SendingQueue {
    /// Gives what waits to `heir`, at once; attempts under way go on, and what they do not deliver follows. Nothing is
    /// counted or settled here of what is handed over: it is the heir's. Once, not for queues with `storage`; any
    /// thread.
    ///
    /// - Parameter heir: takes batches, on the queue's event loop.
    /// - Returns: when nothing is left and the sender has let go of its connections.
    package func handOver(to heir: @escaping @Sendable (Batch) -> Void) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit { self.handOverOnLoop(to: heir) }
    }

    private func handOverOnLoop(to heir: @escaping (Batch) -> Void) -> EventLoopFuture<Void> {
        precondition(disk == nil, "what is on disk is not handed over")
        guard !stopping else { return eventLoop.makeSucceededVoidFuture() }
        self.heir = heir
        mailbox.drainNow()
        flushAccumulator()
        handOverWaiting()
        for work in active.values where work.timer != nil { handOver(work) }
        let empty = eventLoop.makePromise(of: Void.self)
        if isIdle { empty.succeed() } else { whenEmpty = empty }
        return empty.futureResult.flatMap {
            self.stopped = true
            return self.sender.close()
        }
    }

    func handOverWaiting() {
        while let work = waiting.popFirst() { handOver(work) }
    }

    /// Lets go of a batch of which no attempt is under way.
    func handOver(_ work: Work) {
        // What the destination has of it is sent once more.
        _ = sender.itemsDelivered(of: work.batch)
        work.timer?.cancel()
        work.timer = nil
        active[ObjectIdentifier(work)] = nil
        size.subtract(work.weight, ordering: .relaxed)
        heir?(work.batch)
        wakeIfIdle()
    }
}
