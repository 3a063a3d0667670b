import Compression
import Configuration
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import PrometheusExporter

private final class FourMebibytes: AdmissionControl {
    func admit(bytes: Int) -> Refusal? { nil }
    var shouldPause: Bool { false }
    var limitBytes: Int { 4 << 20 }
}

@Suite("The exporter as a stage of a pipeline")
struct SeriesExporterTests {
    private final class Parts {
        let registry = MetricRegistry()
        let loop = EmbeddedEventLoop()
        let time = Noted(NIODeadline.uptimeNanoseconds(0))
        let exporter: PrometheusExporter

        init(_ change: (inout PrometheusExporterConfig) -> Void = { _ in }) {
            var config = PrometheusExporterConfig(endpoint: EndpointConfig(host: "localhost", port: 0))
            change(&config)
            exporter = PrometheusExporter(
                config, name: "prometheus",
                counters: SendingQueue.Counters(registry, exporter: "prometheus", signal: .metrics),
                eventLoop: loop,
                registry: registry, logger: makeSilentLogger(), clock: { [time] in time.value })
        }

        var metrics: [String] {
            String(decoding: registry.render(), as: UTF8.self).split(separator: "\n").map(String.init)
        }

        func text() -> String {
            let key = PageKey(format: .text, escaping: .underscores, isGzipped: false, names: [])
            return String(decoding: page(key).parts.joined(), as: UTF8.self)
        }

        /// All parts of a page, written at once.
        func page(_ key: PageKey) -> (parts: [[UInt8]], count: Int) { Self.page(key, of: exporter) }

        static func page(_ key: PageKey, of exporter: PrometheusExporter) -> (parts: [[UInt8]], count: Int) {
            let source = exporter.render(key)
            var parts: [[UInt8]] = []
            while let some = source.next() { parts += some.map { Array($0.readableBytesView) } }
            source.end()
            return (parts, parts.reduce(0) { $0 + $1.count })
        }

        @discardableResult
        func take(_ metrics: [UInt8]..., items: Int, acknowledgement: Acknowledgement? = nil) -> Refusal? {
            let payload = Payload(ByteBuffer(bytes: request(metrics).bytes))
            return exporter.consume(
                Batch(.metrics, payload: payload, items: items, acknowledgement: acknowledgement))
        }
    }

