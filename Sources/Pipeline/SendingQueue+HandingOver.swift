internal import Logging
package import NIOCore
import Synchronization

// How a queue ends whose destination is gone while the gateway goes on. Event loop only, but for `handOver`.

extension SendingQueue {
    /// Gives what waits to `successor`, at once; attempts under way go on, and what they do not deliver follows. Nothing
    /// is counted or settled here of what is handed over: it is the successor's. Once, not for queues with `storage`;
    /// any thread.
    ///
    /// - Parameter successor: takes batches, on the queue's event loop.
    /// - Returns: when nothing is left and the sender has let go of its connections.
    package func handOver(to successor: @escaping @Sendable (Batch) -> Void) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit { self.handOverOnLoop(to: successor) }
    }

    private func handOverOnLoop(to successor: @escaping @Sendable (Batch) -> Void) -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        precondition(disk == nil, "what is on disk is not handed over")
        guard case .running = state else { return eventLoop.makeSucceededVoidFuture() }
        state.apply(.handOver(to: successor))
        mailbox.drainNow()
        flushAccumulator()
        startWork()
        for work in active.values where work.timer != nil { handOver(work, to: successor) }
        return emptied().flatMap { self.sender.close() }
    }

    /// Lets go of a batch of which no attempt is under way.
    func handOver(_ work: Work, to successor: (Batch) -> Void) {
        // What the destination has of it is sent once more.
        _ = sender.itemsDelivered(of: work.batch)
        forget(work)
        successor(work.batch)
        wakeIfIdle()
    }
}
