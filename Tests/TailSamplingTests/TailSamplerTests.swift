import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing
import TraceStore

@testable import TailSampling

/// A sampler on a loop whose time the test moves.
private final class Rig {
    let loop = EmbeddedEventLoop()
    let next = FakeConsumer()
    let registry = MetricRegistry()
    let ledger = MemoryLedger()
    let context: ComponentContext
    let sampler: TailSampler

    init(_ yaml: String) {
        let diagnostics = Diagnostics()
        let config = TailSamplingConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        context = .alone(.processor, "tail_sampling", on: loop, registry: registry, ledger: ledger)
        sampler = TailSampler(config, context, next: PipelineInput(next))
        sampler.startTicking()
    }

    @discardableResult
    func offer(_ spans: [TestSpan], _ acknowledgement: Acknowledgement? = nil) -> Refusal? {
        let payload = Payload(ByteBuffer(bytes: TestSpan.request(spans)))
        let refusal = sampler.consume(
            Batch(.traces, payload: payload, items: spans.count, acknowledgement: acknowledgement))
        loop.run()
        return refusal
    }

    func wait(seconds: Int64) { loop.advanceTime(by: .seconds(seconds)) }

    func stop() {
        _ = sampler.beginDrain(until: loop.now)
        loop.run()
    }

    /// Span ids by trace, as they left.
    var kept: [UInt8: [UInt8]] {
        var kept: [UInt8: [UInt8]] = [:]
        for batch in next.taken {
            for slice in batch.slices {
                for span in TestSpan.read(slice.bytes) { kept[span.trace, default: []].append(span.id) }
            }
        }
        return kept
    }

    func counter(_ name: String, _ labels: MetricLabels = ["processor": "tail_sampling"]) -> UInt64 {
        registry.counter(name, help: "", labels: labels).value
    }
}

/// A span of a trace, both named by a byte.
private struct TestSpan: Equatable {
    var trace: UInt8
    var id: UInt8
    var isRoot = false
    var isError = false
    var service = "shop"
    var attributes: [(String, String)] = []
    var nanoseconds: UInt64 = 1_000_000
    var size = 0
    var state = ""

    static func == (left: TestSpan, right: TestSpan) -> Bool {
        left.trace == right.trace && left.id == right.id
    }

    static func request(_ spans: [TestSpan]) -> [UInt8] {
        var request = ProtoWriter()
        var services: [String] = []
        for span in spans where !services.contains(span.service) { services.append(span.service) }
        for service in services {
            request.message(1) {
                $0.message(1) { $0.attribute(1, "service.name", service) }
                $0.message(2) { scope in
                    scope.message(1) { $0.text(1, "lib") }
                    for span in spans where span.service == service { scope.message(2) { span.write(&$0) } }
                }
            }
        }
        return request.bytes
    }

    private func write(_ writer: inout ProtoWriter) {
        writer.field(1, Array(repeating: trace, count: 16))
        writer.field(2, Array(repeating: id, count: 8))
        if !state.isEmpty { writer.text(3, state) }
        if !isRoot { writer.field(4, Array(repeating: 9, count: 8)) }
        writer.text(5, "span")
        writer.fixed64(7, 1_700_000_000_000_000_000)
        writer.fixed64(8, 1_700_000_000_000_000_000 &+ nanoseconds)
        for (key, value) in attributes { writer.attribute(9, key, value) }
        if size > 0 { writer.attribute(9, "padding", String(repeating: "x", count: size)) }
        if isError { writer.message(15) { $0.integer(3, 2) } }
    }

    static func read(_ buffer: ByteBuffer) -> [TestSpan] {
        buffer.withUnsafeReadableBytes { bytes in
            var spans: [TestSpan] = []
            for resource in WireBytes(bytes).fields {
                for scope in resource.bytes.fields where scope.number == 2 {
                    for span in scope.bytes.fields where span.number == 2 {
                        spans.append(
                            TestSpan(
                                trace: span.bytes.message(1).array[0], id: span.bytes.message(2).array[0]))
                    }
                }
            }
            return spans
        }
    }
}

