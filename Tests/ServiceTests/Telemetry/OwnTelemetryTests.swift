import Configuration
import Logging
import OTLP
import Pipeline
import Testing

@testable import Service

/// Without these a backend of OTLP refuses what the gateway says about itself, or mixes it up with another one.
@Suite struct OwnTelemetryTests {
    private func resource(_ yaml: String) -> OwnResource {
        let section = ConfigSection(yaml: yaml, path: "t", diagnostics: Diagnostics())
        return OwnResource(TelemetryConfig(section), version: "1.2")
    }

    @Test func theResourceNamesTheGateway() {
        let own = resource("")
        #expect(own.attributes.map(\.name) == ["service.instance.id", "service.name", "service.version"])
        #expect(own.attributes.map(\.value) == [own.instanceID, "sluice", "1.2"])
        #expect(own.instanceID != resource("").instanceID, "another one for every start")
    }

    @Test func theOperatorsWordsCome() {
        let own = resource("resource: {service.name: edge, service.instance.id: , zone: b}")
        #expect(
            own.attributes.map { "\($0.name)=\($0.value)" } == [
                "service.name=edge", "service.version=1.2", "zone=b",
            ])
    }

    @Test(arguments: [
        ("[\"*\"]", "[]", ["a.b", "service.name", "service.version"]),
        ("[service.*]", "[\"*.version\"]", ["service.name"]),
        ("[a.?]", "[]", ["a.b"]), ("[\"*a*e\"]", "[]", ["service.name"]), ("[]", "[]", []), ("[a]", "[]", []),
    ])
    func labelsAreThosethatPatternsChoose(included: String, excluded: String, names: [String]) {
        let yaml = """
            resource: {a.b: c, service.instance.id: }
            metrics:
              readers:
              - pull: {exporter: {prometheus: {with_resource_constant_labels: {included: \(included), excluded: \(excluded)}}}}
            """
        let section = ConfigSection(yaml: yaml, path: "t", diagnostics: Diagnostics())
        let config = TelemetryConfig(section)
        let labels = OwnResource(config, version: "1").constantLabels(config.metrics.resourceLabels)
        #expect(labels.map(\.name) == names)
    }

    /// Guarantees: requests pass the check that every request of clients has to pass, with the right number of items.
    /// If it failed, a backend that wants differences would add up what it has already, or miss what came.
    @Test func differencesAreWhatCameSince() {
        var last = LastValues()
        func difference(_ value: MetricValue, _ labels: MetricLabels = [:]) -> MetricValue {
            last.difference("m", labels, value)
        }
        #expect(difference(.whole(5)) == .whole(5) && difference(.whole(7)) == .whole(2))
        #expect(difference(.whole(7)) == .whole(0) && difference(.whole(9), ["a": "b"]) == .whole(9))
        // Begun anew.
        #expect(difference(.whole(1)) == .whole(1) && difference(.whole(2)) == .whole(1))
        func histogram(_ counts: [UInt64], _ sum: Double) -> MetricValue {
            .histogram(bounds: [1], counts: counts, sum: sum)
        }
        #expect(difference(histogram([1, 2], 6)) == histogram([1, 2], 6))
        #expect(difference(histogram([1, 4], 16)) == histogram([0, 2], 10))
    }

    @Test func requestsAreValid() throws {
        let request = OwnRequest(resource(""), version: "1.2")
        func items(_ bytes: [UInt8], _ signal: Signal) throws -> Int {
            try bytes.withUnsafeBytes { try summarize($0, as: signal).items }
        }
        let line = OwnLogRecord(
            unixNanoseconds: 5, .warning, "odd", ["n": "1", "list": .array(["a", "b"]), "none": ""])
        #expect(line.severity == 13 && line.severityText == "warn")
        #expect(try items(request.request([OwnRequest.record(line)]), .logs) == 1)

        let registry = MetricRegistry()
        registry.counter("a_spans", help: "A.", labels: ["x": "y"]).add(3)
        registry.counter("a_spans", help: "A.").add(4)
        registry.gauge("g", help: "G.").set(0)
        registry.histogram("h_bytes", help: "H.", bounds: [1, 2]).observe(1.5)
        registry.gauge("target_info", help: "").set(1)
        var cumulative: LastValues?
        let (metrics, points) = OwnRequest.metrics(registry.gather(), since: &cumulative, from: 1, to: 2)
        #expect(points == 4 && metrics.count == 3)
        #expect(try items(request.request(metrics), .metrics) == 4)

        let kept = Kept()
        let tracer = Tracer(ratio: 1) { kept.span = $0 }
        tracer.end(try #require(tracer.begin("s", .server)), [(key: "n", value: .whole(0))], error: "no")
        let span = OwnRequest.span(try #require(kept.span))
        #expect(try items(request.request([span]), .traces) == 1)
    }

    private final class Kept: @unchecked Sendable {
        // One thread only.
        var span: OwnSpan?
    }
}
