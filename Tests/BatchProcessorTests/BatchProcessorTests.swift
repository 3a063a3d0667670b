import BatchProcessor
import Configuration
import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// A batch processor on a loop whose time the test moves, before a consumer that takes what the test lets it take.
private final class Rig {
    let loop = EmbeddedEventLoop()
    let next = FakeConsumer()
    let registry = MetricRegistry()
    let processor: BatchProcessor
    private let drained = Noted(false)

    init(
        timeout: Duration = .milliseconds(200), size: Int = 100, maxSize: Int = 0,
        _ configure: (inout BatchConfig) -> Void = { _ in }
    ) {
        var config = BatchConfig()
        config.timeout = timeout
        config.sendBatchSize = size
        config.sendBatchMaxSize = maxSize
        configure(&config)
        processor = BatchProcessor(
            config, .alone(.processor, "batch", on: loop, registry: registry), next: PipelineInput(next))
    }

    /// A valid request of so many spans.
    func offer(
        spans: Int, seed: UInt64 = 1, tenant: String? = nil, _ acknowledgement: Acknowledgement? = nil
    ) -> Refusal? {
        let payload = Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: spans, seed: seed)))
        payload.metadata = tenant.map { ClientMetadata([.init("x-tenant", $0)]) }
        return processor.consume(
            Batch(.traces, payload: payload, items: spans, acknowledgement: acknowledgement))
    }

    func advance(milliseconds: Int64) { loop.advanceTime(by: .milliseconds(milliseconds)) }

    func drain(until deadline: NIODeadline) {
        processor.beginDrain(until: deadline).whenSuccess { [drained] in drained.value = true }
        loop.run()
    }

    var isDrained: Bool { drained.value }

    /// Batches sent for their size and for their time.
    var triggers: [UInt64] {
        ["batch_size", "timeout"].map {
            registry.counter(
                "otelcol_processor_batch_\($0)_trigger_send",
                help: "", labels: ["processor": "batch"]
            ).value
        }
    }
}

private let full = Refusal(.queueFull, "full")

@Suite("BatchProcessor")
struct BatchProcessorTests {
    @Test("requests leave together as soon as they are enough, without waiting for the time")
    func size() {
        let rig = Rig(size: 100)
        for _ in 0..<3 { #expect(rig.offer(spans: 30) == nil && rig.next.taken.isEmpty) }
        #expect(rig.offer(spans: 30) == nil)
        #expect(
            rig.next.takenItems == [120] && rig.next.taken[0].slices.count == 4 && rig.triggers == [1, 0])
        rig.advance(milliseconds: 10_000)
        #expect(rig.next.takenItems == [120] && rig.triggers == [1, 0])
        #expect(rig.offer(spans: 250) == nil)
        #expect(rig.next.takenItems == [120, 250])
    }

    @Test("few requests wait no longer than the timeout after the first of them")
    func time() {
        let rig = Rig()
        _ = rig.offer(spans: 1)
        rig.advance(milliseconds: 150)
        _ = rig.offer(spans: 2)
        rig.advance(milliseconds: 49)
        #expect(rig.next.taken.isEmpty)
        rig.advance(milliseconds: 1)
        #expect(rig.next.takenItems == [3] && rig.triggers == [0, 1])
        rig.advance(milliseconds: 1000)
        _ = rig.offer(spans: 4)
        rig.advance(milliseconds: 199)
        #expect(rig.next.takenItems == [3])
        rig.advance(milliseconds: 1)
        #expect(rig.next.takenItems == [3, 4] && rig.triggers == [0, 2])
    }

    @Test("a batch sent for its size starts the time anew, so that no crumbs leave early")
    func timeAfterSize() {
        let rig = Rig(size: 10)
        _ = rig.offer(spans: 1)
        rig.advance(milliseconds: 150)
        _ = rig.offer(spans: 10)
        _ = rig.offer(spans: 2)
        rig.advance(milliseconds: 199)
        #expect(rig.next.takenItems == [11])
        rig.advance(milliseconds: 1)
        #expect(rig.next.takenItems == [11, 2])
    }

