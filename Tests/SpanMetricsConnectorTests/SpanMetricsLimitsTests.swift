import Configuration
import NIOCore
import OTLP
import Pipeline
import SpanMetricsConnector
import TestSupport
import Testing

/// A resource with this `service.name` and so many other attributes, and spans of names op0, op1 and so on, with attributes and
/// events.
private func request(
    _ spans: Int, service: String = "s", others: Int = 0, attributes: Int = 0, events: Int = 0,
    named: Bool = true
) -> [UInt8] {
    var request = ProtoWriter()
    request.message(1) {
        $0.message(1) {
            for number in 0..<others { $0.attribute(1, "key\(number)", "") }
            $0.attribute(1, "service.name", service)
        }
        $0.message(2) { scope in
            for number in 0..<spans {
                scope.message(2) { span in
                    span.text(5, named ? "op\(number)" : "op")
                    for number in 0..<attributes { span.attribute(9, "key\(number)", "") }
                    for number in 0..<events { span.message(11) { $0.attribute(3, "e", "\(number)") } }
                }
            }
        }
    }
    return request.bytes
}

@Suite("span_metrics, large requests")
struct SpanMetricsLimitsTests {
    private let ledger = MemoryLedger()

    private func metrics(_ yaml: String) -> SpanMetrics {
        let diagnostics = Diagnostics()
        let delta = "aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA\nhistogram: {disable: true}\n"
        let config = SpanMetricsConfig(ConfigSection(yaml: delta + yaml, diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        return SpanMetrics(config, instance: "i", ledger: ledger)
    }

    private func count(_ bytes: [UInt8], in metrics: inout SpanMetrics) {
        bytes.withUnsafeBytes { metrics.count(WireBytes($0), now: 1) }
    }

    private func lines(_ metrics: inout SpanMetrics) -> [String] {
        var lines: [String] = []
        while metrics.flush(now: 2, emit: { bytes, _ in lines += MetricLines.read(bytes) }) {}
        return lines
    }

    /// Otherwise each series would have a copy of a label of 500 KB: 900 MB of one request.
    @Test("spans with too large labels are counted in the series of too many", arguments: [true, false])
    func largeLabels(isOfDimension: Bool) {
        let large = String(repeating: "x", count: 500_000)
        var metrics = metrics(
            isOfDimension
                ? "dimensions: [{name: none, default: \(large)}]" : "resource_metrics_cache_size: 10")
        count(request(50, service: isOfDimension ? "s" : large), in: &metrics)
        #expect(metrics.seriesCount == 1 && ledger.bytes < 600_000)
        #expect(lines(&metrics) == ["traces.span.metrics.calls{otel.metric.overflow=true} 50"])
    }

    /// Otherwise series would grow beyond the memory limit, whatever `max_series` says.
    @Test("series get half of the memory limit at most")
    func seriesWithoutMemory() {
        let limit = Limit(ledger, 400_000)
        ledger.limit(by: limit)
        var metrics = metrics("")
        count(request(5000), in: &metrics)
        #expect(100_000...201_000 ~= ledger.bytes)
        let lines = lines(&metrics)
        #expect(lines.contains { $0.hasPrefix("traces.span.metrics.calls{otel.metric.overflow=true} 4") })
        #expect(lines.count == metrics.seriesCount)
    }

    /// Otherwise a part of a flush would be as large as all series together.
    @Test("a part of a flush takes little memory")
    func smallParts() {
        var metrics = metrics("")
        count(request(1000, service: String(repeating: "x", count: 8000)), in: &metrics)
        var parts: [Int] = []
        var points = 0
        while metrics.flush(
            now: 2,
            emit: {
                parts.append($0.readableBytes)
                points += $1
            })
        {}
        #expect(points == 1000 && parts.allSatisfy { $0 < 2_000_000 } && parts.count > 4)
    }

    /// Otherwise a request of 1 MB would hold the event loop for seconds, and with it all that the loop serves.
    @Test(
        "what a resource or a span has is looked up once", .timeLimit(.minutes(1)), arguments: [true, false])
    func lookedUpOnce(isOfResource: Bool) {
        var metrics = metrics(
            "dimensions: [{name: none, default: d}]\nevents: {enabled: true, dimensions: [{name: other}]}")
        let start = ContinuousClock.now
        let large =
            isOfResource
            ? request(20_000, others: 20_000, named: false)
            : request(1, attributes: 20_000, events: 20_000)
        count(large, in: &metrics)
        // Looked up with each it takes half a minute.
        #expect(ContinuousClock.now - start < .seconds(8))
        #expect(metrics.seriesCount == (isOfResource ? 1 : 2))
    }
}

/// A memory limit that leaves so many bytes.
private final class Limit: AdmissionControl {
    let limitBytes: Int
    init(_ ledger: MemoryLedger, _ limitBytes: Int) { self.limitBytes = limitBytes }
    var shouldPause: Bool { false }
}
