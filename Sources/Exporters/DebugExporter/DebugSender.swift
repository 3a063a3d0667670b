internal import Configuration
package import Logging
package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline

/// Shows batches of one signal to people: the last stage of `debug`.
///
/// Batches are written whole and in order, by a thread that all debug exporters share and nothing else uses: a
/// terminal that stands still holds up no event loop and no other exporter. What waits, waits in the sending queue.
/// Output is local, so there are no retries and attempts have no time limit (`deadline` is not observed). A batch
/// that could not be written counts as failed, one that sampling leaves out as sent. Event loop only.
package final class DebugSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere, then used on `eventLoop` only.
    /// Never shut down: it lives as long as the process, and its thread starts with the first debug exporter.
    private static let thread: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return pool
    }()

    private let printer: DebugPrinter
    private let eventLoop: any EventLoop
    private let clock: () -> NIODeadline
    private var sampler: DebugSampler

    /// Opens the output paths, if any.
    /// - Parameters:
    ///   - eventLoop: the sending queue's.
    ///   - clock: what sampling calls a second.
    /// - Throws: a path cannot be opened.
    package init(
        _ config: DebugConfig, signal: Signal, eventLoop: any EventLoop, logger: Logger,
        clock: @escaping () -> NIODeadline = NIODeadline.now
    ) throws(DebugOutputError) {
        let output: DebugOutput =
            config.useInternalLogger ? .log(logger) : .paths(try DebugPaths(config.outputPaths))
        printer = DebugPrinter(verbosity: config.verbosity, output: output)
        self.eventLoop = eventLoop
        self.clock = clock
        sampler = DebugSampler(initial: config.samplingInitial, thereafter: config.samplingThereafter)
    }

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        guard printer.isHeard, sampler.admits(at: clock()) else {
            eventLoop.execute { bound.value(.sent(rejectedItems: 0, message: "")) }
            return
        }
        Self.thread.runIfActive(eventLoop: eventLoop) { [printer] in
            printer.print(batch)
        }.whenComplete { result in
            switch result {
            case .success(nil): bound.value(.sent(rejectedItems: 0, message: ""))
            case .success(let error?): bound.value(.permanent("\(error)"))
            case .failure(let error): bound.value(.permanent("the debug output's thread is gone: \(error)"))
            }
        }
    }

    /// Does not wait for a write under way: it may be stuck, and its paths are closed when it returns.
    package func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}

extension DebugConfig {
    /// The queue before a debug exporter: as configured, and when `sending_queue` is off one of 1000 requests, too.
    ///
    /// Without a queue each client would wait until its telemetry was shown and, since an answer owes its worst
    /// outcome, one debug exporter would slow a pipeline down to the speed of a terminal. One batch at a time, so
    /// that batches are shown in the order in which they came.
    package var effectiveQueue: SendingQueueConfig {
        var queue = sendingQueue.enabled ? sendingQueue : SendingQueueConfig()
        queue.numConsumers = 1
        return queue
    }
}

/// Turns batches into text and writes it. One thread at a time.
struct DebugPrinter: Sendable {
    let verbosity: DebugConfig.Verbosity
    let output: DebugOutput

    /// Whether anybody reads what is printed.
    var isHeard: Bool {
        if case .log(let logger) = output { logger.logLevel <= .info } else { true }
    }

    /// Writes a batch: its summary, then, unless the verbosity is basic, its text, in parts of bounded size.
    /// - Returns: why it could not be written.
    func print(_ batch: Batch) -> DebugOutputError? {
        do throws(DebugOutputError) {
            let summary = BatchText.summary(of: batch)
            try output.write(summary: summary.title, summary.counts)
            guard verbosity != .basic else { return nil }
            var writer = TextWriter { [output] text throws(DebugOutputError) in try output.write(text) }
            BatchText.write(batch, detailed: verbosity == .detailed, to: &writer)
            if try writer.finish() { try output.writeEnd() }
            return nil
        } catch {
            return error
        }
    }
}
