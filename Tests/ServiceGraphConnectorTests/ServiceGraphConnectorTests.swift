import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import ServiceGraphConnector
import TestSupport
import Testing

/// A span of trace 1, named by bytes; parent 0 is none.
private struct TestSpan {
    var service: String
    var kind: UInt64
    var id: UInt8 = 1
    var parent: UInt8 = 0
    var isError = false
    var seconds = 1.0
    var attributes: [(String, String)] = []
    var trace: UInt8 = 1
    var resource: [(String, String)] = []

    static func client(_ service: String, id: UInt8 = 1, _ attributes: [(String, String)] = [])
        -> TestSpan
    {
        TestSpan(service: service, kind: 3, id: id, parent: 99, attributes: attributes)
    }

    static func server(_ service: String, parent: UInt8 = 1) -> TestSpan {
        TestSpan(service: service, kind: 2, id: 2, parent: parent)
    }

    func with(_ change: (inout TestSpan) -> Void) -> TestSpan {
        var copy = self
        change(&copy)
        return copy
    }

    static func request(_ spans: [TestSpan]) -> [UInt8] {
        var request = ProtoWriter()
        for span in spans {
            request.message(1) {
                $0.message(1) {
                    if !span.service.isEmpty { $0.attribute(1, "service.name", span.service) }
                    for (key, value) in span.resource { $0.attribute(1, key, value) }
                }
                $0.message(2) { $0.message(2) { span.write(&$0) } }
            }
        }
        return request.bytes
    }

    private func write(_ writer: inout ProtoWriter) {
        writer.field(1, Array(repeating: trace, count: 16))
        writer.field(2, Array(repeating: id, count: 8))
        if parent > 0 { writer.field(4, Array(repeating: parent, count: 8)) }
        writer.integer(6, kind)
        writer.fixed64(7, 1_700_000_000_000_000_000)
        writer.fixed64(8, UInt64(1_700_000_000_000_000_000 + Int64(seconds * 1e9)))
        for (key, value) in attributes { writer.attribute(9, key, value) }
        if isError { writer.message(15) { $0.integer(3, 2) } }
    }
}

private final class Rig {
    let loop = EmbeddedEventLoop()
    let next = FakeConsumer()
    let registry = MetricRegistry()
    let ledger = MemoryLedger()
    let context: ComponentContext
    let connector: ServiceGraphConnector

    init(_ yaml: String) {
        let diagnostics = Diagnostics()
        let config = ServiceGraphConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        context = .alone(.connector, "service_graph", on: loop, registry: registry, ledger: ledger)
        let bound = NIOLoopBound(loop, eventLoop: loop)
        connector = ServiceGraphConnector(config, context, [.test("out", .metrics, next)]) {
            Int64(bound.value.now.uptimeNanoseconds) + 1_700_000_000_000_000_000
        }
        connector.startFlushing()
    }

    func offer(_ spans: [TestSpan]) {
        let payload = Payload(ByteBuffer(bytes: TestSpan.request(spans)))
        precondition(connector.consume(Batch(.traces, payload: payload, items: spans.count)) == nil)
        loop.run()
    }

    func flush(seconds: Int64 = 60) -> [String] {
        let before = next.taken.count
        loop.advanceTime(by: .seconds(seconds))
        return MetricLines.read(Array(next.taken[before...].suffix(1)))
    }

    func counter(_ name: String) -> UInt64 {
        registry.counter(
            "otelcol_connector_servicegraph_" + name, help: "", labels: ["connector": "service_graph"]
        ).value
    }
}

/// The lines of one edge; latencies of a second each unless said.
private func edge(
    _ client: String, _ server: String, type: String = "", failed: Bool = false, count: Int = 1,
    clientTime: String = "n=1 sum=1.0 [10:1]", serverTime: String = "n=1 sum=1.0 [10:1]",
    _ more: String = ""
) -> [String] {
    let labels = "{client=\(client),server=\(server),connection_type=\(type),failed=\(failed)\(more)}"
    let prefix = "traces_service_graph_request_"
    return ["\(prefix)total\(labels) \(count)"]
        + (failed ? ["\(prefix)failed_total\(labels) \(count)"] : [])
        + ["\(prefix)server\(labels) \(serverTime)", "\(prefix)client\(labels) \(clientTime)"]
}

private let none = "n=1 sum=0.0 [0:1]"