private let always = "{name: all, type: always_sample}"
private let errors = "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}"

@Suite("tail_sampling")
struct TailSamplerTests {
    /// Otherwise operators would pay for traces without the spans that explain them.
    @Test("a trace leaves whole, however its spans were spread over requests and services")
    func whole() {
        let rig = Rig("decision_wait: 5s\npolicies: [\(errors)]")
        rig.offer([.init(trace: 1, id: 1), .init(trace: 2, id: 1), .init(trace: 1, id: 2)])
        rig.offer([.init(trace: 2, id: 2, service: "pay"), .init(trace: 1, id: 3, isError: true)])
        rig.wait(seconds: 4)
        #expect(rig.next.taken.isEmpty)
        rig.wait(seconds: 2)
        #expect(rig.kept.mapValues(\.count) == [1: 3] && Set(rig.kept[1] ?? []) == [1, 2, 3])
        let reading = rig.context.account.read()
        #expect(reading.entered == 5 && reading.left == 3 && reading.dropped[.notSampled] == 2)
        #expect(reading.inside == 0)
    }

    /// Otherwise the memory limiter would not know what waits, and memory would leak with each trace.
    @Test("what waits is charged to the ledger, and given back")
    func ledger() {
        let rig = Rig(
            "decision_wait: 1s\ndecision_cache: {sampled_cache_size: 9, non_sampled_cache_size: 9}\npolicies: [\(errors)]"
        )
        let before = rig.ledger.bytes
        rig.offer((0..<100).map { .init(trace: $0, id: 1, isError: $0 % 2 == 0, size: 400) })
        #expect(rig.ledger.bytes > before + 40_000 && rig.ledger.bytes < before + 100 * (400 + 100 + 200))
        rig.wait(seconds: 3)
        #expect(rig.kept.count == 50)
        // The caches keep nine ids each.
        let sent = rig.next.taken.reduce(0) { $0 + $1.slices[0].payload.bytes.capacity }
        #expect(rig.ledger.bytes == sent + 18 * 100)
    }

    /// Otherwise caches of a million decisions would take a hundred megabytes that the memory limiter does not see, or a
    /// pipeline that was replaced would leave their charge behind.
    @Test("decision caches are charged as they grow, and released with the sampler")
    func cachesAreCharged() {
        let ledger = MemoryLedger()
        do {
            var cache = DecisionCache(capacity: 100_000, ledger: ledger)
            #expect(ledger.bytes == 0)
            for id in 1...1000 as ClosedRange<UInt64> { cache.insert(TraceID(low: id, high: id)) }
            let isKnown = cache.contains(TraceID(low: 1000, high: 1000))
            #expect(isKnown)
            #expect(ledger.bytes == 100_000)
            // One that is known takes no more.
            cache.insert(TraceID(low: 1000, high: 1000))
            #expect(ledger.bytes == 100_000)
        }
        #expect(ledger.bytes == 0)
    }

    /// Otherwise a client would wait half a minute for its answer and send everything twice, or fill the mailbox with requests
    /// that are refused after they were received.
    @Test("a client is answered when its spans wait, not before")
    func answer() {
        let rig = Rig("policies: [\(always)]")
        let answers = Answers()
        rig.offer([.init(trace: 1, id: 1)], answers.acknowledgement())
        #expect(answers.all == [.accepted] && rig.next.taken.isEmpty)
        #expect(rig.sampler.input.isAnsweredWhenSettled)
    }

