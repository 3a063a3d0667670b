package import Configuration
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization
internal import TraceStore

/// The keys of `groupbytrace`.
package struct GroupByTraceConfig: ComponentConfig {
    /// From a trace's first span until it is handed on. Default 1s. Key `wait_duration`.
    package var wait: Duration = .seconds(1)
    /// Traces that wait; with one more the oldest is handed on. Default 1000000. Key `num_traces`.
    package var numTraces = 1_000_000

    package init() {}

    package init(_ section: ConfigSection) {
        wait = section.duration("wait_duration", default: wait)
        numTraces = section.int("num_traces", default: numTraces, in: 1...Int(Int32.max))
        _ = section.int("num_workers", default: 1)
        section.withoutEffect("num_workers", "one event loop does it all")
        for (key, name) in [("discard_orphans", "discard orphans"), ("store_on_disk", "store on disk")]
        where section.bool(key, default: false) {
            section.report(key, error: "option '\(name)' not supported in this release")
        }
        section.finish()
    }
}

extension ComponentType {
    /// `groupbytrace`.
    package static let groupByTrace = processor(
        "groupbytrace", aliases: ["group_by_trace"], stability: .beta, signals: [.traces],
        GroupByTraceConfig.self
    ) {
        GroupByTrace($0, $1, next: $2)
    }
}