    /// What the loop is not woken for must not wait for its next request, which may never come.
    @Test(
        "requests of other loops leave in time, and at once when they are enough, with those of its own loop"
    )
    func otherLoops() async throws {
        let loop = NIOAsyncTestingEventLoop()
        let next = FakeConsumer()
        var config = BatchConfig()
        config.sendBatchSize = 100
        let processor = BatchProcessor(
            config, .alone(.processor, "batch", on: loop), next: PipelineInput(next))
        @Sendable func offer(_ items: Int) { #expect(processor.consume(makeBatch(items: items)) == nil) }
        offer(1)
        await loop.run()
        await loop.advanceTime(by: .milliseconds(150))
        offer(2)
        await loop.advanceTime(by: .milliseconds(49))
        #expect(next.takenItems.isEmpty)
        await loop.advanceTime(by: .milliseconds(1))
        #expect(next.takenItems == [3])
        // The time of the next batch begins with its first request.
        offer(4)
        await loop.run()
        await loop.advanceTime(by: .milliseconds(199))
        #expect(next.takenItems == [3])
        offer(5)
        offer(91)
        await loop.run()
        #expect(next.takenItems == [3, 100])
        offer(6)
        await loop.run()
        offer(7)
        try await loop.submit { offer(87) }.get()
        #expect(next.takenItems == [3, 100, 100])
        offer(8)
        try await loop.submit { offer(92) }.get()
        #expect(next.takenItems == [3, 100, 100, 100])
        offer(9)
        await loop.run()
        await loop.advanceTime(by: .milliseconds(200))
        #expect(next.takenItems == [3, 100, 100, 100, 9])
        _ = await processor.stop(until: .now())
        await loop.shutdownGracefully()
    }

    @Test("send_batch_max_size holds; what is left over waits for more, or for its time")
    func split() {
        let rig = Rig(size: 100, maxSize: 150)
        _ = rig.offer(spans: 99)
        #expect(rig.offer(spans: 260) == nil)
        #expect(rig.next.takenItems == [150, 150] && rig.triggers == [2, 0])
        rig.advance(milliseconds: 199)
        _ = rig.offer(spans: 1)
        rig.advance(milliseconds: 1)
        #expect(rig.next.takenItems == [150, 150, 60] && rig.triggers == [2, 1])
        _ = rig.offer(spans: 260)
        #expect(rig.next.takenItems == [150, 150, 60, 150, 110])
        rig.advance(milliseconds: 1000)
        #expect(rig.next.takenItems == [150, 150, 60, 150, 110])
    }

    @Test("every span comes out once and in order, whatever the sizes", arguments: 0..<20 as Range<UInt64>)
    func conservation(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let size = random.below(60)
        let rig = Rig(
            timeout: .milliseconds(random.below(4) == 0 ? 0 : 200), size: size,
            maxSize: random.below(3) == 0 ? 0 : size + random.below(40) + 1)
        var expected: [ItemInContext] = []
        let answers = Answers()
        for step in 0..<60 as Range<UInt64> {
            let spans = random.below(90) + 1
            let request = RequestBuilder.makeTraces(spans: spans, seed: seed &* 1000 + step)
            expected += itemsInContext(request, .traces)
            #expect(rig.offer(spans: spans, seed: seed &* 1000 + step, answers.acknowledgement()) == nil)
            if random.below(3) == 0 { rig.advance(milliseconds: Int64(random.below(150))) }
        }
        rig.advance(milliseconds: 200)
        let bytes = rig.next.taken.flatMap { $0.slices.map { Array($0.bytes.readableBytesView) } }
        #expect(bytes.flatMap { itemsInContext($0, .traces) } == expected, "seed \(seed)")
        #expect(answers.all.isEmpty)
        for batch in rig.next.taken { batch.settle(.accepted) }
        #expect(answers.all.count == 60, "seed \(seed)")
    }

    @Test(
        "with a timeout or a size of 0 nothing waits, not even what a split leaves over",
        arguments: [(0, 100), (0, 0), (200, 0)] as [(Int, Int)])
    func atOnce(milliseconds: Int, size: Int) {
        let rig = Rig(timeout: .milliseconds(milliseconds), size: size, maxSize: 150)
        _ = rig.offer(spans: 1)
        #expect(rig.next.takenItems == [1])
        _ = rig.offer(spans: 160)
        #expect(rig.next.takenItems == [1, 150, 10])
        _ = rig.offer(spans: 450)
        #expect(rig.next.takenItems == [1, 150, 10, 150, 150, 150])
    }

    @Test(
        "when the exporters take no more, the batch is kept and clients are refused; both end with the trouble"
    )
    func stuck() {
        let rig = Rig(size: 100)
        rig.next.refusal = full
        let answers = Answers()
        #expect(rig.offer(spans: 100, answers.acknowledgement()) == nil)
        let refusal = rig.offer(spans: 1)
        #expect(refusal?.reason == .queueFull && refusal?.isPermanent == false)
        rig.advance(milliseconds: 5000)
        #expect(rig.next.taken.isEmpty && rig.next.dropped.isEmpty && rig.next.asked > 100)
        #expect(rig.offer(spans: 1)?.reason == .queueFull)
        rig.next.refusal = nil
        rig.advance(milliseconds: 20)
        #expect(rig.next.takenItems == [100] && answers.all.isEmpty)
        #expect(rig.offer(spans: 100) == nil)
        #expect(rig.next.takenItems == [100, 100])
    }

    @Test("batches that were refused leave in their order, before younger ones")
    func stuckOrder() {
        let rig = Rig(size: 10, maxSize: 10)
        rig.next.refusal = full
        #expect(rig.offer(spans: 35) == nil)
        rig.advance(milliseconds: 300)
        rig.next.refusal = nil
        rig.advance(milliseconds: 20)
        #expect(rig.next.takenItems == [10, 10, 10, 5] && rig.next.dropped.isEmpty)
    }

    @Test("a batch whose time is over does not overtake one that was refused before")
    func stuckOrderByTime() {
        let rig = Rig(timeout: .milliseconds(190), size: 10, maxSize: 10)
        rig.next.refusal = full
        #expect(rig.offer(spans: 15) == nil)
        rig.advance(milliseconds: 185)
        rig.next.refusal = nil
        rig.advance(milliseconds: 5)
        #expect(rig.next.taken.isEmpty)
        rig.advance(milliseconds: 10)
        #expect(rig.next.takenItems == [10, 5])
    }

    @Test("data that no exporter will ever take is dropped and counted instead of stopping everything")
    func permanent() {
        let rig = Rig(size: 10)
        rig.next.refusal = Refusal(.rejected, "never", isPermanent: true)
        let answers = Answers()
        #expect(rig.offer(spans: 10, answers.acknowledgement()) == nil)
        #expect(rig.next.dropped.map(\.items) == [10] && answers.all.count == 1)
        rig.next.refusal = nil
        #expect(rig.offer(spans: 10) == nil && rig.next.takenItems == [10])
        rig.next.refusal = full
        #expect(rig.offer(spans: 11) == nil)
        rig.next.refusal = Refusal(.shuttingDown, "stopping")
        rig.advance(milliseconds: 20)
        #expect(rig.next.dropped.map(\.items) == [10, 11])
    }

    /// If it failed, one client could fill the memory with tenants, or nobody would see that it tries to.
    @Test("metadata_cardinality_limit bounds the tenants that wait; the page says how many do")
    func tenants() {
        let rig = Rig(size: 10) {
            $0.metadataKeys = ["x-tenant"]
            $0.metadataCardinalityLimit = 3
        }
        let gauge = rig.registry.gauge(
            "otelcol_processor_batch_metadata_cardinality", help: "", labels: ["processor": "batch"])
        #expect(gauge.value == 0)
        let answers = Answers()
        for tenant in 0..<5 { _ = rig.offer(spans: 4, tenant: "\(tenant)", answers.acknowledgement()) }
        #expect(gauge.value == 3 && rig.next.dropped.map(\.items) == [4, 4])
        guard case .refused(let refusal) = answers.all.first else {
            Issue.record("a client was not told")
            return
        }
        #expect(refusal.isPermanent && refusal.message.contains("metadata_cardinality_limit"))
        _ = rig.offer(spans: 6, tenant: "1")
        #expect(gauge.value == 2 && rig.next.takenItems == [10])
        rig.advance(milliseconds: 200)
        #expect(gauge.value == 0 && rig.next.takenItems == [10, 4, 4])
        // Without keys all clients are one, as the Collector counts.
        let plain = Rig()
        let one = plain.registry.gauge(
            "otelcol_processor_batch_metadata_cardinality", help: "", labels: ["processor": "batch"])
        _ = plain.offer(spans: 1, tenant: "a")
        #expect(one.value == 1)
    }

    @Test("data given up before the processor is counted by the exporters behind it")
    func drop() {
        let rig = Rig()
        rig.processor.drop(makeBatch(items: 3), because: full)
        #expect(rig.next.dropped.map(\.items) == [3] && rig.next.taken.isEmpty)
    }
}

@Suite("BatchProcessor, stopping")
struct BatchProcessorDrainTests {
    private let deadline = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test("what is gathered leaves at once, whatever its size")
    func flushes() {
        let rig = Rig(size: 100, maxSize: 100)
        _ = rig.offer(spans: 120)
        rig.drain(until: deadline)
        #expect(rig.isDrained && rig.next.takenItems == [100, 20])
        #expect(rig.offer(spans: 1)?.reason == .shuttingDown)
        rig.advance(milliseconds: 2000)
        #expect(rig.next.takenItems == [100, 20] && rig.next.dropped.isEmpty)
    }

