import Configuration
import NIOCore
import OTLP
import Pipeline
import TestSupport

/// What test components say of themselves, in order, and what the test asks of them. Any thread.
final class Journal: Sendable {
    let lines = Noted<[String]>([])
    /// Ids whose start fails.
    let failing = Noted<Set<String>>([])
    /// Ids that cannot be made.
    let broken = Noted<Set<String>>([])
    /// By id.
    let receivers = Noted<[String: TestReceiver]>([:])
    /// Items that sinks got, by id.
    let delivered = Noted<[String: Int]>([:])
    /// The accounts of all nodes.
    let accounts = Noted<[NodeAccount]>([])

    func note(_ line: String) { lines.change { $0.append(line) } }
}

/// Sections of test components may say anything.
struct TestConfig: ComponentConfig {
    var deadLetter: ComponentID?
    var storage: ComponentID?

    init(_ section: ConfigSection) {
        deadLetter = section.componentID("dead_letter")
        storage = section.componentID("storage")
        section.finish()
    }

    var references: [ComponentReference] {
        [
            deadLetter.map { ComponentReference($0, .exporter, key: "dead_letter") },
            storage.map { ComponentReference($0, .extension(.storage), key: "storage") },
        ].compactMap { $0 }
    }
}

/// A component that notes its life.
class TestComponent: Component, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): constant after init.
    let name: String
    let journal: Journal

    init(_ context: ComponentContext, _ journal: Journal) throws {
        name = "\(context.kind.rawValue) \(context.id)"
        self.journal = journal
        if journal.broken.value.contains("\(context.id)") { throw ComponentError("is broken") }
    }

    func start() async throws {
        if journal.failing.value.contains(where: { name.hasSuffix(" " + $0) }) {
            throw ComponentError("\(name) does not start")
        }
        journal.note("start \(name)")
    }

    func stop(until deadline: NIODeadline) async -> Remainder {
        journal.note("stop \(name)")
        return Remainder()
    }
}

/// Brings what the test gives it, until it is stopped.
final class TestReceiver: TestComponent, @unchecked Sendable {
    private let outputs: [Signal: PipelineOutput]
    private let accepted: [Signal: Counter]
    private let isOpen = Noted(true)

    init(_ context: ComponentContext, _ journal: Journal, _ outputs: [Signal: PipelineOutput]) throws {
        self.outputs = outputs
        accepted = outputs.mapValues { $0.account.counter(.passed) }
        try super.init(context, journal)
    }

    var account: NodeAccount? { outputs[.traces]?.account }

    /// Whether the pipelines took it; nil when the receiver was stopped.
    func bring(_ batch: Batch) -> Bool? {
        guard let output = outputs[batch.signal], let counter = accepted[batch.signal] else { return nil }
        return isOpen.change { isOpen in
            guard isOpen else { return nil }
            batch.entry = Batch.Entry(counter, items: batch.items)
            return output.input.consumer.consume(batch) == nil
        }
    }

    override func stop(until deadline: NIODeadline) async -> Remainder {
        isOpen.value = false
        return await super.stop(until: deadline)
    }
}

/// Hands on all.
final class TestProcessor: TestComponent, Consumer, PipelineComponent, @unchecked Sendable {
    let behind: PipelineInput
    let entered: Counter
    let left: Counter

    init(_ context: ComponentContext, _ journal: Journal, _ next: PipelineInput) throws {
        behind = next
        entered = context.account.counter(.entered)
        left = context.account.counter(.left)
        try super.init(context, journal)
        journal.accounts.change { $0.append(context.account) }
    }

    var input: PipelineInput { behind.behind(self) }

    func consume(_ batch: Batch) -> Refusal? {
        let items = batch.items
        if let refusal = behind.consumer.consume(batch) { return refusal }
        entered.add(items)
        left.add(items)
        return nil
    }

    func drop(_ batch: Batch, because refusal: Refusal) { behind.consumer.drop(batch, because: refusal) }
}

/// Hands each batch to all its outputs as a batch of its own, as `forward` does.
final class TestConnector: TestComponent, Consumer, PipelineComponent, @unchecked Sendable {
    let ways: [(next: any Consumer, brought: Counter)]
    let joined: PipelineInput
    let passed: Counter