@Suite("service_graph")
struct ServiceGraphConnectorTests {
    /// Otherwise the graph would show calls that were not made, or miss those that were.
    @Test(
        "edges of spans",
        arguments: [
            ("", [.client("a"), .server("b")], edge("a", "b")),
            ("", [.server("b"), .client("a")], edge("a", "b")),
            (
                "", [.client("a"), .server("b").with { $0.seconds = 0.003 }],
                edge("a", "b", serverTime: "n=1 sum=0.003 [1:1]")
            ),
            ("", [.client("a").with { $0.isError = true }, .server("b")], edge("a", "b", failed: true)),
            ("", [.client("a"), .server("b").with { $0.isError = true }], edge("a", "b", failed: true)),
            (
                "", [.client("a").with { $0.kind = 4 }, .server("b").with { $0.kind = 5 }],
                edge("a", "b", type: "messaging_system")
            ),
            // A database tells nothing; its client does.
            ("", [.client("a", [("db.name", "db")])], edge("a", "db", type: "database")),
            (
                "database_name_attributes: [db.namespace]", [.client("a", [("db.namespace", "db")])],
                edge("a", "db", type: "database")
            ),
            (
                "database_name_attribute: db.x", [.client("a", [("db.x", "db")])],
                edge("a", "db", type: "database")
            ),
            // Halves whose other half does not come.
            (
                "", [.client("a", [("peer.service", "p")])],
                edge("a", "p", type: "virtual_node", serverTime: none)
            ),
            ("", [.client("a")], edge("a", "unknown", type: "virtual_node", serverTime: none)),
            (
                "virtual_node_peer_attributes: [x, y]", [.client("a", [("y", "Y"), ("x", "X")])],
                edge("a", "X", type: "virtual_node", serverTime: none)
            ),
            ("virtual_node_peer_attributes: []", [.client("a")], []),
            (
                "", [.server("b", parent: 0)],
                edge("user", "b", type: "virtual_node", clientTime: none)
            ),
            ("", [.server("b", parent: 5)], []),
            (
                "virtual_node_extra_label: true", [.client("a")],
                edge("a", "unknown", type: "virtual_node", serverTime: none, ",virtual_node=server")
            ),
            (
                "virtual_node_extra_label: true", [.server("b", parent: 0)],
                edge("user", "b", type: "virtual_node", clientTime: none, ",virtual_node=client")
            ),
            // Not the same trace; not between services; nobody's.
            (
                "virtual_node_peer_attributes: []", [.client("a"), .server("b").with { $0.trace = 2 }], []
            ),
            ("", [.client("a").with { $0.kind = 1 }, .server("b").with { $0.kind = 0 }], []),
            ("", [.client(""), .server("b")], []),
            // Clocks that are off.
            (
                "", [.client("a").with { $0.seconds = -9 }, .server("b")],
                edge("a", "b", clientTime: none)
            ),
            (
                "dimensions: [ns]",
                [
                    .client("a").with { $0.resource = [("ns", "r")] }.with { $0.attributes = [("ns", "s")] },
                    .server("b").with { $0.attributes = [("ns", "t")] },
                ],
                edge("a", "b", ",client_ns=r,server_ns=t")
            ),
            (
                "latency_histogram_buckets: [500ms, 2s]", [.client("a"), .server("b")],
                edge("a", "b", clientTime: "n=1 sum=1.0 [1:1]", serverTime: "n=1 sum=1.0 [1:1]")
            ),
            (
                "exponential_histogram_max_size: 10", [.client("a"), .server("b")],
                edge("a", "b", clientTime: "n=1 zero=0 scale=20", serverTime: "n=1 zero=0 scale=20")
            ),
        ] as [(String, [TestSpan], [String])])
    fileprivate func edges(yaml: String, spans: [TestSpan], lines: [String]) {
        let rig = Rig(yaml)
        // Each span in a request of its own: halves of an edge come from different services.
        for span in spans { rig.offer([span]) }
        #expect(rig.flush() == lines.sorted())
        #expect(rig.context.account.read().inside == 0)
    }

    /// Otherwise rates could not be made of the counters.
    @Test("counts add up from flush to flush")
    func cumulative() {
        let rig = Rig("")
        for round in 1...2 {
            for trace in 1...3 as ClosedRange<UInt8> {
                rig.offer([
                    .client("a").with { $0.trace = trace }, .server("b").with { $0.trace = trace },
                ])
            }
            let count = 3 * round
            let time = "n=\(count) sum=\(Double(count)) [10:\(count)]"
            #expect(
                rig.flush() == edge("a", "b", count: count, clientTime: time, serverTime: time).sorted())
        }
        #expect(rig.counter("total_edges") == 6)
    }

    /// Otherwise a flood of half edges would take all memory.
    @Test("edges that wait are bounded by max_items and ttl, and counted")
    func bounds() {
        let rig = Rig("store: {ttl: 5s, max_items: 10}\nvirtual_node_peer_attributes: []")
        for id in 1...50 as ClosedRange<UInt8> { rig.offer([.client("a", id: id)]) }
        #expect(rig.counter("dropped_spans") == 40)
        let waiting = rig.ledger.bytes
        #expect(waiting > 0 && waiting < 20_000)
        #expect(rig.flush(seconds: 10).isEmpty)
        #expect(rig.counter("expired_edges") == 10 && rig.ledger.bytes == 0)
    }

    /// Otherwise names made up by each span would be as many series.
    @Test("series are bounded by max_series; those that nobody uses go")
    func series() {
        let rig = Rig("max_series: 2")
        for id in 1...5 as ClosedRange<UInt8> {
            rig.offer([.client("a", id: id, [("db.name", "db\(id)")])])
        }
        let lines = rig.flush()
        #expect(lines.filter { $0.hasPrefix("traces_service_graph_request_total") }.count == 3)
        #expect(lines.contains("traces_service_graph_request_total{otel.metric.overflow=true} 3"))
        rig.loop.advanceTime(by: .minutes(20))
        #expect(rig.flush().isEmpty)
    }

    /// Otherwise a graph would lag a minute behind where it must not.
    @Test("with an interval of 0 every request is followed by metrics")
    func atOnce() {
        let rig = Rig("metrics_flush_interval: 0s")
        rig.offer([.client("a"), .server("b")])
        #expect(MetricLines.read(rig.next.taken) == edge("a", "b").sorted())
    }

    /// Otherwise mistakes would show as an empty graph.
    @Test(
        "what means nothing is refused",
        arguments: [
            ("latency_histogram_buckets: [2ms, 1ms]", "must ascend"),
            (
                "exponential_histogram_max_size: 9\nlatency_histogram_buckets: [1ms]",
                "use either latency_histogram_buckets or exponential_histogram_max_size"
            ),
            ("store: {max_items: 0}", "max_items"),
        ])
    func config(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        _ = ServiceGraphConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(message), "\(diagnostics.render())")
    }
}
