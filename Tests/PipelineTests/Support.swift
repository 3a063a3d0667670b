import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// Runs each body on a thread of its own, all at once, and waits for them.
func inParallel(_ bodies: [@Sendable () -> Void]) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: bodies.count)
    let all = zip(group.makeIterator(), bodies).map { loop, body in loop.submit(body) }
    for future in all { try await future.get() }
    try await group.shutdownGracefully()
}

/// A store in memory that answers when the test says so. Event loop only.
final class FakeStore: BatchStore {
    private let loop: EmbeddedEventLoop
    private var nextID: UInt64 = 1
    private(set) var stored: [UInt64: Batch] = [:]
    private(set) var reads = 0
    private(set) var isClosed = false
    var writing: [(id: UInt64, batch: Batch, done: (Refusal?) -> Void)] = []
    /// Removed while they were being written.
    private(set) var unneeded: Set<UInt64> = []

    init(_ loop: EmbeddedEventLoop) { self.loop = loop }

    /// What a store holds after an earlier process.
    func leave(_ batch: Batch) {
        stored[nextID] = batch
        nextID += 1
    }

    func open() -> EventLoopFuture<[StoredBatch]> {
        loop.makeSucceededFuture(
            stored.sorted { $0.key < $1.key }.map {
                StoredBatch(id: $0.key, items: $0.value.items, bytes: $0.value.bytes)
            })
    }

    func append(_ batch: Batch, done: @escaping (Refusal?) -> Void) -> [StoredPart] {
        let part = batch.unacknowledged()
        writing.append((nextID, part, done))
        defer { nextID += 1 }
        return [
            StoredPart(
                stored: StoredBatch(id: nextID, items: batch.items, bytes: batch.bytes), batch: part)
        ]
    }

    /// Ends the oldest write.
    func answer(_ refusal: Refusal? = nil) {
        let (id, batch, done) = writing.removeFirst()
        if refusal == nil, !unneeded.contains(id) { stored[id] = batch }
        done(refusal)
        loop.run()
    }

    func read(_ wanted: StoredBatch, done: @escaping (Batch?) -> Void) {
        reads += 1
        done(stored[wanted.id])
    }

    func remove(_ stored: StoredBatch) {
        if writing.contains(where: { $0.id == stored.id }) { unneeded.insert(stored.id) }
        self.stored[stored.id] = nil
    }

    func close() -> EventLoopFuture<Void> {
        isClosed = true
        return loop.makeSucceededVoidFuture()
    }
}

/// A sending queue before a destination, on a loop whose time the test moves.
final class QueueRig {
    let loop: EmbeddedEventLoop
    let sender: FakeSender
    let counters: SendingQueue.Counters
    let queue: SendingQueue
    /// Every accepted batch's answer.
    let answers = Answers()
    private let drained = Noted<Int?>(nil)

    init(
        timeout: TimeAmount = .seconds(5), maxRequestBytes: Int = .max,
        loop: EmbeddedEventLoop = EmbeddedEventLoop(), store: FakeStore? = nil,
        _ configure: (inout SendingQueueConfig, inout RetryConfig) -> Void = { _, _ in }
    ) {
        self.loop = loop
        var config = SendingQueueConfig()
        var retry = RetryConfig()
        retry.initialInterval = .seconds(1)
        retry.randomizationFactor = 0
        retry.multiplier = 2
        retry.maxInterval = .seconds(8)
        configure(&config, &retry)
        sender = FakeSender(eventLoop: loop)
        counters = SendingQueue.Counters(MetricRegistry(), exporter: "otlp", signal: .traces)
        queue = SendingQueue(
            name: "otlp", config: config, retry: retry, timeout: timeout, sender: sender,
            maxRequestBytes: maxRequestBytes, counters: counters, eventLoop: loop, logger: makeSilentLogger())
        if let store { queue.use(store, recovered: recovered) }
    }

