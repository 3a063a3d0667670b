internal import Configuration
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization
internal import TraceStore

extension ComponentType {
    /// `tail_sampling`.
    package static let tailSampling = processor(
        "tail_sampling", aliases: ["tailsampling"], stability: .beta, signals: [.traces],
        TailSamplingConfig.self
    ) {
        TailSampler($0, $1, next: $2)
    }
}

/// Waits until traces are whole, then hands on those that are worth it: `tail_sampling`.
///
/// `consume` from any thread: batches come through a lock-free ring to the sampler's event loop, which alone knows the
/// traces. Whoever sent the spans is answered when they are sorted, or with `storage` on disk.
package final class TailSampler: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    let config: TailSamplingConfig
    private let behind: PipelineInput
    let eventLoop: any EventLoop
    let logger: Logger
    let metrics: TailSamplingMetrics
    let output: PatientOutput
    private let accepting = Atomic<Bool>(true)
    /// Whether `num_traces` undecided traces wait, with `block_on_overflow`.
    private let full = Atomic<Bool>(false)
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    let store: TraceStore
    let policies: PolicySet
    let writer: TraceWriter
    let grouper: TraceGrouper
    var sampledCache: DecisionCache
    var notSampledCache: DecisionCache
    /// Undecided traces in the order of their first spans, with some that are decided or gone.
    var waiting = CircularBuffer<Ticket>()
    /// Those whose root came, in the order of their roots.
    var rooted = CircularBuffer<Ticket>()
    var undecided = 0
    /// Undecided traces of which the request at hand has spans: `span-ingest` only.
    var touched: [Touched] = []
    /// Where traces are in it.
    var touchedPlaces: [TraceStore.Index: Int] = [:]
    private var ticker: RepeatedTask?
    /// Ticks in a row that have found the store empty.
    var emptyTicks = 0
    /// Whether a round of decisions is under way.
    var isDeciding = false
    var roundStart = NIODeadline.distantPast
    var isStopped = false
    /// With `storage`.
    let durable: DurableWait?

    /// A place in a queue.
    struct Ticket {
        let index: TraceStore.Index
        let generation: UInt32
        /// When the decision is due.
        let due: NIODeadline
    }

    /// What a request brought of an undecided trace.
    struct Touched {
        let index: TraceStore.Index
        let generation: UInt32
        var chains: [SpanChain]
    }

    /// What is noted of a trace.
    enum State {
        static let undecided: UInt8 = 0
        static let sampled: UInt8 = 1
        static let notSampled: UInt8 = 2
        /// Undecided, and sampled when its time comes unless a policy drops it: `span-ingest` only.
        static let toBeSampled: UInt8 = 3
    }

    /// Requests that may wait for the loop.
    private static let mailboxRequests = 8192

    package init(_ config: TailSamplingConfig, _ context: ComponentContext, next: PipelineInput) {
        self.config = config
        behind = next
        eventLoop = context.eventLoop
        logger = context.logger
        metrics = TailSamplingMetrics(context)
        output = PatientOutput(
            next.consumer, eventLoop: context.eventLoop, logger: context.logger, left: metrics.left)
        store = TraceStore(ledger: context.ledger)
        writer = TraceWriter(store, on: context.eventLoop, ledger: context.ledger)
        policies = PolicySet(config, metrics, context.ledger)
        grouper = TraceGrouper(
            store.envelopes, findsRoots: config.waitAfterRoot > .zero,
            summarizes: policies.usesSummary)
        sampledCache = DecisionCache(capacity: config.sampledCacheSize, ledger: context.ledger)
        notSampledCache = DecisionCache(capacity: config.nonSampledCacheSize, ledger: context.ledger)
        durable = config.storage.flatMap { Self.durableWait($0, context) }
        mailbox = Mailbox(
            capacity: Self.mailboxRequests, owner: self, eventLoop: eventLoop, receivesAtOnce: true,
            cost: { max($0.items, 1) },
            receive: { [unowned self] batch in take(batch) })
    }

    private static func durableWait(_ storage: ComponentID, _ context: ComponentContext) -> DurableWait? {
        guard let storage = context.storageIfStarted(storage) else { return nil }
        return DurableWait(
            storage.makeStore(for: context),
            recovered: context.account.counter(
                .made, "sluice_processor_tail_sampling_recovered_spans",
                help: "Spans that an earlier process left in the processor's store.",
                labels: ["processor": context.name]),
            refused: context.account.counter(.dropped(.refused)))
    }

    // MARK: - Component

    package var input: PipelineInput {
        // A client that was answered sooner would fill the mailbox, and what waits there long has left the cache.
        PipelineInput(self, admission: behind.admission, answersLater: durable != nil, pacesClients: true)
    }

    package func start() async throws {
        try await eventLoop.flatSubmit { self.recover() }.get()
        try await eventLoop.submit { self.startTicking() }.get()
    }

    /// Decides every second from now on. Event loop only.
    package func startTicking() {
        eventLoop.preconditionInEventLoop()
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [weak self] _ in
            // A loop that has found it due calls it though it was cancelled meanwhile.
            if let self, !isStopped { tick() }
        }
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        // The future never fails.
        _ = try? await beginDrain(until: deadline).get()
        _ = try? await eventLoop.flatSubmit { self.closeStore() }.get()
        return Remainder()
    }

    private func closeStore() -> EventLoopFuture<Void> {
        guard let durable else { return eventLoop.makeSucceededVoidFuture() }
        logger.info("What waits stays in the store.", metadata: ["items": "\(durable.items)"])
        return durable.store.close()
    }

    /// `stop` for callers that do not wait.
    package func beginDrain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit {
            self.mailbox.drainNow()
            self.ticker?.cancel()
            self.isStopped = true
            // What is on disk waits there for the next start.
            if self.durable == nil { self.finishTraces() }
            return self.output.drain(until: deadline)
        }
    }

    // MARK: - Consumer

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        if output.isStuck { return PatientOutput.takesNoMore }
        if full.load(ordering: .relaxed) {
            return Refusal(
                .queueFull, "\(config.numTraces) traces wait for their decision (num_traces)")
        }
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "the gateway is stopping")
        }
        let posted = mailbox.post(batch) {
            batch.enter()
            metrics.incoming.add(batch.items)
        }
        return posted
            ? nil : Refusal(.queueFull, "\(Self.mailboxRequests) requests wait for the sampler")
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        metrics.incoming.add(batch.items)
        metrics.left.add(batch.items)
        behind.consumer.drop(batch, because: refusal)
    }

    // MARK: - What leaves

    func show() {
        full.store(config.blocksOnOverflow && undecided >= config.numTraces, ordering: .relaxed)
        metrics.waiting.set(store.count)
        metrics.waitingBytes.set(store.bytes)
    }

    /// Hands on what was sampled, when it is enough for a request or must not wait.
    func emit(all: Bool) {
        guard writer.spans > 0, all || writer.bytes >= Self.requestBytes else { return }
        var requests: [(payload: Payload, spans: Int)] = []
        while let request = writer.write() { requests.append(request) }
        let records = durable?.takeLeaving(in: requests.count) ?? []
        for request in requests {
            output.send(
                Batch(
                    .traces, payload: request.payload, items: request.spans,
                    acknowledgement: acknowledgement(of: records)))
        }
    }

    /// Sampled traces leave in requests of about this size, a little less than a buffer has.
    private static let requestBytes = (1 << 20) - (64 << 10)
}
