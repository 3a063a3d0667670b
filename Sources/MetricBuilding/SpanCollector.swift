package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// The node around a connector that counts what comes and, now and then, makes metrics of the counts.
///
/// `consume` from any thread: requests come through a ring to one event loop, which alone has the counts. Who sent the data is
/// answered when it was counted. While the pipelines behind take nothing, nothing is flushed: the counts go on.
package final class SpanCollector: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
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
    private var tickers: [RepeatedTask] = []
    private var isStopped = false
    /// What is done every so often beside flushing. Set before `startFlushing`.
    package var chores: [(every: TimeAmount, body: () -> Void)] = []
    /// Called after each request and flush. Set before the first request.
    package var afterRequest: () -> Void = {}

    /// Requests that may wait for the loop.
    private static let mailboxRequests = 8192
    /// How soon a flush goes on whose parts nobody takes.
    private static let stuckInterval = TimeAmount.milliseconds(20)

    /// - Parameters:
    ///   - interval: between flushes; 0: a flush with each request, of which the first part is made before its answer.
    ///   - count: counts a request, which it borrows for the call. On the loop.
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
        tickers.append(
            eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
                // A loop that has found it due calls it though it was cancelled meanwhile.
                if let self, !isStopped { bound.value(self) }
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
            self.mailbox.drainNow()
            for ticker in self.tickers { ticker.cancel() }
            self.isStopped = true
            // What was counted since a flush began is sent by the next one, below.
            self.isDueAgain = false
            if self.isFlushing { self.flushOn() }
            self.flush()
            return self.output.drain(until: deadline)
        }
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
        for slice in batch.slices {
            unsafe slice.bytes.withUnsafeReadableBytes { unsafe count(WireBytes($0)) }
        }
        counted.add(batch.items)
        if interval == .zero { flush() } else { afterRequest() }
        batch.settle(.accepted)
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