    /// Items that the store had at the start.
    let recovered = MetricRegistry().counter("recovered", help: "", labels: [:])

    /// Offers a valid request of so many spans.
    func offer(spans: Int, seed: UInt64 = 1, metadata: ClientMetadata? = nil) -> Refusal? {
        let payload = Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: spans, seed: seed)))
        payload.metadata = metadata
        defer { loop.run() }
        return queue.consume(
            Batch(.traces, payload: payload, items: spans, acknowledgement: answers.acknowledgement()))
    }

    /// Offers a batch whose answer goes to `answers`.
    func offer(items: Int, bytes: Int = 10) -> Refusal? {
        defer { loop.run() }
        return queue.consume(
            makeBatch(items: items, bytes: bytes, acknowledgement: answers.acknowledgement()))
    }

    func answer(_ result: SendResult, at index: Int = 0) {
        sender.answer(result, at: index)
        loop.run()
    }

    /// Begins to stop; `leftover` tells when it has.
    func drain(until deadline: NIODeadline) {
        queue.beginDrain(until: deadline).whenSuccess { [drained] in drained.value = $0 }
        loop.run()
    }

    /// What `drain` returned; nil as long as it has not.
    var leftover: Int? { drained.value }

    /// Items by their end: sent, failed, dropped.
    var ends: [UInt64] { [counters.sent.value, counters.failed.value, counters.dropped.value] }
}

/// A destination that takes everything, from the loop's next turn on.
private final class QuickSender: BatchSender {
    private let eventLoop: any EventLoop
    private var isClosed = false

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        precondition(!isClosed, "asked to send after it was closed")
        let bound = NIOLoopBound(done, eventLoop: eventLoop)
        eventLoop.execute { bound.value(.success) }
    }

    func close() -> EventLoopFuture<Void> {
        isClosed = true
        return eventLoop.makeSucceededVoidFuture()
    }
}

/// Fills queues from three threads while they are stopped, and compares what was taken with what was counted.
func stopUnderLoad(rounds: Int, gathers: Bool) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var gathering = SendingQueueConfig()
    if gathers { gathering.batch = SendingQueueConfig.BatchSettings() }
    let config = gathering
    for round in 0..<rounds {
        let loop = group.next()
        let counters = SendingQueue.Counters(MetricRegistry(), exporter: "otlp", signal: .traces)
        let sender = try await loop.submit { NIOLoopBound(QuickSender(eventLoop: loop), eventLoop: loop) }
            .get()
        let queue = try await loop.submit {
            SendingQueue(
                name: "otlp", config: config, retry: RetryConfig(), timeout: .zero,
                sender: sender.value, counters: counters, eventLoop: loop, logger: makeSilentLogger())
        }.get()
        let answers = Answers()
        let taken = Noted(0)
        let stopping = Noted(false)
        let drained = Noted<EventLoopFuture<Int>?>(nil)
        let producer: @Sendable () -> Void = {
            for _ in 0..<20_000 {
                switch queue.consume(makeBatch(items: 1, acknowledgement: answers.acknowledgement()))?.reason
                {
                case nil: taken.change { $0 += 1 }
                case .shuttingDown: return
                default: sched_yield()
                }
                if taken.value > round % 20 { stopping.value = true }
            }
            stopping.value = true
        }
        let stopper: @Sendable () -> Void = {
            while !stopping.value { sched_yield() }
            drained.value = queue.beginDrain(until: .now() + .seconds(60))
        }
        try await inParallel([producer, producer, producer, stopper])
        _ = try await drained.value?.get()
        // Behind whatever was posted last.
        try await loop.submit {}.get()
        let ended = [counters.sent, counters.failed, counters.dropped].map { Int($0.value) }.reduce(0, +)
        #expect(
            ended == taken.value && queue.currentSize == 0 && answers.all.count == taken.value,
            "round \(round)")
    }
    try await group.shutdownGracefully()
}
