import Configuration
import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LoadBalancingExporter

/// Resolves to what the test says. One thread.
private final class FakeResolver: AddressResolver, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the test and its loop are one thread.
    /// nil: no answer ever.
    var answer: Result<[SocketAddress], ResolutionError>?
    var asked = 0

    func resolve(_ host: String, port: Int, on eventLoop: any EventLoop) -> EventLoopFuture<[SocketAddress]> {
        asked += 1
        guard let answer else { return eventLoop.makePromise(of: [SocketAddress].self).futureResult }
        return eventLoop.makeCompletedFuture { try answer.get() }
    }

    func say(_ hosts: [String]) {
        answer = Result { try hosts.map { try SocketAddress(ipAddress: $0, port: 4317) } }
            .mapError { ResolutionError("\($0)") }
    }
}

/// A balancer whose backends answer when the test says so; everything on one loop that the test turns.
private final class Rig: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the test and its loop are one thread.
    let loop = EmbeddedEventLoop()
    let resolver = FakeResolver()
    let registry = MetricRegistry()
    let answers = Answers()
    let counters: SendingQueue.Counters
    private(set) var senders: [String: FakeSender] = [:]
    private(set) var queues: [String: SendingQueue] = [:]
    private(set) var balancer: LoadBalancer!

    init(
        _ config: LoadBalancingConfig, signal: Signal = .traces,
        _ configure: (inout SendingQueueConfig) -> Void = { _ in }
    ) {
        var queue = SendingQueueConfig()
        configure(&queue)
        counters = SendingQueue.Counters(registry, exporter: "loadbalancing", signal: signal)
        let settings = queue
        let parts = LoadBalancer.Parts(
            name: "loadbalancing", signal: signal, queue: queue, counters: counters, resolver: resolver,
            eventLoop: loop, registry: registry, logger: makeSilentLogger()
        ) { [self] endpoint in
            let sender = FakeSender(eventLoop: loop)
            var retry = RetryConfig()
            retry.randomizationFactor = 0
            // Later than the resolver's next answer.
            retry.initialInterval = .seconds(20)
            let queue = SendingQueue(
                name: "\(endpoint)", config: settings, retry: retry, timeout: .zero, sender: sender,
                counters: counters, eventLoop: loop, logger: makeSilentLogger())
            senders[endpoint.host] = sender
            queues[endpoint.host] = queue
            return queue
        }
        balancer = LoadBalancer(config, parts: parts)
    }

    static func fixed(_ hosts: [String] = ["a", "b", "c"]) -> LoadBalancingConfig {
        var config = LoadBalancingConfig()
        config.resolver = .fixed(hosts.map { EndpointConfig(host: $0, port: 4317) })
        return config
    }

    static func dns() -> LoadBalancingConfig {
        var config = LoadBalancingConfig()
        var dns = LoadBalancingConfig.DNS()
        dns.hostname = "backends"
        config.resolver = .dns(dns)
        return config
    }

    func offer(spans: Int, seed: UInt64 = 1) -> Refusal? {
        offer(RequestBuilder.makeTraces(spans: spans, seed: seed), spans)
    }

    func offer(_ request: [UInt8], _ items: Int) -> Refusal? {
        defer { loop.run() }
        return balancer.consume(
            Batch(
                .traces, payload: Payload(ByteBuffer(bytes: request)), items: items,
                acknowledgement: answers.acknowledgement()))
    }

    /// Leaves a backend to its balancer.
    func forget(_ host: String) {
        senders[host] = nil
        queues[host] = nil
    }

    /// Spans that a backend has been asked to take and has not answered.
    func spans(at host: String) -> [ItemInContext] {
        senders[host]!.calls.flatMap { call in
            call.batch.slices.flatMap { itemsInContext(Array($0.bytes.readableBytesView), .traces) }
        }
    }

    func answer(_ host: String, _ result: SendResult) {
        senders[host]!.answer(result)
        loop.run()
    }

    var ends: [UInt64] { [counters.sent.value, counters.failed.value, counters.dropped.value] }
    var held: Int { queues.values.reduce(0) { $0 + $1.currentSize } }
}

