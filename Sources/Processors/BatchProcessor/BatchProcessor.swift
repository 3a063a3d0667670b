internal import Configuration
package import Logging
package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// Gathers requests until they are worth sending: `batch`.
///
/// `consume` from any thread: a batch from the processor's own event loop is appended at once, others come through a
/// lock-free ring. Everything else happens on that loop. Merging appends slices; bytes are not copied.
///
/// When the next consumer refuses a full batch for a reason that may pass, the processor keeps it, asks again, and
/// refuses what comes: the clients are slowed down instead of losing what was acknowledged.
package final class BatchProcessor: Consumer, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    private let config: BatchConfig
    private let signal: Signal
    private let next: any Consumer
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let metrics: BatchMetrics
    private let accepting = Atomic<Bool>(true)
    private let stuck = Atomic<Bool>(false)
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    private var pending: Batch
    private var timer: Scheduled<Void>?
    private var slicesExpected = 0
    /// Batches that the next consumer has refused for now, oldest first.
    private var refused = CircularBuffer<Batch>()
    private var retryTimer: Scheduled<Void>?
    private var drained = false

    /// Requests that may wait for the loop.
    private static let mailboxRequests = 8192
    /// How soon the next consumer is asked again.
    private static let retryInterval = TimeAmount.milliseconds(20)

    /// - Parameter eventLoop: the loop that owns the pending batch.
    package init(
        name: String, config: BatchConfig, signal: Signal, next: any Consumer, eventLoop: any EventLoop,
        registry: MetricRegistry, logger: Logger
    ) {
        self.config = config
        self.signal = signal
        self.next = next
        self.eventLoop = eventLoop
        self.logger = logger
        metrics = BatchMetrics(registry, processor: name)
        pending = Batch(signal)
        mailbox = Mailbox(capacity: Self.mailboxRequests, eventLoop: eventLoop) { [unowned self] batch in
            self.append(batch)
        }
    }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        if stuck.load(ordering: .relaxed) {
            return Refusal(.queueFull, "the exporters behind the batch processor take no more for the moment")
        }
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "the gateway is stopping")
        }
        if eventLoop.inEventLoop {
            append(batch)
            return nil
        }
        return mailbox.post(batch)
            ? nil : Refusal(.queueFull, "\(Self.mailboxRequests) requests wait for the batch processor")
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        next.drop(batch, because: refusal)
    }

    // MARK: - On the event loop

    private func append(_ batch: Batch) {
        guard !drained else {
            // Its producer passed the door before `drain` shut it, and put the batch down after the last look.
            next.drop(batch, because: Self.tooLate)
            return
        }
        if pending.sliceCount == 0 {
            pending = Batch(signal, reservingSlices: slicesExpected)
            if !sendsAtOnce { startTimer() }
        }
        pending.append(contentsOf: batch)
        if sendsAtOnce {
            flush(metrics.sizeTriggered)
        } else if pending.items >= config.sendBatchSize {
            flush(metrics.sizeTriggered, leaving: config.sendBatchSize)
        }
    }

    /// Without a time or a size to wait for, nothing waits: what is left over of a split does not, either.
    private var sendsAtOnce: Bool { config.timeout == .zero || config.sendBatchSize == 0 }

    /// Sends what is pending, but for a remainder of fewer than `leaving` items that a split left over.
    /// - Parameter trigger: counts the batches.
    private func flush(_ trigger: Counter, leaving: Int = 0) {
        timer?.cancel()
        timer = nil
        let batch = pending
        slicesExpected = batch.sliceCount
        pending = Batch(signal)
        guard config.sendBatchMaxSize > 0, batch.items > config.sendBatchMaxSize else {
            trigger.add(1)
            send(batch)
            return
        }
        // Every piece but the last has exactly the greatest size.
        for piece in batch.cut(maxItems: config.sendBatchMaxSize) {
            if piece.items < leaving {
                pending = piece
                startTimer()
            } else {
                trigger.add(1)
                send(piece)
            }
        }
    }

    private func startTimer() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: TimeAmount(config.timeout)) {
            let processor = bound.value
            guard processor.pending.sliceCount > 0 else { return }
            processor.flush(processor.metrics.timeoutTriggered)
        }
    }

    private func send(_ batch: Batch) {
        metrics.sendSize.observe(Double(batch.items))
        guard refused.isEmpty else {
            refused.append(batch)
            return
        }
        if let refusal = next.consume(batch) { keep(batch, refusal) }
    }

    private func keep(_ batch: Batch, _ refusal: Refusal) {
        guard !refusal.isPermanent, refusal.reason != .shuttingDown else {
            next.drop(batch, because: refusal)
            return
        }
        if !stuck.exchange(true, ordering: .relaxed) {
            logger.warning(
                "The exporters take no more; requests are refused until they do.",
                metadata: ["reason": "\(refusal.message)"])
        }
        refused.append(batch)
        scheduleRetry()
    }

    private func scheduleRetry() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        retryTimer = eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.retry() }
    }

    private func retry() {
        while let batch = refused.first {
            if let refusal = next.consume(batch) {
                if refusal.isPermanent || refusal.reason == .shuttingDown {
                    next.drop(batch, because: refusal)
                } else {
                    scheduleRetry()
                    return
                }
            }
            refused.removeFirst()
        }
        stuck.store(false, ordering: .relaxed)
        logger.info("The exporters take data again.")
    }

    // MARK: - Stopping

    /// Hands everything on that it holds; what the next consumer still refuses at `deadline` is dropped and counted.
    /// Receivers must have stopped. Once; any thread.
    package func drain(until deadline: NIODeadline) async {
        // The future never fails: `finishDrain` only succeeds it.
        _ = try? await beginDrain(until: deadline).get()
    }

    /// `drain` for callers that do not wait.
    package func beginDrain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit { () -> EventLoopFuture<Void> in
            self.mailbox.drainNow()
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.finishDrain(deadline, promise)
            return promise.futureResult
        }
    }

    private static let tooLate = Refusal(
        .shuttingDown, "the gateway stopped before the exporters took the batch")

    private func finishDrain(_ deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        if pending.sliceCount > 0 { flush(metrics.timeoutTriggered) }
        if !refused.isEmpty, eventLoop.now < deadline {
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.finishDrain(deadline, promise) }
            return
        }
        retryTimer?.cancel()
        drained = true
        while let batch = refused.popFirst() { next.drop(batch, because: Self.tooLate) }
        promise.succeed()
    }
}

/// What the processor counts, under the Collector's names.
private struct BatchMetrics {
    let sizeTriggered: Counter
    let timeoutTriggered: Counter
    let sendSize: Histogram

    private static let bounds: [Double] =
        [10, 25, 50, 75, 100, 250, 500, 750] + (1...10).map { Double($0) * 1000 } + [
            20000, 30000, 50000, 100_000,
        ]

    init(_ registry: MetricRegistry, processor: String) {
        let labels: MetricLabels = ["processor": processor]
        sizeTriggered = registry.counter(
            "otelcol_processor_batch_batch_size_trigger_send", help: "Batches sent because they were full.",
            labels: labels)
        timeoutTriggered = registry.counter(
            "otelcol_processor_batch_timeout_trigger_send", help: "Batches sent because their time was over.",
            labels: labels)
        sendSize = registry.histogram(
            "otelcol_processor_batch_batch_send_size", help: "Items a batch.", bounds: Self.bounds,
            labels: labels)
    }
}