    /// Otherwise late spans of sampled traces would be lost, or start traces of their own.
    @Test("spans that come late meet the decision", arguments: [true, false])
    func late(isCached: Bool) {
        let cache = isCached ? "decision_cache: {sampled_cache_size: 9, non_sampled_cache_size: 9}\n" : ""
        let rig = Rig("decision_wait: 1s\n\(cache)policies: [\(errors)]")
        rig.offer([.init(trace: 1, id: 1, isError: true), .init(trace: 2, id: 1)])
        rig.wait(seconds: 3)
        rig.offer([.init(trace: 1, id: 2), .init(trace: 2, id: 2, isError: true)])
        #expect(rig.kept == [1: [1, 2]])
        rig.wait(seconds: 10)
        #expect(rig.kept == [1: [1, 2]])
        let onMemory = rig.registry.gauge(
            "otelcol_processor_tail_sampling_sampling_traces_on_memory", help: "",
            labels: ["processor": "tail_sampling"])
        #expect(onMemory.value == (isCached ? 0 : 2))
        #expect(rig.context.account.read().inside == 0)
    }

    /// Scenario: a job whose spans come over half an hour, far longer than the wait. Otherwise they would be lost, or half of them.
    @Test(
        "spans of half an hour meet their trace's decision as long as it is remembered, then they are a trace anew"
    )
    func halfAnHour() {
        let rig = Rig(
            "decision_cache: {sampled_cache_size: 9, non_sampled_cache_size: 9}\npolicies: [\(errors)]")
        rig.offer([.init(trace: 1, id: 0, isError: true), .init(trace: 2, id: 0)])
        for minute in 1...30 as ClosedRange<UInt8> {
            rig.wait(seconds: 60)
            rig.offer([.init(trace: 1, id: minute), .init(trace: 2, id: minute, isError: true)])
        }
        #expect(rig.kept == [1: Array(0...30)])
        #expect(rig.context.account.read().dropped[.notSampled] == 31)
        // Nine other traces are more than the caches hold beside them.
        rig.offer((10..<19).map { .init(trace: $0, id: 0, isError: true) })
        rig.wait(seconds: 60)
        rig.offer([.init(trace: 1, id: 31), .init(trace: 2, id: 31, isError: true)])
        rig.wait(seconds: 60)
        #expect(rig.kept[1]?.count == 31 && rig.kept[2] == nil)
        #expect(rig.context.account.read().inside == 0)
    }

    /// Otherwise a header that says nothing to anybody else would decide here.
    @Test(
        "a tracestate that breaks W3C's rules anywhere has no members",
        arguments: [
            ("tier=gold", true), ("vendor=a,tier=gold", true), (" tier=gold", true), ("\ttier=gold\t", true),
            (",,tier=gold", true), ("9t@sys=1,tier=gold", true), ("tier=gold,x@y=z", true),
            ("tier = gold", false), ("Bad=1,tier=gold", false), ("tier=gold,tier=gold", false),
            ("x,tier=gold", false), ("x=,tier=gold", false), ("tier=gold, ", false), ("tier=go=ld", false),
            ("tier=gold,9x=1", false), ("tier=gold,@y=z", false), ("tier=gold,x@9=z", false),
            ("9t@system123456789=1,tier=gold", false), ("tier=silver", false), ("tier=gold,x=é", false),
            ((0..<31).map { "k\($0)=1," }.joined() + "tier=gold", true),
            ((0..<32).map { "k\($0)=1," }.joined() + "tier=gold", false),
        ])
    func traceState(header: String, isSampled: Bool) {
        let rig = Rig(
            "decision_wait: 1s\npolicies: [{name: t, type: trace_state, trace_state: {key: tier, values: [gold]}}]"
        )
        rig.offer([.init(trace: 1, id: 1, state: header)])
        rig.wait(seconds: 3)
        #expect((rig.kept[1] != nil) == isSampled)
    }

    /// Otherwise one flood of ids would take all memory.
    @Test("of more traces than num_traces the oldest go, counted")
    func eviction() {
        let rig = Rig("decision_wait: 1s\nnum_traces: 3\npolicies: [\(always)]")
        for trace in 1...6 as ClosedRange<UInt8> { rig.offer([.init(trace: trace, id: 1)]) }
        rig.wait(seconds: 3)
        #expect(rig.kept.keys.sorted() == [4, 5, 6])
        #expect(rig.counter("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early") == 3)
        #expect(rig.context.account.read().dropped[.stateLimit] == 3)
    }

