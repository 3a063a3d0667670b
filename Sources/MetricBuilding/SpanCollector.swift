package import NIOCore
internal import NIOPosix
package import OTLP
package import Pipeline
import Synchronization

/// The node around a connector that counts what comes and, now and then, makes metrics of the counts.
///
/// `consume` from any thread: requests come through a ring to one event loop, which alone has the counts, but while a large request is
/// counted beside it: then nothing else is. Who sent the data is answered when it was counted. While the pipelines behind take nothing, nothing is flushed: the counts go on.
package final class SpanCollector: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only, and `count` is called where
    // `isBeside` says.
    private let eventLoop: any EventLoop
    private let interval: TimeAmount
    private let ledger: MemoryLedger
    private let outputs: ConnectorOutputs
    private let output: PatientOutput
    private let accepting = Atomic<Bool>(true)
    private let entered: Counter
    private let counted: Counter
    private let lost: Counter
    private let made: Counter
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    private let count: (WireBytes) -> Void
    private let flushPart: ((ByteBuffer, _ points: Int) -> Void) -> Bool
    /// Whether a part of a flush is still to be made.
    private var isFlushing = false
    /// Whether a request came during a flush that was to be flushed with it.
    private var isDueAgain = false
    /// Whether a large request is counted beside the loop, and what waits for its end.
    private var isBeside = false
    private var afterBeside: [() -> Void] = []
    private var tickers: [RepeatedTask] = []
    /// Those that were due while a large request was counted.
    private var waitingTickers: Set<Int> = []
    private var isStopped = false
    /// What is done every so often beside flushing. Set before `startFlushing`.
    package var chores: [(every: TimeAmount, body: () -> Void)] = []
    /// Called after each request and flush. Set before the first request.
    package var afterRequest: () -> Void = {}

    /// Of their own: files that do not answer keep others.
    private static let threads: NIOThreadPool = {
        let threads = NIOThreadPool(numberOfThreads: 2)
        threads.start()
        return threads
    }()

    /// Requests that may wait for the loop.
    private static let mailboxRequests = 8192
    /// What more than a few milliseconds are needed for: 10 000 new edges took 10 to 20, 40 000 exceptions in 3.2 MB 20 to 50.
    private static let (largeItems, largeBytes) = (4_000, 512 << 10)
    /// How soon a flush goes on whose parts nobody takes.
    private static let stuckInterval = TimeAmount.milliseconds(20)

    /// - Parameters:
    ///   - interval: between flushes; 0: a flush with each request, of which the first part is made before its answer.
    ///   - count: counts a request, which it borrows for the call. On the loop, or, a large one, beside it while nothing else has the
    ///     counts.
    ///   - flush: gives requests of metrics, each with its points, and says whether it is to be called again for more of them, when
    ///     others have had a turn. On the loop.
    package init(
        _ context: ComponentContext, _ outputs: [PipelineOutput], every interval: TimeAmount,
        count: @escaping (WireBytes) -> Void,
        flush: @escaping (_ emit: (ByteBuffer, _ points: Int) -> Void) -> Bool
    ) {
        eventLoop = context.eventLoop
        self.interval = interval
        ledger = context.ledger
        self.outputs = ConnectorOutputs(outputs)
        self.count = count
        flushPart = flush
        entered = context.account.counter(.entered)
        counted = context.account.counter(.dropped(.merged))
        lost = context.account.counter(.dropped(.refused))
        made = context.account.counter(.made)
        output = PatientOutput(
            self.outputs.input.consumer, eventLoop: context.eventLoop, logger: context.logger,
            left: context.account.counter(.left))
        mailbox = Mailbox(
            capacity: Self.mailboxRequests, owner: self, eventLoop: eventLoop, receivesAtOnce: true,
            cost: { max($0.items, 1) },
            receive: { [unowned self] batch in take(batch) })
    }

    package func start() async throws {
        try await eventLoop.submit { self.startFlushing() }.get()
    }

    /// Flushes every interval from now on. Event loop only.
    package func startFlushing() {
        eventLoop.preconditionInEventLoop()
        for chore in chores {
            repeats(every: chore.every) { collector in
                chore.body()
                collector.afterRequest()
            }
        }
        if interval > .zero { repeats(every: interval) { $0.flush() } }
    }

    private func repeats(every interval: TimeAmount, _ body: @escaping (SpanCollector) -> Void) {
        let bound = NIOLoopBound(body, eventLoop: eventLoop)
        let ticker = tickers.count
        tickers.append(
            eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
                guard let self, waitingTickers.insert(ticker).inserted else { return }
                whenFree {
                    self.waitingTickers.remove(ticker)
                    // A loop that has found it due calls it though it was cancelled meanwhile.
                    if !self.isStopped { bound.value(self) }
                }
            })
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        // The future never fails.
        _ = try? await beginDrain(until: deadline).get()
        return Remainder()
    }

    /// `stop` for callers that do not wait.
    package func beginDrain(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        accepting.store(false, ordering: .releasing)
        return eventLoop.flatSubmit {
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.drain(until: deadline, promise)
            return promise.futureResult
        }
    }

    private func drain(until deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        if !isBeside {
            mailbox.isHeld = false
            mailbox.drainNow()
        }
        guard !isBeside else { return afterBeside.append { self.drain(until: deadline, promise) } }
        for ticker in tickers { ticker.cancel() }
        isStopped = true
        // What was counted since a flush began is sent by the next one, below.
        isDueAgain = false
        if isFlushing { flushOn() }
        flush()
        output.drain(until: deadline).cascade(to: promise)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "the gateway is stopping")
        }
        let posted = mailbox.post(batch) {
            batch.enter()
            entered.add(batch.items)
        }
        return posted
            ? nil : Refusal(.queueFull, "\(Self.mailboxRequests) requests wait for the connector")
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        entered.add(batch.items)
        lost.add(batch.items)
        batch.settle(.refused(refusal))
    }

    // MARK: - On the event loop

    private func take(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard !isStopped else {
            lost.add(batch.items)
            return batch.settle(.refused(Refusal(.shuttingDown, "the gateway is stopping")))
        }
        guard batch.items > Self.largeItems || batch.bytes > Self.largeBytes else {
            count(batch)
            return finish(batch)
        }
        isBeside = true
        mailbox.isHeld = true
        Self.threads.submit { _ in
            self.count(batch)
            self.eventLoop.execute { self.endBeside(batch) }
        }
    }

    private func count(_ batch: Batch) {
        for slice in batch.slices {
            unsafe slice.bytes.withUnsafeReadableBytes { unsafe count(WireBytes($0)) }
        }
    }

    private func finish(_ batch: Batch) {
        counted.add(batch.items)
        if interval == .zero { flush() } else { afterRequest() }
        batch.settle(.accepted)
    }

    private func endBeside(_ batch: Batch) {
        isBeside = false
        finish(batch)
        let waiting = afterBeside
        afterBeside = []
        for body in waiting { whenFree(body) }
        if !isBeside { mailbox.isHeld = false }
    }

    /// Does what needs the counts when the loop has them.
    private func whenFree(_ body: @escaping () -> Void) {
        if isBeside { afterBeside.append(body) } else { body() }
    }

    private func flush() {
        eventLoop.preconditionInEventLoop()
        // At the end `output` keeps what is not taken as long as the deadline allows.
        guard isStopped || !output.isStuck else { return }
        guard !isFlushing else {
            isDueAgain = interval == .zero
            return
        }
        isFlushing = true
        flushOn()
    }

    /// Makes the next part of a flush, or all that is left where the gateway waits for it.
    private func flushOn() {
        guard !isBeside else { return afterBeside.append { self.flushOn() } }
        guard isFlushing else { return }
        // Parts that nobody takes are not made: they would be all series once more.
        guard isStopped || !output.isStuck else {
            eventLoop.scheduleTask(in: Self.stuckInterval) { self.flushOn() }
            return
        }
        repeat {
            isFlushing = flushPart { bytes, points in
                let batch = Batch(.metrics, payload: Payload(bytes, ledger: ledger), items: points)
                outputs.bring(batch, entry: nil, [made])
                output.send(batch)
            }
        } while isFlushing && isStopped
        afterRequest()
        if isFlushing {
            eventLoop.executeInTurn { self.flushOn() }
        } else if isDueAgain {
            isDueAgain = false
            eventLoop.executeInTurn { self.flush() }
        }
    }
}
