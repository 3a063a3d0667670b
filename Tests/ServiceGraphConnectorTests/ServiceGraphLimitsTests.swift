import Configuration
import NIOCore
import OTLP
import Pipeline
import ServiceGraphConnector
import TestSupport
import Testing

/// A resource and one span in it, of an edge that its number names.
private func write(
    _ request: inout ProtoWriter, _ service: String, kind: UInt64, edge: Int, database: String = ""
) {
    let id = withUnsafeBytes(of: UInt64(edge).bigEndian) { Array($0) }
    request.message(1) {
        $0.message(1) { $0.attribute(1, "service.name", service) }
        $0.message(2) {
            $0.message(2) { span in
                span.field(1, id + id)
                span.field(2, kind == 3 ? id : Array(repeating: 9, count: 8))
                if kind == 2 { span.field(4, id) }
                span.integer(6, kind)
                if !database.isEmpty { span.attribute(9, "db.name", database) }
            }
        }
    }
}

@Suite("service_graph, large requests")
struct ServiceGraphLimitsTests {
    private let ledger = MemoryLedger()
    private let large = String(repeating: "x", count: 500_000)

    private func graph(_ yaml: String = "") -> ServiceGraph {
        let diagnostics = Diagnostics()
        let config = ServiceGraphConfig(
            ConfigSection(yaml: yaml + "\nstore: {max_items: 5000}", diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return ServiceGraph(config, ledger: ledger, now: 1)
    }

    private func count(in graph: inout ServiceGraph, _ body: (inout ProtoWriter) -> Void) {
        var request = ProtoWriter()
        body(&request)
        request.bytes.withUnsafeBytes { graph.count(WireBytes($0), now: 1) }
    }

    /// The points of each part.
    private func parts(_ graph: inout ServiceGraph, _ lines: inout [String]) -> [Int] {
        var parts: [Int] = []
        while graph.flush(
            now: 2,
            emit: {
                lines += MetricLines.read($0)
                parts.append($1)
            })
        {}
        return parts
    }

    /// Otherwise a name of 500 KB would be kept for each edge that waits, and copied into each series.
    @Test("spans of too long names make no edges, and are counted")
    func largeNames() {
        var graph = graph()
        count(in: &graph) { request in
            for edge in 0..<20 {
                write(&request, large, kind: 3, edge: edge)
                write(&request, "s\(edge)", kind: 3, edge: 100 + edge, database: large)
            }
        }
        #expect(graph.counts.oversized == 40 && graph.waiting == 0 && graph.seriesCount == 0)
        #expect(ledger.bytes == 0)
    }

    /// Otherwise the two names of an edge could still be twice what a series may have.
    @Test("edges whose names are too long together are counted in the series of too many")
    func largeLabels() {
        var graph = graph()
        count(in: &graph) { request in
            write(&request, "a" + String(repeating: "x", count: 5000), kind: 3, edge: 1)
            write(&request, "b" + String(repeating: "x", count: 5000), kind: 2, edge: 1)
        }
        var lines: [String] = []
        #expect(parts(&graph, &lines) == [3])
        #expect(lines.contains("traces_service_graph_request_total{otel.metric.overflow=true} 1"))
    }

    /// Otherwise series would grow beyond the memory limit, whatever `max_series` says.
    @Test("series get half of the memory limit at most")
    func seriesWithoutMemory() {
        ledger.limit(by: Limit())
        var graph = graph()
        count(in: &graph) { request in
            for edge in 0..<3000 { write(&request, "s", kind: 3, edge: edge, database: "d\(edge)") }
        }
        #expect(graph.counts.edges == 3000 && 50...1000 ~= graph.seriesCount)
        var lines: [String] = []
        _ = parts(&graph, &lines)
        #expect(
            lines.contains { $0.hasPrefix("traces_service_graph_request_total{otel.metric.overflow=true} 2") }
        )
    }

    /// Otherwise 50 000 edges would hold the event loop for a tenth of a second, or some would be missing or there twice.
    @Test("many edges are sent in parts, those that come meanwhile as well")
    func inParts() {
        var graph = graph()
        count(in: &graph) { request in
            for edge in 0..<1200 { write(&request, "s", kind: 3, edge: edge, database: "d\(edge)") }
        }
        var lines: [String] = []
        #expect(parts(&graph, &lines) == [1500, 1500, 600])
        #expect(Set(lines.filter { $0.contains("_total{") }).count == 1200)
        var again: [String] = []
        #expect(parts(&graph, &again) == [1500, 1500, 600] && again == lines)
    }

    /// Otherwise a request of 1 MB would hold the event loop for seconds, and with it all that the loop serves.
    @Test("what a resource has is looked up once for all spans", .timeLimit(.minutes(1)))
    func lookedUpOnce() {
        var graph = graph("dimensions: [none]")
        let start = ContinuousClock.now
        count(in: &graph) { request in
            request.message(1) {
                $0.message(1) {
                    for number in 0..<20_000 { $0.attribute(1, "key\(number)", "") }
                    $0.attribute(1, "service.name", "s")
                }
                $0.message(2) { scope in
                    for _ in 0..<20_000 { scope.message(2) { $0.integer(6, 3) } }
                }
            }
        }
        // Looked up with each it takes half a minute.
        #expect(ContinuousClock.now - start < .seconds(8))
    }
}

private final class Limit: AdmissionControl {
    let limitBytes = 400_000
    var shouldPause: Bool { false }
}
