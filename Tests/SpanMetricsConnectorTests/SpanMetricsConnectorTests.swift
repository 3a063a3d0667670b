import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import SpanMetricsConnector
import TestSupport
import Testing

/// A connector on a loop whose time the test moves.
private final class Rig {
    let loop = EmbeddedEventLoop()
    let next = FakeConsumer()
    let registry = MetricRegistry()
    let ledger = MemoryLedger()
    let context: ComponentContext
    let output: PipelineOutput
    let connector: SpanMetricsConnector

    init(_ yaml: String) {
        let diagnostics = Diagnostics()
        let config = SpanMetricsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        context = .alone(.connector, "span_metrics", on: loop, registry: registry, ledger: ledger)
        output = .test("out", .metrics, next)
        let loop = loop
        let bound = NIOLoopBound(loop, eventLoop: loop)
        connector = SpanMetricsConnector(config, context, [output], instance: "i") {
            Int64(bound.value.now.uptimeNanoseconds) + 1_700_000_000_000_000_000
        }
        connector.startFlushing()
    }

    func offer(_ bytes: [UInt8]) {
        let items = (try? bytes.withUnsafeBytes { try summarize($0, as: .traces).items }) ?? 0
        precondition(
            connector.consume(Batch(.traces, payload: Payload(ByteBuffer(bytes: bytes)), items: items))
                == nil)
        loop.run()
    }

    /// The lines of the flushes since the last call.
    func flush(seconds: Int64 = 60) -> [String] {
        let before = next.taken.count
        loop.advanceTime(by: .seconds(seconds))
        return MetricLines.read(Array(next.taken[before...]))
    }
}

/// A span, with `milliseconds` as its duration.
private struct TestSpan {
    var name = "op"
    var kind: UInt64 = 2
    var status: UInt64 = 0
    var milliseconds: Double = 3
    var attributes: [(String, String)] = []
    var events: [[(String, String)]] = []
    var traceID = Array(repeating: UInt8(7), count: 16)

    func write(_ writer: inout ProtoWriter) {
        writer.field(1, traceID)
        writer.field(2, Array(repeating: 8, count: 8))
        writer.text(5, name)
        writer.integer(6, kind)
        writer.fixed64(7, 1_700_000_000_000_000_000)
        writer.fixed64(8, UInt64(1_700_000_000_000_000_000 + Int64(milliseconds * 1e6)))
        for (key, value) in attributes { writer.attribute(9, key, value) }
        for event in events {
            writer.message(11) {
                $0.text(2, "exception")
                for (key, value) in event { $0.attribute(3, key, value) }
            }
        }
        if status > 0 { writer.message(15) { $0.integer(3, status) } }
    }
}

private func request(
    _ spans: [TestSpan], resource: [(String, String)] = [("service.name", "shop")],
    scope: String = "lib"
) -> [UInt8] {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(1) { for (key, value) in resource { $0.attribute(1, key, value) } }
        $0.message(2) { entry in
            entry.message(1) {
                $0.text(1, scope)
                $0.text(2, "1.0")
            }
            for span in spans { entry.message(2) { span.write(&$0) } }
        }
    }
    return request.bytes
}

/// Labels as every span has them, with more behind.
private func labels(
    _ name: String = "op", _ kind: String = "SERVER", _ status: String = "UNSET", _ more: String = "",
    service: String = "shop"
) -> String {
    "{service.name=\(service),span.name=\(name),span.kind=SPAN_KIND_\(kind),status.code=STATUS_CODE_\(status),"
        + "collector.instance.id=i\(more)}"
}

private let calls = "traces.span.metrics.calls"
private let duration = "traces.span.metrics.duration"
private let delta = "aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA\n"