    @Test("what came from other loops and waits for its time leaves, too")
    func flushesMailbox() async throws {
        let loop = NIOAsyncTestingEventLoop()
        let next = FakeConsumer()
        let processor = BatchProcessor(
            BatchConfig(), .alone(.processor, "batch", on: loop), next: PipelineInput(next))
        _ = processor.consume(makeBatch(items: 1))
        await loop.run()
        _ = processor.consume(makeBatch(items: 2))
        _ = try await loop.submit { processor.beginDrain(until: .distantFuture) }.get()
        await loop.run()
        #expect(next.takenItems == [3] && next.dropped.isEmpty)
        await loop.shutdownGracefully()
    }

    @Test("exporters that are full when the gateway stops get the time until the deadline")
    func waits() {
        let rig = Rig(size: 10)
        rig.next.refusal = full
        _ = rig.offer(spans: 10)
        rig.drain(until: deadline)
        rig.advance(milliseconds: 900)
        #expect(!rig.isDrained && rig.next.dropped.isEmpty)
        rig.next.refusal = nil
        rig.advance(milliseconds: 40)
        #expect(rig.isDrained && rig.next.takenItems == [10] && rig.next.dropped.isEmpty)
    }

    @Test("what they have not taken by then is counted and answered once, and stopping goes on")
    func givesUp() {
        let rig = Rig(size: 10)
        rig.next.refusal = full
        let answers = Answers()
        _ = rig.offer(spans: 12, answers.acknowledgement())
        rig.drain(until: deadline)
        rig.advance(milliseconds: 1020)
        #expect(rig.isDrained && rig.next.dropped.map(\.items) == [12] && answers.all.count == 1)
        rig.next.refusal = nil
        rig.advance(milliseconds: 5000)
        #expect(rig.next.taken.isEmpty && rig.next.dropped.count == 1)
    }