    @Test(
        "Every point ends counted, as sent or as failed with its reason; an operator must see what is missing"
    )
    func counts() {
        let parts = Parts { $0.maxSeries = 2 }
        let answers = Answers()
        #expect(
            parts.take(
                gauge("a", point(1), point(2, [("k", "1")])), items: 2,
                acknowledgement: answers.acknowledgement()) == nil)
        parts.take(
            gauge("a", point(3, time: 11), point(2, [("k", "2")]), point(2, [("k", "3")])),
            upDownCounter("d", delta, point(1)),
            items: 4, acknowledgement: answers.acknowledgement())
        for line in [
            "otelcol_exporter_sent_metric_points{exporter=\"prometheus\"} 3",
            "otelcol_exporter_send_failed_metric_points{exporter=\"prometheus\"} 3",
            "sluice_exporter_prometheus_series{exporter=\"prometheus\"} 2",
            "sluice_exporter_prometheus_dropped_points{exporter=\"prometheus\",reason=\"max_series\"} 2",
            "sluice_exporter_prometheus_dropped_points{exporter=\"prometheus\",reason=\"temporality\"} 1",
            "sluice_exporter_prometheus_over_limit_points{exporter=\"prometheus\",metric=\"a\"} 2",
        ] {
            #expect(parts.metrics.contains { $0.replacing("_total{", with: "{") == line }, "\(line)")
        }
        #expect(answers.all.count == 2)
        #expect(answers.all.first == .accepted)
        if case .partial(let rejected, _)? = answers.all.last {
            #expect(rejected == 3)
        } else {
            Issue.record("not partial")
        }
    }

    @Test("A batch of several requests, and of parts of one, is taken whole")
    func slices() {
        let parts = Parts()
        let batch = Batch(.metrics)
        for value in 0..<3 {
            let bytes = [0xFF, 0xFF] + request([gauge("a", point(1, [("k", "\(value)")]))]).bytes
            batch.append(
                Slice(Payload(ByteBuffer(bytes: bytes)), offset: 2, count: bytes.count - 2, items: 1))
        }
        #expect(parts.exporter.consume(batch) == nil)
        #expect(parts.text().split(separator: "\n").count == 4)
    }

    /// If it failed, one request of a million points would keep all others on its event loop waiting.
    @Test(
        "A large batch is read in turns, and what comes behind it waits, so that no delta overtakes another")
    func largeBatches() {
        let parts = Parts()
        let points = (0..<5000).map { point(1, [("k", "\($0)")], start: 1, time: 2) }
        let first = metric("n", unit: "", help: "", kind: 7, temporality: delta, isMonotonic: true, points)
        let answers = Answers()
        parts.take(first, items: 5000, acknowledgement: answers.acknowledgement())
        parts.take(
            counter("n", delta, point(2, [("k", "4999")], start: 2, time: 3)), items: 1,
            acknowledgement: answers.acknowledgement())
        #expect(answers.all.isEmpty)
        #expect(parts.text().split(separator: "\n").count < 1000)
        parts.loop.advanceTime(by: .seconds(1))
        #expect(answers.all == [.accepted, .accepted])
        #expect(parts.text().hasSuffix("n_total{k=\"4999\"} 3\n"))
        #expect(parts.text().split(separator: "\n").count == 5001)
    }

    /// If it failed, points would wait until all memory is taken, and every client be refused.
    @Test("While many points wait, receivers leave what comes in their sockets")
    func pauses() {
        let parts = Parts()
        let points = (0..<20_000).map { point(1, [("k", "\($0)")]) }
        let one = metric("n", unit: "", help: "", kind: 5, temporality: 0, points)
        parts.take(one, items: 20_000)
        #expect(!parts.exporter.shouldPause)
        parts.take(one, items: 20_000)
        #expect(parts.exporter.shouldPause)
        parts.loop.advanceTime(by: .seconds(1))
        #expect(!parts.exporter.shouldPause)
    }

    /// If it failed, points that were acknowledged by a batcher would be gone when the gateway stops.
    @Test("What waits is read before the exporter ends, or counted as failed")
    func drains() async {
        let parts = Parts()
        let group = MultiThreadedEventLoopGroup.singleton
        let exporter = PrometheusExporter(
            PrometheusExporterConfig(endpoint: EndpointConfig(host: "localhost", port: 0)), name: "p",
            counters: SendingQueue.Counters(parts.registry, exporter: "p", signal: .metrics),
            eventLoop: group.next(), registry: parts.registry, logger: makeSilentLogger())
        let answers = Answers()
        for (round, deadline) in [NIODeadline.now() + .seconds(60), .distantPast].enumerated() {
            let points = (0..<20_000).map { point(1, [("k", "\(round)-\($0)")]) }
            let one = metric("n", unit: "", help: "", kind: 5, temporality: 0, points)
            _ = exporter.consume(
                Batch(
                    .metrics, payload: Payload(ByteBuffer(bytes: request([one]).bytes)), items: 20_000,
                    acknowledgement: answers.acknowledgement()))
            await exporter.drain(until: deadline)
        }
        #expect(answers.all.first == .accepted && answers.all.count == 2)
    }

    /// If it failed, clients that invent series would take the memory that the limit gives the whole process.
    @Test("The memory of series is charged to the ledger, may take half of its limit, and is given back")
    func memory() async {
        let ledger = MemoryLedger()
        ledger.limit(by: FourMebibytes())
        let registry = MetricRegistry()
        let exporter = PrometheusExporter(
            PrometheusExporterConfig(endpoint: EndpointConfig(host: "localhost", port: 0)), name: "p",
            counters: SendingQueue.Counters(registry, exporter: "p", signal: .metrics),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(), ledger: ledger, registry: registry,
            logger: makeSilentLogger())
        let value = String(repeating: "v", count: 2000)
        for round in 0..<20 {
            let points = (0..<100).map { point(1, [("k", "\(value)\(round)-\($0)")]) }
            let one = metric("n", unit: "", help: "", kind: 5, temporality: 0, points)
            _ = exporter.consume(
                Batch(.metrics, payload: Payload(ByteBuffer(bytes: request([one]).bytes)), items: 100))
        }
        #expect(ledger.bytes > 1 << 20 && ledger.bytes <= 2 << 20 + 64 << 10)
        let page = String(decoding: registry.render(), as: UTF8.self)
        let line = page.split(separator: "\n").first { $0.contains("\"max_memory_mib\"}") }
        #expect(line.map { !$0.hasSuffix(" 0") } == true)
        await exporter.drain(until: .distantPast)
        #expect(ledger.bytes == 0)
    }

    @Test("Points with very many exemplars cost no more than others, and what is not looked at is counted")
    func manyExemplars() {
        let parts = Parts { $0.enableOpenMetrics = true }
        let many = Array(repeating: exemplar(1), count: SeriesStore.exemplarsPerPointMax + 7)
        parts.take(counter("a", point(1, exemplars: many)), items: 1)
        parts.loop.advanceTime(by: .seconds(1))
        #expect(
            parts.metrics.contains {
                $0.hasPrefix("sluice_exporter_prometheus_dropped_exemplars") && $0.hasSuffix(" 7")
            })
    }

    @Test("Other signals are refused for good, and what is given up is counted as never enqueued")
    func refusals() {
        let parts = Parts()
        let answers = Answers()
        let batch = makeBatch(items: 3, acknowledgement: answers.acknowledgement())
        let refusal = parts.exporter.consume(batch)
        #expect(refusal?.isPermanent == true)
        parts.exporter.drop(batch, because: refusal!)
        #expect(answers.all == [.refused(refusal!)])
        #expect(
            parts.metrics.contains {
                $0.hasPrefix("otelcol_exporter_enqueue_failed_metric_points") && $0.hasSuffix(" 3")
            })
    }

    @Test("The timer removes expired series, so that an endpoint that nobody scrapes does not grow")
    func expiry() {
        let parts = Parts { $0.metricExpiration = .seconds(60) }
        parts.take(gauge("a", point(1)), items: 1)
        parts.time.value = .uptimeNanoseconds(59_000_000_000)
        parts.take(gauge("b", point(1)), items: 1)
        parts.time.value = .uptimeNanoseconds(60_020_000_000)
        #expect(parts.text() == "# TYPE b gauge\nb 1\n")
        let series = "sluice_exporter_prometheus_series{exporter=\"prometheus\"}"
        #expect(parts.metrics.contains("\(series) 2"))
        parts.loop.advanceTime(by: .seconds(1))
        #expect(parts.metrics.contains("\(series) 1"))
    }

    /// Without it, who has not asked for exemplars pays for them, and trace ids are where nobody expects them.
    @Test("Exemplars are shown when enable_open_metrics says so, in the protobuf format as well")
    func exemplars() {
        for isOn in [true, false] {
            let parts = Parts { $0.enableOpenMetrics = isOn }
            let one = exemplar(2, trace: [], attributes: [("user", "somebody")])
            parts.take(counter("a", point(1, exemplars: [one])), items: 1)
            for format in [ExpositionFormat.openMetrics, .protobuf] {
                let key = PageKey(format: format, escaping: .underscores, isGzipped: false, names: [])
                let page = String(decoding: parts.page(key).parts.joined(), as: UTF8.self)
                #expect(page.contains("a_total") && page.contains("somebody") == isOn)
            }
        }
    }

    @Test("Zero expiration is none")
    func noExpiry() {
        let parts = Parts { $0.metricExpiration = .zero }
        parts.take(gauge("a", point(1)), items: 1)
        parts.time.value = .uptimeNanoseconds(1_000_000_000_000_000)
        parts.loop.advanceTime(by: .seconds(1))
        #expect(parts.text() == "# TYPE a gauge\na 1\n")
    }

    @Test("Threads that send and threads that scrape do not disturb each other")
    func threads() async {
        let parts = Parts()
        let exporter = parts.exporter
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<2 {
                group.addTask {
                    for round in 0..<200 {
                        let metric = counter(
                            "c",
                            point(
                                .int(Int64(round)), [("s", "\(sender)"), ("k", "\(round % 50)")],
                                time: UInt64(round + 1)))
                        let payload = Payload(ByteBuffer(bytes: request([metric]).bytes))
                        _ = exporter.consume(Batch(.metrics, payload: payload, items: 1))
                    }
                }
            }
            for format in [ExpositionFormat.text, .protobuf] {
                group.addTask {
                    for _ in 0..<100 {
                        _ = Parts.page(
                            PageKey(format: format, escaping: .underscores, isGzipped: false, names: []),
                            of: exporter)
                    }
                }
            }
        }
        #expect(parts.text().split(separator: "\n").count == 101)
    }

    /// Scenario: pages of 10 MB, plain and gzipped, of which the first parts are taken before the last are written.
    /// Guarantees: no part is larger than a page of one connection may hold, and gzip is one member of the same text.
    /// Otherwise a large gateway could not be scraped, or a scrape of it would take the memory.
    /// A family that is too large for one message of the protobuf format goes on in another.
    @Test("A large page comes in small parts, gzipped or not")
    func largePages() throws {
        let parts = Parts()
        let value = String(repeating: "v", count: 1700)
        let points = (0..<6000).map { point(1, [("k", "\(value)\($0)")]) }
        for start in stride(from: 0, to: 6000, by: 1000) {
            let payload = Payload(
                ByteBuffer(
                    bytes: request([
                        metric(
                            "a", unit: "", help: "", kind: 5, temporality: 0, type: nil,
                            Array(points[start..<(start + 1000)]))
                    ]).bytes))
            #expect(parts.exporter.consume(Batch(.metrics, payload: payload, items: 1000)) == nil)
            parts.loop.advanceTime(by: .seconds(1))
        }
        let key = { PageKey(format: $0, escaping: .allowUTF8, isGzipped: $1, names: []) }
        let plain = parts.page(key(.text, false))
        #expect(plain.parts.count > 40 && plain.parts.allSatisfy { $0.count <= 256 << 10 })
        let text = Array(plain.parts.joined())
        #expect(text.count { $0 == UInt8(ascii: "\n") } == 6001)
        for format in [ExpositionFormat.text, .protobuf] {
            let whole = format == .text ? text : Array(parts.page(key(format, false)).parts.joined())
            #expect(format == .text || Self.messages(whole).count == 2)
            let member = Array(parts.page(key(format, true)).parts.joined())
            var inflated = ByteBuffer()
            let count = try Gunzipper().inflate(member.span.bytes, limitBytes: 16 << 20) { room, fill in
                inflated.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
            }
            #expect(count == whole.count && Array(inflated.readableBytesView) == whole)
        }
    }

    /// The sizes of messages that each come behind their length.
    private static func messages(_ bytes: [UInt8]) -> [Int] {
        var (sizes, position) = ([Int](), 0)
        while position < bytes.count {
            var (size, shift) = (0, 0)
            repeat {
                size |= Int(bytes[position] & 0x7F) << shift
                shift += 7
                position += 1
            } while bytes[position - 1] >= 0x80
            sizes.append(size)
            position += size
        }
        return position == bytes.count ? sizes : []
    }
}
