package import Configuration
package import Logging
package import NIOCore
internal import OTLP
import Synchronization

/// Keeps the batches of one exporter and signal until the destination has them (`sending_queue`, `retry_on_failure`).
///
/// ```
/// consume ─▶ mailbox ─▶ [store] ─▶ [accumulator] ─▶ waiting ─▶ active: an attempt, or the wait for the next one
///                         └▶ on disk only, while memory is full ┘
/// ```
///
/// `consume` from any thread; everything else happens on one event loop. At most `num_consumers` batches are with the
/// sender or wait for another attempt; the others wait in order. A batch counts towards `queue_size` until it is done.
package final class SendingQueue: Consumer, AdmissionControl, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    /// Where a queue hands what its destination will never take.
    package struct DeadLetter: Sendable {
        /// The other exporter's id.
        package let name: String
        /// The other exporter.
        package let consumer: any Consumer
        /// Counts the items handed over.
        package let counter: Counter

        /// Describes the place.
        package init(name: String, consumer: any Consumer, counter: Counter) {
            self.name = name
            self.consumer = consumer
            self.counter = counter
        }
    }

    final class Work {
        /// Of this work only: senders tell batches apart by identity.
        fileprivate(set) var batch: Batch
        let weight: Int
        /// From the first attempt on: time spent waiting for a turn is not time spent trying.
        var backoff: Backoff?
        var timer: Scheduled<Void>?
        /// The destination does not want to be asked again before.
        var notBefore = NIODeadline.distantPast
        /// Attempts that failed, and those of them that the destination answered with "not now".
        var failures = 0
        var throttles = 0
        /// What the destination had taken when the first of them failed.
        var takenBefore: UInt64 = 0
        /// The refused batch that this one is a part of.
        let division: Division?

        init(_ batch: Batch, weight: Int, of division: Division? = nil) {
            self.batch = batch
            self.weight = weight
            self.division = division
        }

        /// Two pipelines of one exporter hand it the same batch.
        func standApart(from others: some Sequence<Work>) {
            if others.contains(where: { $0.batch === batch }) { batch = batch.copy() }
        }
    }

    /// The exporter's id.
    package let name: String
    let config: SendingQueueConfig
    let retry: RetryConfig
    let timeout: TimeAmount
    let maxRequestBytes: Int
    let sender: any BatchSender
    let eventLoop: any EventLoop
    let logger: Logger
    let counters: Counters
    let size = Atomic<Int>(0)
    let accepting = Atomic<Bool>(true)
    /// Items that no destination has because the gateway stopped.
    let givenUp = Atomic<Int>(0)
    private(set) var mailbox: Mailbox<Batch>!
    private let full: Refusal
    private let room: Int

    // Event loop only.
    var waiting = CircularBuffer<Work>()
    var active: [ObjectIdentifier: Work] = [:]
    private var accumulator: BatchAccumulator?
    private(set) var disk: DiskQueue?
    var deadLetter: DeadLetter?
    /// Makes spans about attempts. Set while the queue is made.
    var tracer: Tracer?
    var signalName = ""
    /// Whether the sender passes gzip members on as they came. Set while the queue is made.
    var keepsGzip = false
    var state = SendingQueueState.running(.unknown)
    var sizeLimit = SizeLimit()
    /// Whether the last refused batch was divided and nothing of it was taken, nor anything since.
    var dividesInVain = false
    /// Batches that the destination took.
    var takenBatches: UInt64 = 0
    var logLimiter = LogLimiter()
    /// Fulfilled when nothing is under way, if somebody waits for that.
    var whenEmpty: EventLoopPromise<Void>?

    /// Requests that are read already when `block_on_overflow` stops the reading, at most.
    private static let overflowRequestsMax = 16_384

    /// - Parameters:
    ///   - name: the exporter's id, for messages.
    ///   - timeout: of one attempt.
    ///   - maxRequestBytes: larger batches are cut; an item that is larger by itself is dropped.
    package init(
        name: String, config: SendingQueueConfig, retry: RetryConfig, timeout: TimeAmount,
        sender: any BatchSender, maxRequestBytes: Int = .max, counters: Counters,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.name = name
        self.config = config
        self.retry = retry
        self.timeout = timeout
        self.maxRequestBytes = maxRequestBytes
        self.sender = sender
        self.eventLoop = eventLoop
        self.logger = logger
        self.counters = counters
        full = Refusal(
            .queueFull,
            "sending queue of exporter \(name) is full: queue_size \(config.queueSize) \(config.sizer.rawValue)"
        )
        if config.blockOnOverflow {
            let perRequest = config.sizer == .requests ? 1 : config.sizer == .items ? 1000 : 64 << 10
            let (sum, overflow) = config.queueSize.addingReportingOverflow(
                Self.overflowRequestsMax * perRequest)
            room = overflow ? .max : sum
        } else {
            room = config.queueSize
        }
        mailbox = Mailbox(
            capacity: min(max(room, 1), 1 << 16), owner: self, eventLoop: eventLoop
        ) { [unowned self] batch in self.enqueue(batch) }
    }

    /// Whether the client's answer waits: for the destination's, or for the disk.
    package var answersLater: Bool { waitsForDestination || disk != nil }

    /// Whether the client's answer is the destination's.
    var waitsForDestination: Bool { config.waitForResult || !config.enabled }

    /// What the queue holds, in the unit of `sizer`.
    package var currentSize: Int { size.load(ordering: .relaxed) }

    /// What the queue may hold, in the unit of `sizer`.
    package var capacity: Int { config.queueSize }

    /// Whether a full queue makes receivers leave requests in their sockets.
    package var stopsReading: Bool { config.blockOnOverflow }

    /// The extension that is to keep the queue on disk: `sending_queue.storage`.
    package var storage: ComponentID? { config.storage }

    /// The exporter that is to get what the destination will never take: `on_permanent_failure`.
    package var onPermanentFailure: ComponentID? { config.onPermanentFailure }

    /// Keeps the batches in a store until they are sent. Before the first batch; then `openStore`.
    /// - Parameter recovered: counts the items that an earlier process left.
    package func use(_ store: any BatchStore, recovered: Counter) {
        disk = DiskQueue(store, recovered: recovered)
    }

    /// Says who gets what the destination will never take. Before the first batch.
    package func setDeadLetter(_ deadLetter: DeadLetter) {
        self.deadLetter = deadLetter
    }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        consume(batch, isNew: true)
    }

    /// `consume` for a batch that another queue with the same counters may have had before.
    package func consume(_ batch: Batch, isNew: Bool) -> Refusal? {
        batch.seal()
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "exporter \(name) is stopping")
        }
        let (items, bytes) = (batch.items, batch.bytes)
        let weight = weight(items: items, bytes: bytes)
        guard reserve(weight) else { return full }
        let isTaken = mailbox.post(batch) {
            batch.enter()
            if isNew { counters.taken.add(items) }
        }
        guard isTaken else {
            size.subtract(weight, ordering: .relaxed)
            return full
        }
        counters.enqueuedItems?.observe(Double(items))
        counters.enqueuedBytes?.observe(Double(bytes))
        return nil
    }

    /// Takes room, or changes nothing: a large batch that does not fit must not make a small one fail that would.
    private func reserve(_ weight: Int) -> Bool {
        var before = size.load(ordering: .relaxed)
        while true {
            // A batch larger than the whole queue still gets in when it is empty: refusing it would be for ever.
            guard before == 0 || weight <= room - before else { return false }
            let (reserved, now) = size.weakCompareExchange(
                expected: before, desired: before + weight, ordering: .relaxed)
            if reserved { return true }
            before = now
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        drop(batch, because: refusal, isNew: true)
    }

    /// `drop` for a batch that another queue with the same counters may have had before.
    package func drop(_ batch: Batch, because refusal: Refusal, isNew: Bool) {
        counters.drop(batch.items, areNew: isNew)
        if refusal.reason == .shuttingDown { givenUp.add(batch.items, ordering: .relaxed) }
        batch.settle(.refused(refusal))
    }

    func weight(items: Int, bytes: Int) -> Int {
        // At least 1, so that batches without items take room, too.
        switch config.sizer {
        case .requests: 1
        case .items: max(1, items)
        case .bytes: max(1, bytes)
        }
    }

    // MARK: - AdmissionControl

    /// Never objects: what is in memory already is taken.
    package func admit(bytes: Int) -> Refusal? { nil }

    /// With `block_on_overflow`: while the queue is full.
    package var shouldPause: Bool { config.blockOnOverflow && currentSize >= config.queueSize }

    // MARK: - On the event loop

    private func enqueue(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        let weight = weight(items: batch.items, bytes: batch.bytes)
        switch state {
        case .handingOver(let successor):
            size.subtract(weight, ordering: .relaxed)
            successor(batch)
        case .closed:
            // Enqueued after the last drain, by a producer that had been let in before it.
            giveUp(Work(batch, weight: weight), isAnswered: false)
        case .running, .draining:
            if disk != nil { return persist(batch, weight: weight) }
            guard !waitsForDestination, batch.isAwaited else { return admit(batch, weight: weight) }
            batch.settle(.accepted)
            admit(batch.unacknowledged(), weight: weight)
        }
    }

    /// Takes a batch whose client has its answer, or waits for the destination's.
    func admit(_ batch: Batch, weight: Int) {
        // Nothing gathers any more when the queue ends: it would not be seen to be under way.
        guard let settings = config.batch, case .running = state else {
            waiting.append(Work(batch, weight: weight))
            return startWork()
        }
        let accumulator = accumulator ?? makeAccumulator(settings, batch.signal)
        accumulator.append(batch, weight: weight) { _, _ in
            preconditionFailure("an accumulator that makes room rejects nothing")
        }
    }

    private func makeAccumulator(
        _ settings: SendingQueueConfig.BatchSettings, _ signal: Signal
    ) -> BatchAccumulator {
        var limits = BatchAccumulator.Limits(
            timeout: TimeAmount(settings.flushTimeout), minSize: settings.minSize, maxSize: settings.maxSize)
        limits.sizer = settings.sizer == .bytes ? .bytes : .items
        limits.metadataKeys = settings.metadataKeys
        limits.makesRoom = true
        let accumulator = BatchAccumulator(limits, signal: signal, eventLoop: eventLoop) {
            [unowned self] batch, weight, _ in
            waiting.append(Work(batch, weight: weight))
            startWork()
        }
        self.accumulator = accumulator
        return accumulator
    }

    /// Sends on what gathers, however little it is.
    func flushAccumulator() {
        accumulator?.flush()
    }

    /// Whether nothing is under way. What is on disk only does not count: it may stay there.
    var isIdle: Bool { active.isEmpty && waiting.isEmpty && (disk?.isQuiet ?? true) }

    func wakeIfIdle() {
        guard isIdle else { return }
        whenEmpty.take()?.succeed()
    }

    /// Ends the state that the queue is in when nothing is under way.
    func emptied() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        if isIdle { promise.succeed() } else { whenEmpty = promise }
        return promise.futureResult.map { self.state.apply(.emptied) }
    }
}
