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
/// traces. Whoever sent the spans is answered when they are there.
package final class TailSampler: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    let config: TailSamplingConfig
    private let behind: PipelineInput
    let eventLoop: any EventLoop
    let logger: Logger
    let metrics: TailSamplingMetrics
    let output: PatientOutput
    private let ledger: MemoryLedger
    private let accepting = Atomic<Bool>(true)
    /// Whether `num_traces` undecided traces wait, with `block_on_overflow`.
    private let full = Atomic<Bool>(false)
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    let store: TraceStore
    let policies: PolicySet
    let writer: TraceWriter
    private let grouper: TraceGrouper
    var sampledCache: DecisionCache
    var notSampledCache: DecisionCache
    /// Undecided traces in the order of their first spans, with some that are decided or gone.
    var waiting = CircularBuffer<Ticket>()
    /// Those whose root came, in the order of their roots.
    var rooted = CircularBuffer<Ticket>()
    var undecided = 0
    /// Undecided traces of which the request at hand has spans: `span-ingest` only.
    private var touched: [Touched] = []
    /// Where traces are in it.
    private var touchedPlaces: [TraceStore.Index: Int] = [:]
    private var ticker: RepeatedTask?
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
    private struct Touched {
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
        ledger = context.ledger
        metrics = TailSamplingMetrics(context)
        output = PatientOutput(
            next.consumer, eventLoop: context.eventLoop, logger: context.logger, left: metrics.left)
        store = TraceStore(ledger: context.ledger)
        writer = TraceWriter(store)
        policies = PolicySet(config, metrics)
        grouper = TraceGrouper(
            store.envelopes, findsRoots: config.waitAfterRoot > .zero,
            summarizes: policies.usesSummary)
        sampledCache = DecisionCache(capacity: config.sampledCacheSize)
        notSampledCache = DecisionCache(capacity: config.nonSampledCacheSize)
        durable = config.storage.flatMap { Self.durableWait($0, context) }
        mailbox = Mailbox(capacity: Self.mailboxRequests, eventLoop: eventLoop) { [unowned self] batch in
            self.take(batch)
        }
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
        PipelineInput(self, admission: behind.admission, answersLater: durable != nil, keepsGzip: false)
    }

    package func start() async throws {
        try await eventLoop.flatSubmit { self.recover() }.get()
        try await eventLoop.submit { self.startTicking() }.get()
    }

    /// Decides every second from now on. Event loop only.
    package func startTicking() {
        eventLoop.preconditionInEventLoop()
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [unowned self] _ in self.tick()
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

    // MARK: - Arrival

    private func take(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard !isStopped else {
            // Posted by somebody who had been let in before the stop.
            metrics.evicted.add(batch.items)
            batch.settle(.refused(Refusal(.shuttingDown, "the gateway is stopping")))
            return
        }
        if let durable { return persist(batch, in: durable) }
        ingest(batch)
        batch.settle(.accepted)
    }

    /// Sorts a request's spans by trace. Owes nobody an answer.
    func ingest(_ batch: Batch) {
        let now = eventLoop.now
        for slice in batch.slices {
            let spans = unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                let request = unsafe WireBytes(bytes)
                return grouper.walk(request) { group, envelope in
                    arrive(group, envelope, of: request, now)
                }
            }
            metrics.malformed.add(max(0, slice.items - spans))
        }
        if config.strategy == .spanIngest { decideWhatCame(now) }
        shrink(now)
        // Spans that came late leave together.
        emit(all: true)
        show()
    }

    private func arrive(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ now: NIODeadline
    ) {
        if let (index, note) = store.findNoted(group.trace) {
            switch note {
            case State.sampled, State.notSampled:
                metrics.lateAge.observe(Double((now - store.noted(index)).nanoseconds) / 1e9)
                late(group, envelope, of: request, isSampled: note == State.sampled)
            default: add(group, envelope, of: request, to: index, now)
            }
            return
        }
        let isSampled = sampledCache.contains(group.trace)
        if isSampled || notSampledCache.contains(group.trace) {
            metrics.countCached(sampled: isSampled, group.spans)
            late(group, envelope, of: request, isSampled: isSampled)
            return
        }
        makeRoom(now)
        let index = store.add(group.trace, at: now)
        undecided += 1
        metrics.newTraces.add(1)
        waiting.append(
            Ticket(
                index: index, generation: store.generation(index),
                due: now + TimeAmount(config.decisionWait)))
        add(group, envelope, of: request, to: index, now)
    }

    /// Spans of a trace that was decided.
    private func late(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, isSampled: Bool
    ) {
        guard isSampled else { return metrics.notSampled.add(group.spans) }
        durable?.passed()
        writer.add(store.makeChain(group, envelope, of: request, grouper))
    }

    private func add(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, to index: TraceStore.Index,
        _ now: NIODeadline
    ) {
        durable?.joined(index)
        let came = store.append(group, envelope, of: request, grouper, to: index)
        if config.traceBytesMax > 0, store.chain(index).wireBytes > config.traceBytesMax {
            metrics.tooLarge.add(1)
            // What came of it before in this request goes with it.
            if let known = touchedPlaces[index] { touched[known].chains = [] }
            settle(index, .notSampled)
            return
        }
        if group.hasRoot, config.waitAfterRoot > .zero {
            rooted.append(
                Ticket(
                    index: index, generation: store.generation(index),
                    due: now + TimeAmount(config.waitAfterRoot)))
        }
        guard config.strategy == .spanIngest else { return }
        let generation = store.generation(index)
        if let known = touchedPlaces[index], touched[known].generation == generation {
            touched[known].chains.append(came)
        } else {
            touchedPlaces[index] = touched.count
            touched.append(Touched(index: index, generation: generation, chains: [came]))
        }
    }

    /// Makes room for one trace more.
    private func makeRoom(_ now: NIODeadline) {
        while store.count >= config.numTraces, let oldest = store.oldest {
            let isUndecided = Self.isUndecided(store.note(oldest))
            // With `block_on_overflow` nothing undecided is lost: who brings more is refused until there is room.
            if config.blocksOnOverflow, isUndecided { break }
            if isUndecided {
                metrics.droppedTooEarly.add(1)
                metrics.evicted.add(store.chain(oldest).spans)
                undecided -= 1
                durable?.decided(oldest, isSampled: false)
            }
            metrics.removalAge.observe(Double((now - store.arrival(oldest)).nanoseconds) / 1e9)
            store.remove(oldest)
        }
    }

    /// Whether a trace is still the one of this generation, undecided and not empty.
    func isOpen(_ index: TraceStore.Index, _ generation: UInt32) -> Bool {
        store.noteOfSpans(index, generation).map(Self.isUndecided) ?? false
    }

    static func isUndecided(_ note: UInt8) -> Bool { note == State.undecided || note == State.toBeSampled }

    /// `span-ingest`: what came of a trace is looked at by itself.
    private func decideWhatCame(_ now: NIODeadline) {
        for part in touched {
            guard isOpen(part.index, part.generation) else { continue }
            let trace = store.trace(part.index)
            for chain in part.chains {
                switch policies.decide(TraceView(trace, chain, store.envelopes), now: now) {
                case .notSampled: continue
                case .dropped: settle(part.index, .dropped)
                case .sampled where policies.drops:
                    store.note(part.index, State.toBeSampled, at: now)
                    continue
                case .sampled: settle(part.index, .sampled)
                }
                break
            }
        }
        touched.removeAll(keepingCapacity: true)
        touchedPlaces.removeAll(keepingCapacity: true)
    }

    func show() {
        full.store(config.blocksOnOverflow && undecided >= config.numTraces, ordering: .relaxed)
        metrics.waiting.set(store.count)
        metrics.waitingBytes.set(store.bytes)
    }

    /// Hands on what was sampled, when it is enough for a request or must not wait.
    func emit(all: Bool) {
        guard writer.spans > 0, all || writer.bytes >= Self.requestBytes else { return }
        let spans = writer.spans
        guard let bytes = writer.write() else { return }
        output.send(
            Batch(
                .traces, payload: Payload(bytes, ledger: ledger), items: spans,
                acknowledgement: acknowledgement()))
    }

    /// Sampled traces leave in requests of about this size.
    private static let requestBytes = 1 << 20
}