    /// Otherwise `block_on_overflow` would lose what it promises to keep, or never open again.
    @Test("with block_on_overflow requests are refused until traces were decided")
    func block() {
        let rig = Rig("decision_wait: 1s\nnum_traces: 2\nblock_on_overflow: true\npolicies: [\(always)]")
        #expect(rig.offer([.init(trace: 1, id: 1), .init(trace: 2, id: 1)]) == nil)
        #expect(rig.offer([.init(trace: 3, id: 1)])?.reason == .queueFull)
        rig.wait(seconds: 3)
        #expect(rig.offer([.init(trace: 3, id: 1)]) == nil)
        rig.wait(seconds: 3)
        #expect(rig.kept.keys.sorted() == [1, 2, 3])
    }

    /// Otherwise a loop in somebody's code would fill the gateway with one trace.
    @Test("a trace of a hundred thousand spans is bounded by maximum_trace_size_bytes")
    func largeTrace() {
        let rig = Rig("decision_wait: 9s\nmaximum_trace_size_bytes: 100000\npolicies: [\(always)]")
        for _ in 0..<100 { rig.offer((0..<1000).map { _ in .init(trace: 7, id: 1) }) }
        #expect(rig.ledger.bytes < 200_000)
        #expect(rig.counter("otelcol_processor_tail_sampling_traces_dropped_too_large") == 1)
        #expect(rig.context.account.read().dropped[.notSampled] == 100_000)
        rig.wait(seconds: 20)
        #expect(rig.kept.isEmpty)
    }

    /// Otherwise `max_bytes` would lose traces, or not hold.
    @Test("with max_bytes the oldest traces are decided early with what is there")
    func maxBytes() {
        let rig = Rig("decision_wait: 60s\nmax_bytes: 50000\npolicies: [\(always)]")
        for trace in 0..<200 as Range<UInt8> { rig.offer([.init(trace: trace, id: 1, size: 1000)]) }
        let early = rig.counter("sluice_processor_tail_sampling_decided_early_traces")
        #expect(early > 150 && Int(early) == rig.kept.count)
        #expect(rig.kept[0] == [1] && rig.kept[199] == nil)
        rig.stop()
        #expect(rig.kept.count == 200)
    }

    /// Otherwise a sampler would decide each new trace with its first spans once it remembers enough old ones.
    @Test("traces that were decided take nothing of max_bytes")
    func maxBytesOfDecidedTraces() {
        let rig = Rig("decision_wait: 1s\nmax_bytes: 10000\npolicies: [\(always)]")
        for trace in 0..<200 as Range<UInt8> {
            rig.offer([.init(trace: trace, id: 1)])
            if trace % 20 == 19 { rig.wait(seconds: 3) }
        }
        #expect(rig.kept.count == 200)
        rig.offer([.init(trace: 201, id: 1)])
        #expect(rig.kept.count == 200)
        #expect(rig.counter("sluice_processor_tail_sampling_decided_early_traces") == 0)
    }

    /// Otherwise a late span of a sampled trace would be the end of the wait of another trace.
    @Test("spans that are about to leave take nothing of max_bytes")
    func maxBytesOfLateSpans() {
        let rig = Rig("decision_wait: 1s\nmax_bytes: 10000\npolicies: [\(always)]")
        rig.offer([.init(trace: 1, id: 1)])
        rig.wait(seconds: 3)
        rig.offer([.init(trace: 2, id: 1)])
        rig.offer([.init(trace: 1, id: 2, size: 20_000)])
        #expect(rig.kept == [1: [1, 2]])
        #expect(rig.counter("sluice_processor_tail_sampling_decided_early_traces") == 0)
        rig.wait(seconds: 3)
        #expect(rig.kept == [1: [1, 2], 2: [1]])
    }

