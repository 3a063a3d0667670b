package import NIOCore
package import Pipeline

/// Puts batches of one signal into the exporter's file: the last stage of `file`. Event loop of its queue only.
///
/// An attempt has no time limit (`deadline` is not observed), because writing cannot be called back.
package final class FileSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    /// A stop does not wait longer for a disk that does not answer.
    private static let closeTimeout = TimeAmount.seconds(2)

    private let writer: FileWriter
    private let eventLoop: any EventLoop

    /// - Parameters:
    ///   - writer: shared by the senders of the exporter's signals.
    ///   - eventLoop: the sending queue's.
    package init(_ writer: FileWriter, eventLoop: any EventLoop) {
        self.writer = writer
        self.eventLoop = eventLoop
        writer.open()
    }

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        writer.write(batch) { [eventLoop] result in
            eventLoop.execute {
                switch result {
                case .written: bound.value(.sent(rejectedItems: 0, message: ""))
                case .failed(let message): bound.value(.retryable(message, after: nil))
                }
            }
        }
    }

    package func close() -> EventLoopFuture<Void> {
        eventLoop.preconditionInEventLoop()
        let closed = eventLoop.makePromise(of: Void.self)
        let timeout = eventLoop.scheduleTask(in: Self.closeTimeout) { closed.succeed() }
        writer.close { [eventLoop] in
            eventLoop.execute {
                timeout.cancel()
                closed.succeed()
            }
        }
        return closed.futureResult
    }
}