/// Keeps spans for a while and hands them on trace by trace: `groupbytrace`. As `TailSampler`, without the sampling.
package final class GroupByTrace: Consumer, PipelineComponent, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    private let config: GroupByTraceConfig
    private let behind: PipelineInput
    private let eventLoop: any EventLoop
    private let output: PatientOutput
    private let accepting = Atomic<Bool>(true)
    private let incoming: Counter
    private let lost: Counter
    private let released: (traces: Counter, spans: Counter, early: Counter)
    private let inMemory: Gauge
    private var mailbox: Mailbox<Batch>!

    // Event loop only.
    private let store: TraceStore
    private let writer: TraceWriter
    private let grouper: TraceGrouper
    private var timer: Scheduled<Void>?
    /// Whether more is due than one turn of the loop releases.
    private var isBehind = false
    private var trimming: Scheduled<Void>?
    private var isStopped = false

    /// Requests that may wait for the loop, and traces that leave before other work gets its turn.
    private static let mailboxRequests = 8192
    private static let tracesPerTurn = 1024

    package init(_ config: GroupByTraceConfig, _ context: ComponentContext, next: PipelineInput) {
        self.config = config
        behind = next
        eventLoop = context.eventLoop
        let labels: MetricLabels = ["processor": context.name]
        let bySignal = labels.adding("otel_signal", context.signal.name)
        incoming = context.account.counter(
            .entered, "otelcol_processor_incoming_items", help: "Items that the processor took.",
            labels: bySignal)
        let left = context.account.counter(
            .left, "otelcol_processor_outgoing_items", help: "Items that the processor sent on.",
            labels: bySignal)
        lost = context.account.counter(.dropped(.refused))
        func counter(_ name: String, _ help: String) -> Counter {
            context.registry.counter("otelcol_processor_groupbytrace_" + name, help: help, labels: labels)
        }
        released = (
            counter("traces_released", "Traces handed on."), counter("spans_released", "Spans handed on."),
            counter("traces_evicted", "Traces handed on before their time (num_traces).")
        )
        inMemory = context.registry.gauge(
            "otelcol_processor_groupbytrace_num_traces_in_memory", help: "Traces that wait.", labels: labels)
        output = PatientOutput(
            next.consumer, eventLoop: context.eventLoop, logger: context.logger, left: left)
        store = TraceStore(ledger: context.ledger)
        // A trace leaves as it came: resource by resource.
        writer = TraceWriter(store, joins: false, on: context.eventLoop, ledger: context.ledger)
        grouper = TraceGrouper(store.envelopes, findsRoots: false)
        mailbox = Mailbox(
            capacity: Self.mailboxRequests, owner: self, eventLoop: eventLoop, receivesAtOnce: true,
            cost: { max($0.items, 1) },
            receive: { [unowned self] batch in take(batch) })
    }

    package var input: PipelineInput {
        // As `TailSampler`: a client that was answered sooner would fill the mailbox.
        PipelineInput(self, admission: behind.admission, pacesClients: true)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        if output.isStuck { return PatientOutput.takesNoMore }
        guard accepting.load(ordering: .acquiring) else {
            return Refusal(.shuttingDown, "the gateway is stopping")
        }
        let posted = mailbox.post(batch) {
            batch.enter()
            incoming.add(batch.items)
        }
        return posted
            ? nil : Refusal(.queueFull, "\(Self.mailboxRequests) requests wait for groupbytrace")
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        incoming.add(batch.items)
        lost.add(batch.items)
        batch.settle(.refused(refusal))
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
            self.timer?.cancel()
            self.trimming?.cancel()
            self.isStopped = true
            while let index = self.store.oldest { self.release(index) }
            return self.output.drain(until: deadline)
        }
    }

    // MARK: - On the event loop

    private func take(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard !isStopped else {
            lost.add(batch.items)
            return batch.settle(.refused(Refusal(.shuttingDown, "the gateway is stopping")))
        }
        let now = eventLoop.now
        for slice in batch.slices {
            let spans = unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                let request = unsafe WireBytes(bytes)
                return grouper.walk(request) { group, envelope in
                    let index = store.find(group.trace) ?? add(group.trace, now)
                    _ = store.append(group, envelope, of: request, grouper, to: index)
                }
            }
            lost.add(max(0, slice.items - spans))
        }
        inMemory.set(store.count)
        schedule()
        batch.settle(.accepted)
    }

    private func add(_ trace: TraceID, _ now: NIODeadline) -> TraceStore.Index {
        if store.count >= config.numTraces, let oldest = store.oldest {
            released.early.add(1)
            release(oldest)
        }
        return store.add(trace, at: now)
    }

    /// Waits for the oldest trace.
    private func schedule() {
        guard timer == nil, !isBehind, let oldest = store.oldest else { return }
        let due = store.arrival(oldest) + TimeAmount(config.wait)
        if due <= eventLoop.now, !output.isStuck {
            isBehind = true
            return eventLoop.executeInTurn {
                self.isBehind = false
                self.releaseDue()
            }
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(deadline: output.isStuck ? max(due, eventLoop.now + Self.pause) : due)
        {
            bound.value.timer = nil
            bound.value.releaseDue()
        }
    }

    /// While the exporters take nothing, what waits stays.
    private static let pause = TimeAmount.milliseconds(100)

    private func releaseDue() {
        let now = eventLoop.now
        var left = Self.tracesPerTurn
        while left > 0, !output.isStuck, let oldest = store.oldest,
            store.arrival(oldest) + TimeAmount(config.wait) <= now
        {
            release(oldest)
            left -= 1
        }
        // Nothing ticks when nothing waits.
        store.trim(all: true)
        if store.count == 0 {
            writer.trim(atOnce: true)
            store.forgetRecords()
            trimLater()
        }
        inMemory.set(store.count)
        schedule()
    }

    /// What left last is still being sent: its buffers come back later.
    private func trimLater() {
        trimming?.cancel()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        trimming = eventLoop.scheduleTask(in: Self.trimDelay) { bound.value.writer.trim(atOnce: true) }
    }

    private static let trimDelay = TimeAmount.seconds(10)

    private func release(_ index: TraceStore.Index) {
        writer.add(store.takeChain(index))
        store.remove(index)
        if writer.spans > 0 { released.traces.add(1) }
        while let (payload, spans) = writer.write() {
            released.spans.add(spans)
            output.send(Batch(.traces, payload: payload, items: spans))
        }
    }
}