    /// Otherwise traces would be decided at another one's time, or never, once what a burst needed was given back.
    @Test("after a while without traces all goes on as before", arguments: [0, 1000])
    func idle(cacheSize: Int) {
        let rig = Rig(
            """
            decision_wait: 4s
            decision_wait_after_root_received: 2s
            decision_cache: {sampled_cache_size: \(cacheSize), non_sampled_cache_size: \(cacheSize)}
            policies: [\(errors)]
            """)
        for round in 0..<3 as Range<UInt8> {
            for trace in 1...50 as ClosedRange<UInt8> {
                rig.offer([
                    .init(trace: trace + 50 * round, id: 1, isRoot: trace % 2 == 0, isError: trace % 5 == 0)
                ])
            }
            // Those with a root first, each at its own time.
            rig.wait(seconds: 1)
            #expect(rig.kept.count == Int(round) * 10)
            rig.wait(seconds: 2)
            #expect(rig.kept.count == Int(round) * 10 + 5)
            rig.wait(seconds: 27)
            #expect(rig.kept.count == Int(round + 1) * 10 && rig.kept[5 + 50 * round] == [1])
            rig.offer([.init(trace: 5 + 50 * round, id: 2)])
            #expect(rig.kept[5 + 50 * round] == [1, 2])
            rig.wait(seconds: 30)
            // With caches the store is empty, and what it needed is given back; else it has the traces that were decided.
            #expect((rig.sampler.emptyTicks > 10) == (cacheSize > 0))
            #expect(rig.sampler.store.count == (cacheSize > 0 ? 0 : 50 * Int(round + 1)))
            if cacheSize > 0 { #expect(rig.sampler.waiting.isEmpty && rig.sampler.rooted.isEmpty) }
        }
    }

    /// Otherwise a stop would lose half a minute of traces.
    @Test("a stop decides what waits", arguments: [false, true])
    func stop(drops: Bool) {
        let rig = Rig("drop_pending_traces_on_shutdown: \(drops)\npolicies: [\(errors)]")
        rig.offer([.init(trace: 1, id: 1, isError: true), .init(trace: 2, id: 1)])
        rig.stop()
        #expect(rig.kept == (drops ? [:] : [1: [1]]))
        #expect(rig.context.account.read().inside == 0)
        #expect(rig.offer([.init(trace: 3, id: 1)])?.reason == .shuttingDown)
    }

    /// Otherwise short traces would wait as long as the longest one.
    @Test("a root span brings the decision forward")
    func root() {
        let rig = Rig("decision_wait: 60s\ndecision_wait_after_root_received: 2s\npolicies: [\(always)]")
        rig.offer([.init(trace: 1, id: 1, isRoot: true), .init(trace: 2, id: 1)])
        rig.wait(seconds: 4)
        #expect(rig.kept == [1: [1]])
        rig.wait(seconds: 60)
        #expect(rig.kept == [1: [1], 2: [1]])
    }

    /// Otherwise traces would be lost while a backend is away for a moment.
    @Test("while the exporters take nothing requests are refused and nothing is lost")
    func stuck() {
        let rig = Rig("decision_wait: 1s\npolicies: [\(always)]")
        rig.offer([.init(trace: 1, id: 1)])
        rig.next.refusal = Refusal(.queueFull, "full")
        rig.wait(seconds: 3)
        #expect(rig.offer([.init(trace: 2, id: 1)])?.reason == .queueFull)
        rig.next.refusal = nil
        rig.wait(seconds: 1)
        #expect(rig.kept == [1: [1]] && rig.offer([.init(trace: 2, id: 1)]) == nil)
    }

    /// Otherwise errors would be seen half a minute after they came although `span-ingest` was chosen.
    @Test("span-ingest decides when a span that matches comes")
    func spanIngest() {
        let rig = Rig("sampling_strategy: span-ingest\ndecision_wait: 2s\npolicies: [\(errors)]")
        rig.offer([.init(trace: 1, id: 1), .init(trace: 2, id: 1)])
        #expect(rig.kept.isEmpty)
        rig.offer([.init(trace: 1, id: 2, isError: true)])
        #expect(rig.kept == [1: [1, 2]])
        rig.offer([.init(trace: 1, id: 3)])
        #expect(rig.kept == [1: [1, 2, 3]])
        rig.wait(seconds: 4)
        #expect(rig.kept == [1: [1, 2, 3]])
    }

    /// Otherwise what must not be kept would be, because a policy before it matched.
    @Test("what drops wins, also with span-ingest", arguments: ["trace-complete", "span-ingest"])
    func drop(strategy: String) {
        let rig = Rig(
            "sampling_strategy: \(strategy)\ndecision_wait: 1s\npolicies: [\(always), {name: d, type: drop, "
                + "drop: {drop_sub_policy: [{name: h, type: string_attribute, string_attribute: "
                + "{key: path, values: [/health]}}]}}]")
        rig.offer([.init(trace: 1, id: 1), .init(trace: 2, id: 1)])
        rig.offer([.init(trace: 1, id: 2, attributes: [("path", "/health")])])
        rig.wait(seconds: 3)
        #expect(rig.kept == [2: [1]])
        let labels: MetricLabels = ["processor": "tail_sampling", "sampled": "false", "decision": "dropped"]
        #expect(rig.counter("otelcol_processor_tail_sampling_global_count_traces_sampled", labels) == 1)
    }

    /// Otherwise a budget in spans or bytes would not be one.
    @Test(
        "rates hold, and a trace that is larger than the burst never passes",
        arguments: [
            ("{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 2, burst_capacity: 3}}", 3),
            (
                "{name: r, type: bytes_limiting, bytes_limiting: {bytes_per_second: 100, burst_capacity: 300}}",
                3
            ),
            (
                "{name: c, type: composite, composite: {max_total_spans_per_second: 4, composite_sub_policy: "
                    + "[{name: a, type: always_sample}], rate_allocation: [{policy: a, percent: 75}]}}", 3
            ),
        ])
    func rates(policy: String, traces: Int) {
        let rig = Rig("decision_wait: 1s\npolicies: [\(policy)]")
        rig.offer((1...6).map { .init(trace: $0, id: 1) })
        rig.wait(seconds: 2)
        #expect(rig.kept.count == traces)
        rig.offer((0..<20).map { .init(trace: 9, id: $0) })
        rig.wait(seconds: 60)
        #expect(rig.kept[9] == nil)
    }

    /// Otherwise a broken clock would stop the gateway.
    @Test("times that make no sense are no trouble", arguments: [UInt64.max, 1 << 63, 0, UInt64.max - 5])
    func clocks(nanoseconds: UInt64) {
        let rig = Rig(
            "decision_wait: 1s\npolicies: [{name: l, type: latency, latency: {threshold_ms: 100}}]")
        rig.offer([
            .init(trace: 1, id: 1, nanoseconds: nanoseconds), .init(trace: 1, id: 2, nanoseconds: 5),
        ])
        rig.wait(seconds: 3)
        #expect(rig.context.account.read().inside == 0)
    }

    /// Scenario: with `span-ingest`, a request brings a small span of a trace, and then, in another resource, one that is larger
    /// than a trace may be; the decision is kept in the cache. Otherwise freed spans would be looked at, and the gateway end.
    @Test("a trace that becomes too large within a request is forgotten once")
    func tooLargeWithinARequest() {
        let rig = Rig(
            """
            decision_wait: 1s
            sampling_strategy: span-ingest
            maximum_trace_size_bytes: 10000
            decision_cache: {non_sampled_cache_size: 1000}
            policies: [{name: a, type: always_sample}]
            """)
        for round in 0..<50 as Range<UInt8> {
            rig.offer([
                .init(trace: round, id: 1, service: "a"),
                .init(trace: round, id: 2, service: "b", size: 20_000),
                .init(trace: 200, id: round, service: "c"),
            ])
        }
        rig.wait(seconds: 5)
        rig.stop()
        #expect(rig.kept[0] == nil && rig.kept[200]?.count == 50)
        #expect(rig.context.account.read().inside == 0)
    }
}
