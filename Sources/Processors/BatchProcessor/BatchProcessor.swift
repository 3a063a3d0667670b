internal import Configuration
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization

/// Gathers requests until they are worth sending: `batch`.
///
/// `consume` from any thread: a batch from the processor's own event loop is appended at once, others come through a
/// lock-free ring. Everything else happens on that loop; what gathers is `BatchAccumulator`. The loop is not woken for what
/// comes while a batch waits for its time: it takes that with the next request of its own, when the time has come, or when
/// it is enough.
///
/// When the next consumer refuses a full batch for a reason that may pass, the processor keeps it, asks again, and
/// refuses what comes: the clients are slowed down instead of losing what was acknowledged.
package final class BatchProcessor: Consumer, AdmissionControl, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    private let behind: PipelineInput
    private let next: any Consumer
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let metrics: BatchMetrics
    /// Combinations of metadata that may wait at a time.
    private let limit: Int
    private let keepsApart: Bool
    private let accepting = Atomic<Bool>(true)
    private let stuck = Atomic<Bool>(false)
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    private var accumulator: BatchAccumulator!
    /// Batches that the next consumer has refused for now, oldest first.
    private var refused = CircularBuffer<Batch>()
    private var retryTimer: Scheduled<Void>?
    private var drained = false
    /// Combinations of metadata as the page of metrics shows them.
    private var combinationsShown = 0
    private var tellsOfRejection = true

    /// Requests that may wait for the loop.
    private static let mailboxRequests = 8192
    /// Items that may wait there while the loop sleeps: so many requests, at most.
    private static let mailboxItems = mailboxRequests / 4
    /// How soon the next consumer is asked again.
    private static let retryInterval = TimeAmount.milliseconds(20)

    /// - Parameter next: what gets the batches. The pending one is owned by the context's event loop.
    package init(_ config: BatchConfig, _ context: ComponentContext, next: PipelineInput) {
        behind = next
        self.next = next.consumer
        eventLoop = context.eventLoop
        logger = context.logger
        metrics = BatchMetrics(context)
        keepsApart = !config.metadataKeys.isEmpty
        var limits = BatchAccumulator.Limits(
            timeout: TimeAmount(config.timeout), minSize: config.sendBatchSize,
            maxSize: config.sendBatchMaxSize)
        limits.metadataKeys = config.metadataKeys
        limit = config.metadataCardinalityLimit == 0 ? .max : config.metadataCardinalityLimit
        limits.combinationsMax = limit
        accumulator = BatchAccumulator(
            limits, signal: context.signal, eventLoop: eventLoop,
            whenDue: { [unowned self] send in
                // No more than may have waited for this; what was too much has woken the loop, and is taken in turns.
                mailbox.drainNow(atMost: Self.mailboxItems)
                send()
                mailbox.takeAll()
            },
            emit: { [unowned self] batch, _, trigger in
                (trigger == .size ? metrics.sizeTriggered : metrics.timeoutTriggered).add(1)
                showCombinations()
                self.send(batch)
            })
        mailbox = Mailbox(
            capacity: Self.mailboxRequests, owner: self, eventLoop: eventLoop,
            patience: { [unowned self] in min(accumulator.itemsToCome, Self.mailboxItems) },
            receive: { [unowned self] in append($0) })
        // Without keys all clients are one combination, as the Collector counts.
        if !keepsApart { metrics.combinations.add(1) }
    }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        if stuck.load(ordering: .relaxed) {
            return Refusal(.queueFull, "the exporters behind the batch processor take no more for the moment")
        }
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "the gateway is stopping")
        }
        if eventLoop.inEventLoop {
            take(batch)
            append(batch)
            mailbox.takeAll()
        } else if !mailbox.post(batch, weight: batch.items, claimed: { take(batch) }) {
            return Refusal(.queueFull, "\(Self.mailboxRequests) requests wait for the batch processor")
        }
        return nil
    }

    package var input: PipelineInput {
        var input = behind.behind(self, admission: [self])
        // A client that waited for its batch to be full would send no more meanwhile.
        input.pacesClients = false
        input.largeBytes = .max
        return input
    }

    /// While the loop is behind with what other loops have taken, it catches up: they would refuse soon.
    package var shouldPause: Bool { mailbox.isHalfFull }

    private func take(_ batch: Batch) {
        batch.enter()
        metrics.incoming.add(batch.items)
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        metrics.incoming.add(batch.items)
        metrics.givenUp.add(batch.items)
        next.drop(batch, because: refusal)
    }

    // MARK: - On the event loop

    private func append(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard !drained else {
            // Enqueued after the last drain, by a producer that had been let in before it.
            give(up: batch, because: Self.tooLate)
            return
        }
        accumulator.append(batch) { batch, _ in reject(batch) }
        showCombinations()
    }

    private func showCombinations() {
        guard keepsApart else { return }
        metrics.combinations.add(accumulator.combinations - combinationsShown)
        combinationsShown = accumulator.combinations
        if combinationsShown <= limit / 2 { tellsOfRejection = true }
    }

    private func reject(_ batch: Batch) {
        if tellsOfRejection {
            tellsOfRejection = false
            logger.error(
                "Too many combinations of metadata_keys wait. Dropping data of further ones until half are gone.",
                metadata: [
                    "metadata_cardinality_limit": "\(limit)", "dropped_items": "\(batch.items)",
                ])
        }
        give(up: batch, because: Self.tooManyClients)
    }

    private static let tooManyClients = Refusal(
        .rejected, "too many batcher metadata-value combinations (metadata_cardinality_limit)",
        isPermanent: true)

    private func send(_ batch: Batch) {
        metrics.sendSize.observe(Double(batch.items))
        metrics.sendBytes?.observe(Double(batch.bytes))
        guard refused.isEmpty else {
            refused.append(batch)
            return
        }
        if let refusal = hand(batch) { keep(batch, refusal) }
    }

    private func hand(_ batch: Batch) -> Refusal? {
        let items = batch.items
        if let refusal = next.consume(batch) { return refusal }
        metrics.outgoing.add(items)
        return nil
    }

    /// Counts a batch that was taken and that nobody behind takes, where it should have come to.
    private func give(up batch: Batch, because refusal: Refusal) {
        metrics.givenUp.add(batch.items)
        next.drop(batch, because: refusal)
    }

    private func keep(_ batch: Batch, _ refusal: Refusal) {
        guard !refusal.isPermanent, refusal.reason != .shuttingDown else {
            give(up: batch, because: refusal)
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
        eventLoop.preconditionInEventLoop()
        while let batch = refused.first {
            if let refusal = hand(batch) {
                if refusal.isPermanent || refusal.reason == .shuttingDown {
                    give(up: batch, because: refusal)
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
    /// Once; any thread.
    package func stop(until deadline: NIODeadline) async -> Remainder {
        // The future never fails: `finishDrain` only succeeds it.
        _ = try? await beginDrain(until: deadline).get()
        return Remainder()
    }

    /// `stop` for callers that do not wait.
    package func beginDrain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit { () -> EventLoopFuture<Void> in
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.finishDrain(deadline, promise)
            return promise.futureResult
        }
    }

    private static let tooLate = Refusal(
        .shuttingDown, "the gateway stopped before the exporters took the batch")

    private func finishDrain(_ deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        eventLoop.preconditionInEventLoop()
        mailbox.drainNow()
        accumulator.flush()
        if !refused.isEmpty, eventLoop.now < deadline {
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            eventLoop.scheduleTask(in: Self.retryInterval) { bound.value.finishDrain(deadline, promise) }
            return
        }
        retryTimer?.cancel()
        drained = true
        // Nothing waits for its time any more: what comes now wakes the loop.
        mailbox.takeAll()
        while let batch = refused.popFirst() { give(up: batch, because: Self.tooLate) }
        promise.succeed()
    }
}

/// What the processor counts, under the Collector's names.
private struct BatchMetrics {
    let sizeTriggered: Counter
    let timeoutTriggered: Counter
    let sendSize: Histogram
    let combinations: Gauge

    let sendBytes: Histogram?
    let incoming: Counter
    let outgoing: Counter
    /// Handed on as lost: the exporters count it as dropped.
    let givenUp: Counter

    init(_ context: ComponentContext) {
        let registry = context.registry
        let labels: MetricLabels = ["processor": context.name]
        let bySignal = labels.adding("otel_signal", context.signal.name)
        incoming = context.account.counter(
            .entered, "otelcol_processor_incoming_items", help: "Items that the processor took.",
            labels: bySignal)
        outgoing = context.account.counter(
            .left, "otelcol_processor_outgoing_items", help: "Items that the processor sent on.",
            labels: bySignal)
        givenUp = context.account.counter(.left)
        sizeTriggered = registry.counter(
            "otelcol_processor_batch_batch_size_trigger_send", help: "Batches sent because they were full.",
            labels: labels)
        timeoutTriggered = registry.counter(
            "otelcol_processor_batch_timeout_trigger_send", help: "Batches sent because their time was over.",
            labels: labels)
        sendSize = registry.histogram(
            "otelcol_processor_batch_batch_send_size", help: "Items a batch.", bounds: Histogram.itemBounds,
            labels: labels)
        combinations = registry.gauge(
            "otelcol_processor_batch_metadata_cardinality",
            help: "Combinations of the values of metadata_keys of which something waits.", labels: labels)
        sendBytes =
            context.gateway.isDetailed
            ? registry.histogram(
                "otelcol_processor_batch_batch_send_size_bytes", help: "Bytes a batch, not compressed.",
                bounds: Histogram.byteBounds, labels: labels) : nil
    }
}
