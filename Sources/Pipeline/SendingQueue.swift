internal import Configuration
package import Logging
package import NIOCore
package import OTLP
import Synchronization

/// How one attempt to send a batch ended.
package enum SendResult: Sendable {
    /// The destination has it, but for `rejectedItems`.
    case sent(rejectedItems: Int, message: String)
    /// It may work later; `after` is the destination's own wish.
    case retryable(String, after: TimeAmount?)
    /// It will never work.
    case permanent(String)
}

/// What a sending queue stands before: one destination. Event loop of its queue only.
package protocol BatchSender: AnyObject {
    /// Sends a batch. Calls `done` exactly once, on the event loop, at the latest when `deadline` passes; never inside
    /// the call itself.
    func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void)
    /// Lets go of connections. Attempts under way end as retryable.
    func close() -> EventLoopFuture<Void>
}

/// Keeps the batches of one exporter and signal until the destination has them (`sending_queue`, `retry_on_failure`).
///
/// `consume` from any thread; everything else happens on one event loop. At most `num_consumers` batches are with the
/// sender or wait for another attempt; the others wait in order. A batch counts towards `queue_size` until it is done.
package final class SendingQueue: Consumer, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    /// What a queue counts, in items.
    package struct Counters: Sendable {
        /// The destination has them.
        package let sent: Counter
        /// Given up after the destination was asked.
        package let failed: Counter
        /// Never asked for: the queue was full or the gateway stopped.
        package let dropped: Counter

        /// Registers the counters of an exporter and signal under the Collector's names.
        package init(_ registry: MetricRegistry, exporter: String, signal: Signal) {
            let labels: MetricLabels = ["exporter": exporter]
            sent = registry.counter(
                "otelcol_exporter_sent_\(signal.itemNoun)", help: "Items that the destination took.",
                labels: labels)
            failed = registry.counter(
                "otelcol_exporter_send_failed_\(signal.itemNoun)",
                help: "Items given up after the destination refused them or could not be reached.",
                labels: labels)
            dropped = registry.counter(
                "otelcol_exporter_enqueue_failed_\(signal.itemNoun)",
                help: "Accepted items that the exporter's queue did not take.", labels: labels)
        }
    }

    private final class Work {
        let batch: Batch
        let weight: Int
        /// From the first attempt on: time spent waiting for a turn is not time spent trying.
        var backoff: Backoff?
        var timer: Scheduled<Void>?

        init(_ batch: Batch, weight: Int) {
            self.batch = batch
            self.weight = weight
        }
    }

    private let name: String
    private let config: SendingQueueConfig
    private let retry: RetryConfig
    private let timeout: TimeAmount
    private let sender: any BatchSender
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let counters: Counters
    private let size = Atomic<Int>(0)
    private let accepting = Atomic<Bool>(true)
    private var mailbox: Mailbox<Batch>!
    private let full: Refusal

    // Event loop only.
    private var waiting = CircularBuffer<Work>()
    private var active: [ObjectIdentifier: Work] = [:]
    private var stopping = false
    private var troubled = false
    private var stopped = false
    private var givenUp = 0
    private var whenEmpty: EventLoopPromise<Void>?

    /// - Parameters:
    ///   - name: the exporter's id, for messages.
    ///   - timeout: of one attempt.
    package init(
        name: String, config: SendingQueueConfig, retry: RetryConfig, timeout: TimeAmount,
        sender: any BatchSender,
        counters: Counters, eventLoop: any EventLoop, logger: Logger
    ) {
        self.name = name
        self.config = config
        self.retry = retry
        self.timeout = timeout
        self.sender = sender
        self.counters = counters
        self.eventLoop = eventLoop
        self.logger = logger
        full = Refusal(
            .queueFull,
            "sending queue of exporter \(name) is full: queue_size \(config.queueSize) \(config.sizer.rawValue)"
        )
        mailbox = Mailbox(
            capacity: min(config.queueSize, 1 << 16), eventLoop: eventLoop
        ) { [unowned self] batch in self.enqueue(batch) }
    }

    /// Whether the client's answer waits for the destination's.
    package var answersLater: Bool { config.waitForResult || !config.enabled }

    /// What the queue holds, in the unit of `sizer`.
    package var currentSize: Int { size.load(ordering: .relaxed) }

    /// What the queue may hold, in the unit of `sizer`.
    package var capacity: Int { config.queueSize }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "exporter \(name) is stopping")
        }
        let weight = weight(of: batch)
        guard reserve(weight) else { return full }
        guard mailbox.post(batch) else {
            size.subtract(weight, ordering: .relaxed)
            return full
        }
        return nil
    }

    /// Takes room, or changes nothing: a large batch that does not fit must not make a small one fail that would.
    private func reserve(_ weight: Int) -> Bool {
        var before = size.load(ordering: .relaxed)
        while true {
            // A batch larger than the whole queue still gets in when it is empty: refusing it would be for ever.
            guard before == 0 || weight <= config.queueSize - before else { return false }
            let (reserved, now) = size.weakCompareExchange(
                expected: before, desired: before + weight, ordering: .relaxed)
            if reserved { return true }
            before = now
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        counters.dropped.add(batch.items)
        batch.settle(.refused(refusal))
    }

    private func weight(of batch: Batch) -> Int {
        // At least 1, so that batches without items take room, too.
        switch config.sizer {
        case .requests: 1
        case .items: max(1, batch.items)
        case .bytes: max(1, batch.bytes)
        }
    }

    // MARK: - On the event loop

    private func enqueue(_ batch: Batch) {
        let work = Work(batch, weight: weight(of: batch))
        if stopped {
            // Its producer passed the door before `drain` shut it, and put the batch down after the last look.
            giveUp(work, isAnswered: false)
            return
        }
        if !answersLater { batch.settle(.accepted) }
        waiting.append(work)
        startWork()
    }

    private func startWork() {
        while active.count < config.numConsumers, let work = waiting.popFirst() {
            active[ObjectIdentifier(work)] = work
            work.backoff = Backoff(retry, now: eventLoop.now)
            attempt(work)
        }
    }

    private func attempt(_ work: Work) {
        work.timer = nil
        let deadline = timeout > .zero ? eventLoop.now + timeout : .distantFuture
        sender.send(work.batch, deadline: deadline) { [self] result in
            eventLoop.assertInEventLoop()
            attempted(work, result)
        }
    }

    private func attempted(_ work: Work, _ result: SendResult) {
        // Given up in the meantime, and counted so.
        guard active[ObjectIdentifier(work)] != nil else { return }
        switch result {
        case .sent(let rejected, let message):
            let rejected = min(max(rejected, 0), work.batch.items)
            counters.sent.add(work.batch.items - rejected)
            if rejected > 0 {
                counters.failed.add(rejected)
                logger.warning(
                    "Partial success: the destination rejected items, which are not retried.",
                    metadata: ["rejected": "\(rejected)", "message": "\(message)"])
            }
            if troubled {
                troubled = false
                logger.info("Exporting works again.")
            }
            finish(work, rejected > 0 ? .partial(rejectedItems: rejected, message: message) : .accepted)
        case .permanent(let message):
            logger.error(
                "Exporting failed. Dropping data.",
                metadata: [
                    "error": "\(message)", "dropped_items": "\(work.batch.items)", "permanent": "true",
                ])
            fail(work, Refusal(.rejected, message, isPermanent: true))
        case .retryable(let message, let hint):
            retryLater(work, message, hint)
        }
    }

    private func retryLater(_ work: Work, _ message: String, _ hint: TimeAmount?) {
        guard retry.enabled, !stopping else {
            logger.error(
                "Exporting failed. Dropping data.",
                metadata: [
                    "error": "\(message)", "dropped_items": "\(work.batch.items)",
                    "cause": stopping ? "the gateway is stopping" : "retry_on_failure.enabled is false",
                ])
            if stopping { givenUp += work.batch.items }
            fail(work, Refusal(.unavailable, message))
            return
        }
        guard let delay = work.backoff?.next(hint: hint, now: eventLoop.now, random: .random(in: 0..<1))
        else {
            logger.error(
                "Exporting failed. No more retries left. Dropping data.",
                metadata: [
                    "error": "\(message)", "dropped_items": "\(work.batch.items)",
                    "limit": "retry_on_failure.max_elapsed_time \(retry.maxElapsedTime)",
                ])
            fail(work, Refusal(.retriesExhausted, message))
            return
        }
        if !troubled {
            troubled = true
            logger.warning(
                "Exporting failed. Will retry the request after interval.",
                metadata: ["error": "\(message)", "interval": "\(delay.nanoseconds / 1_000_000)ms"])
        }
        let bound = NIOLoopBound((self, work), eventLoop: eventLoop)
        work.timer = eventLoop.scheduleTask(in: delay) {
            let (queue, work) = bound.value
            queue.attempt(work)
        }
    }

    private func fail(_ work: Work, _ refusal: Refusal) {
        let delivered = sender.itemsDelivered(of: work.batch)
        counters.sent.add(delivered)
        counters.failed.add(work.batch.items - delivered)
        finish(work, .refused(refusal))
    }

    private func finish(_ work: Work, _ outcome: Outcome) {
        active[ObjectIdentifier(work)] = nil
        size.subtract(work.weight, ordering: .relaxed)
        if answersLater { work.batch.settle(outcome) }
        startWork()
        if active.isEmpty, waiting.isEmpty {
            whenEmpty?.succeed()
            whenEmpty = nil
        }
    }

    // MARK: - Stopping

    /// Sends what it holds, each batch once more without retries, until `deadline`; then gives up the rest, counts it,
    /// and says how much it was. Once; any thread.
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
        stopping = true
        mailbox.drainNow()
        for work in active.values {
            guard let timer = work.timer else { continue }
            timer.cancel()
            attempt(work)
        }
        let empty = eventLoop.makePromise(of: Void.self)
        if active.isEmpty, waiting.isEmpty {
            empty.succeed()
        } else {
            whenEmpty = empty
            let lastMoment = eventLoop.scheduleTask(deadline: deadline) { self.giveUp() }
            empty.futureResult.whenComplete { _ in lastMoment.cancel() }
        }
        return empty.futureResult.flatMap {
            self.stopped = true
            return self.sender.close()
        }.map { self.givenUp }
    }

    private func giveUp() {
        let left = Array(active.values) + waiting
        active.removeAll()
        waiting.removeAll()
        for work in left { giveUp(work, isAnswered: !answersLater) }
        whenEmpty?.succeed()
        whenEmpty = nil
    }

    private func giveUp(_ work: Work, isAnswered: Bool) {
        let delivered = sender.itemsDelivered(of: work.batch)
        givenUp += work.batch.items - delivered
        counters.sent.add(delivered)
        counters.dropped.add(work.batch.items - delivered)
        size.subtract(work.weight, ordering: .relaxed)
        guard !isAnswered else { return }
        work.batch.settle(
            .refused(Refusal(.shuttingDown, "the gateway stopped before exporter \(name) sent it")))
    }
}