    init(_ context: ComponentContext, _ journal: Journal, _ outputs: [PipelineOutput]) throws {
        ways = outputs.map { ($0.input.consumer, $0.account.counter(.passed)) }
        joined = .joining(outputs.map(\.input))
        passed = context.account.counter(.passed)
        try super.init(context, journal)
        journal.accounts.change { $0.append(context.account) }
        journal.accounts.change { $0 += outputs.map(\.account) }
    }

    var input: PipelineInput { PipelineInput(self, answersLater: joined.answersLater) }

    func consume(_ batch: Batch) -> Refusal? {
        // Taken whatever becomes of it: what one way refuses is dropped there.
        batch.enter()
        passed.add(batch.items)
        for (next, brought) in ways {
            let copy = batch.unacknowledged()
            copy.entry = Batch.Entry(brought, items: batch.items)
            if let refusal = next.consume(copy) {
                copy.enter()
                next.drop(copy, because: refusal)
            }
        }
        batch.settle(.accepted)
        return nil
    }

    func drop(_ batch: Batch, because refusal: Refusal) { batch.settle(.refused(refusal)) }
}

/// A destination that counts, behind a sending queue or at once.
final class CountingSender: BatchSender, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): constant after init.
    private let name: String
    private let journal: Journal
    private let eventLoop: any EventLoop
    private let refuses: Bool

    init(_ context: ComponentContext, _ journal: Journal) {
        name = "\(context.id)"
        self.journal = journal
        eventLoop = context.eventLoop
        refuses = context.id.name.hasPrefix("refusing")
    }

    func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        let bound = NIOLoopBound((done, batch), eventLoop: eventLoop)
        eventLoop.execute { [self] in
            let (done, batch) = bound.value
            guard !refuses else { return done(.permanent("never")) }
            journal.delivered.change { $0[name, default: 0] += batch.items }
            done(.sent(rejectedItems: 0, message: ""))
        }
    }

    func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}

/// Exporter settings for tests: `dead_letter` is `on_permanent_failure`.
private struct SinkConfig: ComponentConfig {
    var queue: SendingQueueConfig

    init(_ section: ConfigSection) {
        queue = SendingQueueConfig(of: section)
        section.finish()
    }

    var references: [ComponentReference] { queue.references }
}

/// One component of each kind that keeps the journal, and a sink with a real sending queue.
func testComponents(_ journal: Journal) -> [ComponentType] {
    [
        .receiver("test", TestConfig.self) { config, context, outputs in
            journal.accounts.change { $0 += outputs.values.map(\.account) }
            let receiver = try TestReceiver(context, journal, outputs)
            journal.receivers.change { $0["\(context.id)"] = receiver }
            return receiver
        },
        .processor("test", TestConfig.self) { try TestProcessor($1, journal, $2) },
        .connector(
            "test", pairs: Set(Signal.allCases.map { SignalPair($0, $0) }), TestConfig.self
        ) { try TestConnector($1, journal, $2) },
        .connector("turn", pairs: [SignalPair(.traces, .metrics)], TestConfig.self) {
            try TestConnector($1, journal, $2)
        },
        .connector(
            "both",
            pairs: [SignalPair(.traces, .metrics), SignalPair(.traces, .logs), SignalPair(.logs, .metrics)],
            TestConfig.self
        ) { try TestConnector($1, journal, $2) },
        .exporter("metrics", signals: [.metrics], TestConfig.self) { try TestExporter($1, journal) },
        .exporter("test", TestConfig.self) { config, context in
            if let id = config.deadLetter { _ = context.exporter(id) }
            return try TestExporter(context, journal)
        },
        .exporter("sink", SinkConfig.self) { config, context in
            journal.accounts.change { $0.append(context.account) }
            return SendingQueue(config.queue, sender: CountingSender(context, journal), context)
        },
        .extension("test", TestConfig.self) { try TestComponent($1, journal) },
    ]
}

/// Takes everything.
final class TestExporter: TestComponent, PipelineComponent, @unchecked Sendable {
    let consumer = FakeConsumer()

    override init(_ context: ComponentContext, _ journal: Journal) throws {
        consumer.outcome = .accepted
        try super.init(context, journal)
        _ = try context.shared { try TestShared(context, journal) }
    }

    var input: PipelineInput { PipelineInput(consumer) }
}

/// What the signals of a `test` exporter share.
final class TestShared: TestComponent, @unchecked Sendable {
    override func start() async throws { journal.note("start shared of \(name)") }

    override func stop(until deadline: NIODeadline) async -> Remainder {
        journal.note("stop shared of \(name)")
        return Remainder()
    }
}
