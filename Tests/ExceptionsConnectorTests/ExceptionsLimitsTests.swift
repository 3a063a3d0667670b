import Configuration
import ExceptionsConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// A request of one span with one exception for each of these messages.
private func request(
    _ messages: [String], service: String = "shop", attribute: String = "", resourceAttributes: Int = 0
) -> Batch {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(1) {
            for number in 0..<resourceAttributes { $0.attribute(1, "key\(number)", "") }
            $0.attribute(1, "service.name", service)
        }
        $0.message(2) {
            $0.message(2) { span in
                span.field(1, Array(repeating: 7, count: 16))
                span.field(2, Array(repeating: 8, count: 8))
                span.text(5, "op")
                if !attribute.isEmpty { span.attribute(9, "route", attribute) }
                for message in messages {
                    span.message(11) {
                        $0.text(2, "exception")
                        $0.attribute(3, "exception.message", message)
                    }
                }
            }
        }
    }
    return Batch(.traces, payload: Payload(ByteBuffer(bytes: request.bytes)), items: 1)
}

private func line(_ message: String, _ count: Int) -> String {
    "exceptions{service.name=shop,span.name=op,span.kind=SPAN_KIND_UNSPECIFIED,status.code=STATUS_CODE_UNSET,exception.message=\(message)} \(count)"
}

/// A memory limit that leaves so many bytes.
private final class Limit: AdmissionControl {
    let ledger: MemoryLedger
    let limitBytes: Int
    init(_ ledger: MemoryLedger, _ limitBytes: Int) { (self.ledger, self.limitBytes) = (ledger, limitBytes) }
    var shouldPause: Bool { false }
    func admit(bytes: Int) -> Refusal? {
        ledger.bytes + bytes > limitBytes ? Refusal(.memory, "no memory") : nil
    }
}

@Suite("exceptions, large requests")
struct ExceptionsLimitsTests {
    private let loop = EmbeddedEventLoop()
    private let next = FakeConsumer()

    private func config(_ yaml: String) -> ExceptionsConfig {
        let diagnostics = Diagnostics()
        let config = ExceptionsConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return config
    }

    private func counter(_ yaml: String, limit: Int? = nil) -> (ExceptionMetricsConnector, ComponentContext) {
        let context = ComponentContext.alone(.connector, "exceptions", on: loop)
        if let limit { context.ledger.limit(by: Limit(context.ledger, limit)) }
        return (ExceptionMetricsConnector(config(yaml), context, [.test("out", .metrics, next)]), context)
    }

    private func send(_ batch: Batch, to connector: ExceptionMetricsConnector) -> [String] {
        let before = next.taken.count
        #expect(connector.consume(batch) == nil)
        loop.run()
        return MetricLines.read(Array(next.taken[before...]))
    }

    /// Otherwise one request of 1 MB would end the gateway, and all that it holds would be lost.
    @Test("a span is not copied for each of its exceptions without end")
    func amplifiedLogs() {
        let context = ComponentContext.alone(.connector, "exceptions", on: loop)
        let connector = ExceptionLogsConnector(config(""), context, [.test("out", .logs, next)])
        let large = String(repeating: "x", count: 1_000_000)
        let refusal = connector.consume(request((0..<200).map { "\($0)" }, attribute: large))
        #expect(refusal?.reason == .tooLarge && refusal?.isPermanent == true)
        #expect(refusal?.message.contains("the most is \(64 << 20)") == true)
        #expect(next.taken.isEmpty && context.ledger.bytes == 0)
        // What is far from that goes on.
        #expect(connector.consume(request((0..<20).map { "\($0)" }, attribute: large)) == nil)
        #expect(next.takenItems == [20])
    }

    /// Otherwise requests at once would take what the memory limit does not leave them.
    @Test("records are not made for which there is no memory")
    func logsWithoutMemory() {
        let context = ComponentContext.alone(.connector, "exceptions", on: loop)
        context.ledger.limit(by: Limit(context.ledger, 5_000_000))
        let connector = ExceptionLogsConnector(config(""), context, [.test("out", .logs, next)])
        let large = String(repeating: "x", count: 1_000_000)
        let refusal = connector.consume(request((0..<20).map { "\($0)" }, attribute: large))
        #expect(refusal?.reason == .memory && next.taken.isEmpty && context.ledger.bytes == 0)
    }

    /// Otherwise each series would have a copy of a label of 500 KB, or exceptions would be missing from the sum of all.
    @Test("exceptions with too large labels are counted in the series of too many")
    func largeLabels() {
        let (connector, context) = counter("")
        let messages = (0..<50).map { "\($0)" }
        let lines = send(
            request(messages, service: String(repeating: "x", count: 500_000)), to: connector)
        #expect(lines == ["exceptions{otel.metric.overflow=true} 50"])
        #expect(context.ledger.bytes < 100_000)
        let reasons = String(decoding: context.registry.render(), as: UTF8.self)
        #expect(reasons.contains("reason=\"label_bytes\"} 50"))
    }

    /// Otherwise series would grow beyond the memory limit, whatever `max_series` says.
    @Test("series get half of the memory limit at most")
    func seriesWithoutMemory() {
        let (connector, context) = counter("metrics_flush_interval: 1h", limit: 400_000)
        _ = send(request((0..<2000).map { "message \($0)" }), to: connector)
        #expect(100_000...200_300 ~= context.ledger.bytes)
    }

    /// Otherwise each request of a busy gateway would send ten thousand series.
    @Test("a request sends the series that it counts in, and no others")
    func touched() {
        let (connector, _) = counter("dimensions: [{name: exception.message}]")
        #expect(send(request(["a", "b"]), to: connector) == [line("a", 1), line("b", 1)])
        #expect(send(request(["b", "b"]), to: connector) == [line("b", 3)])
        #expect(send(request([]), to: connector) == [])
        #expect(send(request(["a"]), to: connector) == [line("a", 2)])
    }

    /// Otherwise ten thousand series would hold the event loop, or some would be missing or there twice.
    @Test("many series are sent in parts", arguments: ["0s", "10s"])
    func parts(interval: String) {
        let (connector, _) = counter(
            "dimensions: [{name: exception.message}]\nmetrics_flush_interval: \(interval)")
        connector.startFlushing()
        let messages = (0..<2500).map { "\($0)" }
        #expect(connector.consume(request(messages)) == nil)
        loop.run()
        if interval != "0s" { loop.advanceTime(by: .seconds(10)) }
        #expect(next.takenItems == [1000])
        for _ in 0..<3 { loop.advanceTime(by: .milliseconds(1)) }
        #expect(next.takenItems == [1000, 1000, 500])
        #expect(MetricLines.read(next.taken) == messages.map { line($0, 1) }.sorted())
    }

    /// Otherwise a request of 1 MB would hold the event loop for seconds, and with it all that the loop serves.
    @Test("attributes of a resource are looked up once for all exceptions", .timeLimit(.minutes(1)))
    func lookedUpOnce() {
        let (connector, _) = counter("dimensions: [{name: none, default: d}]")
        let start = ContinuousClock.now
        _ = send(request(Array(repeating: "m", count: 20_000), resourceAttributes: 20_000), to: connector)
        // Looked up with each it takes half a minute.
        #expect(ContinuousClock.now - start < .seconds(8))
    }
}
