import Configuration
import CountConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// A resource with this `service.name` and so many other attributes, and spans with `k` = 0, 1, 2 and so on.
private func request(_ spans: Int, service: String, others: Int = 0) -> Batch {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(1) {
            for number in 0..<others { $0.attribute(1, "key\(number)", "") }
            $0.attribute(1, "service.name", service)
        }
        $0.message(2) { scope in
            for number in 0..<spans { scope.message(2) { $0.attribute(9, "k", "\(number)") } }
        }
    }
    return Batch(.traces, payload: Payload(ByteBuffer(bytes: request.bytes)), items: spans)
}

@Suite("count, large requests")
struct CountLimitsTests {
    private let next = FakeConsumer()
    private let context = ComponentContext.alone(.connector, "count", on: EmbeddedEventLoop())

    private func connector(_ attributes: String) -> CountConnector {
        let diagnostics = Diagnostics()
        let yaml = "spans: {n: {attributes: [\(attributes)]}}"
        let config = CountConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return CountConnector(config.metrics, scope: "s", context, [.test("out", .metrics, next)])
    }

    /// Otherwise each point would have a copy of an attribute of 500 KB, or spans would be missing from the sum of all.
    @Test("spans with too large attributes are counted in the series of too many")
    func largeAttributes() {
        let counting = connector("{key: service.name}, {key: k}")
        #expect(counting.consume(request(50, service: String(repeating: "x", count: 500_000))) == nil)
        #expect(MetricLines.read(next.taken) == ["n{otel.metric.overflow=true} 50"])
        let page = String(decoding: context.registry.render(), as: UTF8.self)
        #expect(page.contains("reason=\"label_bytes\"} 50"))
    }

    /// Otherwise spans that are not to be counted would be, once their resource has a large attribute.
    @Test("a missing attribute says that a span is not counted, whatever the others take")
    func missing() {
        let counting = connector("{key: service.name}, {key: none}")
        #expect(counting.consume(request(3, service: String(repeating: "x", count: 20_000))) == nil)
        #expect(next.taken.isEmpty)
    }

    /// Otherwise many series with labels just short of the limit would take a gigabyte.
    @Test("a request does not become many times what it was without end")
    func amplified() {
        let counting = connector("{key: service.name}, {key: k}")
        let refusal = counting.consume(request(5000, service: String(repeating: "x", count: 8000)))
        #expect(refusal?.reason == .tooLarge && refusal?.isPermanent == true)
        #expect(refusal?.message.contains("the most is \(64 << 20)") == true)
        #expect(next.taken.isEmpty)
        #expect(counting.consume(request(50, service: String(repeating: "x", count: 8000))) == nil)
        #expect(next.takenItems == [50])
    }

    /// Otherwise a request of 1 MB would hold an event loop for seconds, and with it all that the loop serves.
    @Test("attributes of a resource are looked up once for all spans", .timeLimit(.minutes(1)))
    func lookedUpOnce() {
        let counting = connector("{key: none, default_value: d}")
        let start = ContinuousClock.now
        #expect(counting.consume(request(20_000, service: "s", others: 20_000)) == nil)
        // Looked up with each it takes half a minute.
        #expect(ContinuousClock.now - start < .seconds(8))
        #expect(MetricLines.read(next.taken) == ["n{none=d} 20000"])
    }
}