@Suite("span_metrics")
struct SpanMetricsConnectorTests {
    /// Otherwise dashboards would show other numbers, or series under names that they do not ask for.
    @Test(
        "the metrics of a flush",
        arguments: [
            // One span.
            ("", [TestSpan()], ["\(calls)\(labels()) 1", "\(duration)\(labels()) n=1 sum=3.0 [1:1]"]),
            // Every kind and status is a series of its own.
            (
                "histogram: {disable: true}", (0...5).map { TestSpan(kind: $0) },
                ["CLIENT", "CONSUMER", "INTERNAL", "PRODUCER", "SERVER", "UNSPECIFIED"].map {
                    "\(calls)\(labels("op", $0)) 1"
                }
            ),
            (
                "histogram: {disable: true}", (0...2).map { TestSpan(status: $0) },
                ["ERROR", "OK", "UNSET"].map { "\(calls)\(labels("op", "SERVER", $0)) 1" }
            ),
            (
                "histogram: {disable: true}", [TestSpan(kind: 99)],
                ["\(calls)\(labels("op", "UNSPECIFIED")) 1"]
            ),
            // Bounds are inclusive; what is above all of them has a bucket.
            (
                "calls_dimensions: [{name: none}]\nhistogram: {explicit: {buckets: [2ms, 10ms]}}",
                [TestSpan(milliseconds: 2), TestSpan(milliseconds: 2.5), TestSpan(milliseconds: 11)],
                ["\(calls)\(labels()) 3", "\(duration)\(labels()) n=3 sum=15.5 [0:1 1:1 2:1]"]
            ),
            // A span that ends before it starts took nothing.
            (
                "", [TestSpan(milliseconds: -5)],
                ["\(calls)\(labels()) 1", "\(duration)\(labels()) n=1 sum=0.0 [0:1]"]
            ),
            // One whose clock is off by a century is counted like any other.
            (
                "", [TestSpan(milliseconds: 3_153_600_000_000), TestSpan(milliseconds: -1_500_000_000_000)],
                ["\(calls)\(labels()) 2", "\(duration)\(labels()) n=2 sum=3153600000000.0 [0:1 16:1]"]
            ),
            (
                "histogram: {unit: s}", [TestSpan(milliseconds: 3)],
                ["\(calls)\(labels()) 1", "\(duration)\(labels()) n=1 sum=0.003 [1:1]"]
            ),
            (
                "histogram: {exponential: {max_size: 20}}",
                [TestSpan(milliseconds: 0), TestSpan(milliseconds: 4)],
                ["\(calls)\(labels()) 2", "\(duration)\(labels()) n=2 zero=1 scale=20"]
            ),
            // Dimensions: span, else resource, else default, else no label.
            (
                "histogram: {disable: true}\ndimensions: [{name: route}]",
                [TestSpan(attributes: [("route", "/x")]), TestSpan()],
                ["\(calls)\(labels("op", "SERVER", "UNSET", ",route=/x")) 1", "\(calls)\(labels()) 1"]
            ),
            (
                "histogram: {disable: true}\ndimensions: [{name: route, default: none}]", [TestSpan()],
                ["\(calls)\(labels("op", "SERVER", "UNSET", ",route=none")) 1"]
            ),
            // Values of different attributes are not taken for one another.
            (
                "histogram: {disable: true}\ndimensions: [{name: a}, {name: b}]",
                [TestSpan(attributes: [("a", "x")]), TestSpan(attributes: [("b", "x")])],
                [
                    "\(calls)\(labels("op", "SERVER", "UNSET", ",a=x")) 1",
                    "\(calls)\(labels("op", "SERVER", "UNSET", ",b=x")) 1",
                ]
            ),
            (
                "histogram: {dimensions: [{name: a}]}", [TestSpan(attributes: [("a", "x")])],
                [
                    "\(calls)\(labels()) 1",
                    "\(duration)\(labels("op", "SERVER", "UNSET", ",a=x")) n=1 sum=3.0 [1:1]",
                ]
            ),
            (
                "calls_dimensions: [{name: a}]", [TestSpan(attributes: [("a", "x")])],
                [
                    "\(calls)\(labels("op", "SERVER", "UNSET", ",a=x")) 1",
                    "\(duration)\(labels()) n=1 sum=3.0 [1:1]",
                ]
            ),
            (
                "histogram: {disable: true}\nexclude_dimensions: [span.name, collector.instance.id]",
                [TestSpan(name: "a"), TestSpan(name: "b")],
                ["\(calls){service.name=shop,span.kind=SPAN_KIND_SERVER,status.code=STATUS_CODE_UNSET} 2"]
            ),
            (
                "histogram: {disable: true}\ninclude_instrumentation_scope: [lib]", [TestSpan()],
                [
                    "\(calls)\(labels("op", "SERVER", "UNSET", ",span.instrumentation.scope.name=lib,span.instrumentation.scope.version=1.0")) 1"
                ]
            ),
            (
                "histogram: {disable: true}\ninclude_instrumentation_scope: [other]", [TestSpan()],
                ["\(calls)\(labels()) 1"]
            ),
            ("histogram: {disable: true}\nnamespace: ''", [TestSpan()], ["calls\(labels()) 1"]),
            ("histogram: {disable: true}\nnamespace: my", [TestSpan()], ["my.calls\(labels()) 1"]),
            (
                "naming: tempo", [TestSpan()],
                ["calls", "latency"].map {
                    "traces.spanmetrics.\($0){service=shop,span.name=op,span.kind=SPAN_KIND_SERVER,"
                        + "status.code=STATUS_CODE_UNSET,collector.instance.id=i} "
                        + ($0 == "calls" ? "1" : "n=1 sum=0.003 [1:1]")
                }
            ),
            (
                "histogram: {disable: true}\nevents: {enabled: true, dimensions: [{name: exception.type}]}",
                [TestSpan(events: [[("exception.type", "E")], [("exception.type", "E")], []])],
                [
                    "\(calls)\(labels()) 1",
                    "traces.span.metrics.events\(labels("op", "SERVER", "UNSET", ",exception.type=E")) 2",
                    "traces.span.metrics.events\(labels()) 1",
                ]
            ),
            // Series of too many are one.
            (
                "histogram: {disable: true}\naggregation_cardinality_limit: 2",
                (0..<5).map { TestSpan(name: "n\($0)") },
                [
                    "\(calls)\(labels("n0")) 1", "\(calls)\(labels("n1")) 1",
                    "\(calls){otel.metric.overflow=true} 3",
                ]
            ),
            (
                "histogram: {disable: true}\nmax_series: 1", (0..<3).map { TestSpan(name: "n\($0)") },
                ["\(calls)\(labels("n0")) 1", "\(calls){otel.metric.overflow=true} 2"]
            ),
        ] as [(String, [TestSpan], [String])])
    fileprivate func flush(yaml: String, spans: [TestSpan], lines: [String]) {
        let rig = Rig(delta + yaml)
        rig.offer(request(spans))
        #expect(rig.flush() == lines.sorted())
        let reading = rig.context.account.read()
        #expect(reading.inside == 0 && reading.dropped[.merged] == UInt64(spans.count))
        #expect(
            reading.made == UInt64(lines.count) && rig.output.account.read().left == UInt64(lines.count))
    }

    /// Otherwise `increase()` would not see the first spans of a series.
    @Test("cumulative: a counter begins at 0, then goes on")
    func cumulative() {
        let rig = Rig("calls_dimensions: []")
        rig.offer(request([TestSpan(), TestSpan()]))
        #expect(rig.flush() == ["\(calls)\(labels()) 0", "\(duration)\(labels()) n=2 sum=6.0 [1:2]"])
        rig.offer(request([TestSpan()]))
        #expect(rig.flush() == ["\(calls)\(labels()) 3", "\(duration)\(labels()) n=3 sum=9.0 [1:3]"])
        #expect(rig.flush() == ["\(calls)\(labels()) 3", "\(duration)\(labels()) n=3 sum=9.0 [1:3]"])
    }

    /// Otherwise deltas would be counted twice.
    @Test("delta: what was sent is not sent again")
    func deltas() {
        let rig = Rig(delta + "histogram: {disable: true}")
        rig.offer(request([TestSpan(), TestSpan()]))
        #expect(rig.flush() == ["\(calls)\(labels()) 2"])
        #expect(rig.flush().isEmpty)
        rig.offer(request([TestSpan()]))
        #expect(rig.flush() == ["\(calls)\(labels()) 1"])
    }

    /// Otherwise resources that come and go, or series that nobody uses, would be kept for ever.
    @Test(
        "what is not used goes",
        arguments: [("metrics_expiration: 90s", 1), ("series_expiration: 90s", 1), ("", 2)])
    func expiration(yaml: String, left: Int) {
        let rig = Rig("histogram: {disable: true}\n" + yaml)
        rig.offer(request([TestSpan()], resource: [("service.name", "old")]))
        rig.offer(request([TestSpan()]))
        for _ in 0..<4 {
            _ = rig.flush()
            rig.offer(request([TestSpan()]))
        }
        #expect(rig.flush().count == left)
    }

    /// Otherwise a flood of resources, such as one a request, would take all memory.
    @Test("resources beyond the limit are sent once more and forgotten; a flood is bounded")
    func resources() {
        let rig = Rig("histogram: {disable: true}\nresource_metrics_cache_size: 2")
        for index in 0..<100 {
            rig.offer(request([TestSpan()], resource: [("service.name", "s"), ("pid", "\(index)")]))
        }
        #expect(rig.ledger.bytes < 20_000)
        #expect(rig.flush().count == 4)
        #expect(rig.flush().count == 2)
        let lost = rig.registry.counter(
            "sluice_connector_span_metrics_lost_resources", help: "",
            labels: ["connector": "span_metrics"])
        #expect(lost.value == 96)
    }

    /// Otherwise a restart of a process would begin all its counters anew.
    @Test("resource_metrics_key_attributes says what tells resources apart")
    func resourceKeys() {
        let rig = Rig(
            delta + "histogram: {disable: true}\nresource_metrics_key_attributes: [service.name]")
        for pid in ["1", "2"] {
            rig.offer(request([TestSpan()], resource: [("service.name", "shop"), ("pid", pid)]))
        }
        #expect(rig.flush() == ["\(calls)\(labels()) 2"])
    }

    /// Otherwise spans of nobody would be counted as somebody's.
    @Test("resources without service.name are not counted, and that is told")
    func noService() {
        let rig = Rig("")
        rig.offer(request([TestSpan()], resource: [("host", "h")]))
        #expect(rig.flush().isEmpty)
        let skipped = rig.registry.counter(
            "sluice_connector_span_metrics_skipped_spans", help: "", labels: ["connector": "span_metrics"]
        )
        #expect(skipped.value == 1)
    }

    /// Otherwise nobody could go from a slow bucket to a trace.
    @Test("exemplars have the ids of the first spans")
    func exemplars() throws {
        let rig = Rig("exemplars: {enabled: true, max_per_data_point: 2}")
        rig.offer(request([TestSpan(milliseconds: 5), TestSpan(), TestSpan(), TestSpan(traceID: [])]))
        _ = rig.flush()
        let bytes = rig.next.taken[0].slices[0].bytes
        let exemplars = bytes.withUnsafeReadableBytes { bytes in
            let scope = WireBytes(bytes).message(1).message(2)
            return scope.fields.filter { $0.number == 2 }.map { metric in
                let head = MetricHead(metric.bytes)
                let point = head.data.message(1)
                return point.fields.filter { $0.number == (head.kind == 9 ? 8 : 5) }.map { field in
                    field.bytes.message(5).array + [UInt8](field.bytes.message(4).array)
                }
            }
        }
        let ids = Array(repeating: UInt8(7), count: 16) + Array(repeating: 8, count: 8)
        #expect(exemplars == [[ids, ids], [ids, ids]])
    }

    /// Otherwise exemplars, of which there may be a hundred times as much as of all else, would be unknown to the memory limiter.
    @Test("exemplars are charged until they are sent")
    func exemplarsAreCharged() {
        let rig = Rig("histogram: {disable: true}\nexemplars: {enabled: true, max_per_data_point: 200}")
        rig.offer(request([TestSpan()]))
        _ = rig.flush()
        let (before, sent) = (rig.ledger.bytes, rig.next.taken.count)
        rig.offer(request(Array(repeating: TestSpan(), count: 300)))
        let kept = rig.ledger.bytes
        #expect(kept - before >= 200 * (24 + 100) && kept - before <= 200 * (24 + 300))
        _ = rig.flush()
        // What was sent is charged as long as somebody has it.
        let capacity = rig.next.taken[sent...].reduce(0) { $0 + $1.slices[0].payload.bytes.capacity }
        #expect(rig.ledger.bytes <= before + capacity && rig.ledger.bytes < kept)
    }

    /// Otherwise connections on the connector's loop would wait for half a second whenever it sends 300 000 series.
    @Test("many series are sent in parts; what is counted between them is sent once")
    func parts() {
        let rig = Rig(delta + "histogram: {disable: true}")
        rig.offer(request((0..<2500).map { TestSpan(name: "op\($0)") }))
        #expect(rig.flush().count == 1000)
        rig.offer(request([TestSpan(name: "op0"), TestSpan(name: "op2499")]))
        let rest = rig.flush(seconds: 1)
        #expect(rest.count == 1500 && rest.contains("\(calls)\(labels("op2499")) 2"))
        #expect(rig.flush() == ["\(calls)\(labels("op0")) 1"])
    }

    /// Otherwise a series would begin anew although a span came in time.
    @Test("series that are over are forgotten with the last part of a flush")
    func expirationInParts() {
        let rig = Rig("histogram: {disable: true}\nseries_expiration: 90s")
        rig.offer(request((0..<1500).map { TestSpan(name: "op\($0)") }))
        #expect(rig.flush().count == 1000)
        #expect(rig.flush(seconds: 1).count == 500)
        #expect(rig.flush(seconds: 59).count == 1000)
        rig.offer(request([TestSpan(name: "op0")]))
        #expect(rig.flush(seconds: 1).count == 500)
        #expect(rig.flush(seconds: 59) == ["\(calls)\(labels("op0")) 2"])
    }

    /// Otherwise counts would be lost while a backend is away.
    @Test("while the pipelines take nothing counting goes on")
    func stuck() {
        let rig = Rig(delta + "histogram: {disable: true}")
        rig.next.refusal = Refusal(.queueFull, "full")
        rig.offer(request([TestSpan()]))
        #expect(rig.flush().isEmpty)
        rig.offer(request([TestSpan()]))
        #expect(rig.flush().isEmpty)
        rig.next.refusal = nil
        #expect(rig.flush() == ["\(calls)\(labels()) 1", "\(calls)\(labels()) 1"])
        #expect(rig.context.account.read().inside == 0)
    }

    /// Otherwise mistakes would show as missing series.
    @Test(
        "what means nothing is refused, in the Collector's words",
        arguments: [
            ("dimensions: [{name: a}, {name: a}]", "duplicate dimension name a"),
            ("dimensions: [{name: span.kind}]", "duplicate dimension name span.kind"),
            ("dimensions: [{name: a}]\ncalls_dimensions: [{name: a}]", "duplicate dimension name a"),
            (
                "histogram: {explicit: {buckets: [1ms]}, exponential: {max_size: 9}}",
                "use either `explicit` or `exponential` buckets histogram"
            ),
            ("metrics_flush_interval: 0s", "the duration should be positive"),
            ("events: {enabled: true}", "no dimensions configured for events"),
            ("histogram: {explicit: {buckets: [2ms, 1ms]}}", "must ascend"),
            ("histogram: {unit: h}", "unknown value \"h\""),
            ("exemplars: {max_per_data_point: 1001}", "must be between 0 and 1000, found 1001"),
        ])
    func config(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        _ = SpanMetricsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }
}
