import Configuration
import Glibc
import MetricBuilding
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import Synchronization
import TestSupport
import Testing

/// Requests that take long to count.
@Suite("Collecting spans")
struct SpanCollectorTests {
    /// What happened, in its order.
    private final class Events: Sendable {
        private let list = Mutex([String]())
        var all: [String] { list.withLock { $0 } }
        func add(_ event: String) { list.withLock { $0.append(event) } }
    }

    private func batch(_ name: UInt8, items: Int, _ events: Events) -> Batch {
        Batch(
            .traces, payload: Payload(ByteBuffer(bytes: [name])), items: items,
            acknowledgement: Acknowledgement { outcome in
                if case .accepted = outcome {
                    events.add("answered \(name)")
                } else {
                    events.add("refused \(name)")
                }
            })
    }

    /// If it failed, everybody else on the loop would wait for a request with very many spans; or two would count at a time and spoil
    /// the counts; or what was counted late would be lost at the stop.
    @Test(
        "a large request is counted beside its loop, all else that needs the counts waits, and nothing is lost at a stop"
    )
    func large() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let context = ComponentContext.alone(.connector, "spanmetrics", on: loop)
        let sink = FakeConsumer()
        let events = Events()
        let flushes = Events()
        let isCounting = Atomic(false)
        let isOpen = Atomic(false)
        let collector = SpanCollector(context, [.test("metrics", .metrics, sink)], every: .milliseconds(1)) {
            bytes in
            let wasCounting = isCounting.exchange(true, ordering: .sequentiallyConsistent)
            let name = bytes.array[0]
            events.add(
                "count \(name)\(loop.inEventLoop ? "" : " beside")\(wasCounting ? " with another" : "")")
            while name == 1, !isOpen.load(ordering: .sequentiallyConsistent) { usleep(1000) }
            events.add("counted \(name)")
            isCounting.store(false, ordering: .sequentiallyConsistent)
        } flush: { _ in
            if isCounting.load(ordering: .sequentiallyConsistent) { events.add("flush with another") }
            flushes.add("\(events.all.count)")
            return false
        }
        try await collector.start()
        #expect(collector.consume(batch(0, items: 10, events)) == nil)
        #expect(collector.consume(batch(1, items: 5_000, events)) == nil)
        #expect(collector.consume(batch(2, items: 10, events)) == nil)
        #expect(collector.consume(batch(3, items: 5_000, events)) == nil)
        #expect(collector.consume(batch(4, items: 5_000, events)) == nil)
        // The loop answers while it waits, for longer than a flush's interval.
        for _ in 0..<5 {
            try await loop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
        }
        #expect(!events.all.contains("counted 1"))
        let drained = collector.beginDrain(until: .now() + .seconds(10))
        try await loop.submit {}.get()
        isOpen.store(true, ordering: .sequentiallyConsistent)
        try await drained.get()
        #expect(
            events.all == [
                "count 0", "counted 0", "answered 0", "count 1 beside", "counted 1", "answered 1", "count 2",
                "counted 2", "answered 2", "count 3 beside", "counted 3", "answered 3", "count 4 beside",
                "counted 4", "answered 4",
            ])
        // Those that were due meanwhile are not made up for, and none follows the last one, which has everything.
        #expect(flushes.all.filter { $0 == "15" }.count <= 2 && flushes.all.last == "15")
        let count = flushes.all.count
        try await loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
        #expect(flushes.all.count == count)
        try await group.shutdownGracefully()
    }
}