    // A loop that had no processor for 30 ms refused thousands of small requests, with memory for all of them.
    @Test("receivers leave bytes in their sockets while the batch's loop is behind", .timeLimit(.minutes(10)))
    func isBehind() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let processor = BatchProcessor(
            BatchConfig(), .alone(.processor, "batch", on: group.next()), next: PipelineInput(FakeConsumer()))
        let goesOn = Noted(false)
        group.next().execute { while !goesOn.value { sched_yield() } }
        for _ in 0..<4096 {
            #expect(!processor.input.shouldPause && processor.consume(makeBatch(items: 1)) == nil)
        }
        #expect(processor.input.shouldPause && processor.consume(makeBatch(items: 1)) == nil)
        goesOn.value = true
        _ = await processor.stop(until: .now() + .seconds(60))
        #expect(!processor.input.shouldPause)
        try await group.shutdownGracefully()
    }

    @Test("nothing disappears when other loops hand over while the gateway stops", .timeLimit(.minutes(10)))
    func threads() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 4)
        let loops = Array(group.makeIterator())
        for round in 0..<20 {
            let next = FakeConsumer()
            var config = BatchConfig()
            config.sendBatchSize = 50
            let processor = BatchProcessor(
                config, .alone(.processor, "batch", on: loops[0]), next: PipelineInput(next))
            let taken = Noted(0)
            let producers = loops.dropFirst().map { loop in
                loop.submit {
                    for _ in 0..<200_000 {
                        switch processor.consume(makeBatch(items: 1))?.reason {
                        case nil: taken.change { $0 += 1 }
                        case .shuttingDown: return
                        default: break
                        }
                    }
                }
            }
            while taken.value < 50 * round { await Task.yield() }
            _ = await processor.stop(until: .now() + .seconds(60))
            for producer in producers { try await producer.get() }
            // Behind whatever was handed over last.
            try await loops[0].submit {}.get()
            let ended = (next.taken + next.dropped).map(\.items).reduce(0, +)
            #expect(ended == taken.value, "round \(round)")
        }
        try await group.shutdownGracefully()
    }
}