/// Without these spans get lost, come twice or are counted wrongly, one dead backend stops all, or a trace is torn apart.
@Suite("Load balancer")
struct LoadBalancerTests {
    @Test("every span is at the one backend that its trace has, and the client is answered once")
    func divides() {
        let rig = Rig(Rig.fixed())
        let request = RequestBuilder.makeTraces(spans: 300)
        #expect(rig.offer(request, 300) == nil)
        #expect(rig.answers.all == [.accepted])
        let parts = ["a", "b", "c"].map { rig.spans(at: $0) }
        #expect(parts.allSatisfy { $0.count > 60 } && parts.map(\.count).reduce(0, +) == 300)
        let ring = HashRing(["a:4317", "b:4317", "c:4317"])
        for item in itemsInContext(request, .traces) {
            // Tag and length of the span, tag and length of the id.
            let id = item.item.drop { $0 != 0x0A }.dropFirst(2).prefix(16)
            let owner = ring.owner(of: RoutingHash.of(id))
            for index in 0..<3 { #expect(parts[index].contains(item) == (index == owner)) }
        }
        for host in ["a", "b", "c"] { rig.answer(host, .success) }
        #expect(rig.ends == [300, 0, 0])
    }

    @Test("a dead backend costs what its own queue has no room for")
    func oneDead() {
        let rig = Rig(Rig.fixed()) { $0.queueSize = 2 }
        for seed in 1...5 as ClosedRange<UInt64> {
            #expect(rig.offer(spans: 30, seed: seed) == nil)
            rig.answer("a", .success)
            rig.answer("b", .success)
        }
        #expect(rig.senders["c"]!.calls.count == 2 && rig.queues["c"]!.currentSize == 2)
        #expect(rig.ends[2] > 0 && rig.ends[1] == 0)
        let waiting = rig.spans(at: "c").count
        #expect(Int(rig.ends[0] + rig.ends[2]) + waiting == 150)
        #expect(rig.answers.all.count >= 5)
    }

    @Test("when no queue takes its part the caller hears of it, and keeps the batch as it was")
    func allRefuse() {
        let rig = Rig(Rig.fixed()) {
            $0.queueSize = 1
            $0.waitForResult = true
        }
        #expect(rig.offer(spans: 30) == nil)
        let answers = Answers()
        let batch = Batch(
            .traces, payload: Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: 30, seed: 2))),
            items: 30,
            acknowledgement: answers.acknowledgement())
        #expect(rig.balancer.consume(batch)?.reason == .queueFull)
        #expect(rig.ends == [0, 0, 0] && answers.all.isEmpty)
        for host in ["a", "b", "c"] { rig.answer(host, .success) }
        #expect(rig.balancer.consume(batch) == nil)
        rig.loop.run()
        for host in ["a", "b", "c"] {
            #expect(answers.all.isEmpty)
            rig.answer(host, .success)
        }
        #expect(answers.all == [.accepted] && rig.ends == [60, 0, 0])
    }

    @Test("with wait_for_result what several backends reject of a request adds up")
    func partial() {
        let rig = Rig(Rig.fixed()) { $0.waitForResult = true }
        #expect(rig.balancer.answersLater)
        #expect(rig.offer(spans: 30) == nil)
        rig.answer("a", .sent(rejectedItems: 2, message: "old"))
        rig.answer("b", .sent(rejectedItems: 1, message: "old"))
        #expect(rig.answers.all.isEmpty)
        rig.answer("c", .success)
        #expect(rig.answers.all == [.partial(rejectedItems: 3, message: "old")])
        #expect(rig.ends == [27, 3, 0])
    }

    @Test("a trace that is alone goes on as it came")
    func whole() {
        let rig = Rig(Rig.fixed())
        let payload = Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: 1)))
        #expect(rig.balancer.consume(Batch(.traces, payload: payload, items: 1)) == nil)
        rig.loop.run()
        let call = ["a", "b", "c"].compactMap { rig.senders[$0]!.calls.first }
        #expect(call.count == 1 && call[0].batch.slices[0].payload === payload)
    }

    @Test(
        "what a backend that goes has not delivered goes to the others, also what it is asked for at the moment"
    )
    func leaves() throws {
        let rig = Rig(Rig.dns()) { $0.numConsumers = 1 }
        rig.resolver.say(["10.0.0.1", "10.0.0.2"])
        let started = rig.balancer.resolve()
        rig.loop.run()
        try started.wait()
        for seed in 1...3 as ClosedRange<UInt64> { #expect(rig.offer(spans: 40, seed: seed) == nil) }
        rig.answer("10.0.0.2", .success)
        let sent = Int(rig.ends[0])
        rig.resolver.say(["10.0.0.1", "10.0.0.3"])
        rig.loop.advanceTime(by: .seconds(5))
        #expect(rig.balancer.endpoints.map(\.host) == ["10.0.0.1", "10.0.0.3"])
        // One batch was on its way; the one behind it is with the others already.
        #expect(rig.senders["10.0.0.2"]!.calls.count == 1 && rig.queues["10.0.0.2"]!.currentSize == 1)
        rig.answer("10.0.0.2", .down)
        #expect(rig.queues["10.0.0.2"]!.currentSize == 0 && rig.senders["10.0.0.2"]!.isClosed)
        while rig.held > 0 {
            for host in ["10.0.0.1", "10.0.0.3"] where !rig.senders[host]!.calls.isEmpty {
                rig.answer(host, .success)
            }
        }
        #expect(sent > 0 && rig.ends == [120, 0, 0])
        // No client hears of it.
        #expect(rig.answers.all == [.accepted, .accepted, .accepted])
    }

    @Test("a backend that is gone leaves nothing in memory: pods come and go for months")
    func released() {
        let rig = Rig(Rig.dns())
        rig.resolver.say(["10.0.0.1", "10.0.0.2"])
        _ = rig.balancer.resolve()
        rig.loop.run()
        #expect(rig.offer(spans: 40) == nil)
        rig.answer("10.0.0.1", .success)
        rig.answer("10.0.0.2", .down)
        weak let queue = rig.queues["10.0.0.2"]
        weak let sender = rig.senders["10.0.0.2"]
        rig.forget("10.0.0.2")
        #expect(queue != nil && sender != nil)
        rig.resolver.say(["10.0.0.1"])
        rig.loop.advanceTime(by: .seconds(5))
        #expect(queue == nil && sender == nil)
        rig.answer("10.0.0.1", .success)
        #expect(rig.ends == [40, 0, 0])
    }

    @Test("with wait_for_result the client waits for the backend that inherits")
    func leavesAwaited() throws {
        let rig = Rig(Rig.dns()) { $0.waitForResult = true }
        rig.resolver.say(["10.0.0.1"])
        _ = rig.balancer.resolve()
        rig.loop.run()
        #expect(rig.offer(spans: 5) == nil)
        rig.answer("10.0.0.1", .down)
        rig.resolver.say(["10.0.0.2"])
        rig.loop.advanceTime(by: .seconds(5))
        #expect(rig.answers.all.isEmpty && rig.spans(at: "10.0.0.2").count == 5)
        rig.answer("10.0.0.2", .success)
        #expect(rig.answers.all == [.accepted] && rig.ends == [5, 0, 0])
    }

    @Test("without an answer of the resolver data is refused for the moment; later failures change nothing")
    func unresolved() throws {
        let rig = Rig(Rig.dns())
        let started = Noted(false)
        rig.balancer.resolve().whenSuccess { _ in started.value = true }
        rig.loop.run()
        #expect(!started.value)
        rig.loop.advanceTime(by: .seconds(1))
        #expect(started.value)
        let refusal = rig.offer(spans: 1)
        #expect(refusal?.reason == .unavailable && refusal?.isPermanent == false)
        #expect(
            refusal?.message
                == "exporter loadbalancing has no backend: no answer for backends within 1.0 seconds")

        let other = Rig(Rig.dns())
        other.resolver.say(["10.0.0.1"])
        _ = other.balancer.resolve()
        other.loop.run()
        other.resolver.answer = .failure(ResolutionError("no"))
        other.loop.advanceTime(by: .seconds(10))
        #expect(other.resolver.asked == 3 && other.offer(spans: 1) == nil)
    }
}
