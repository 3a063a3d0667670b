import Configuration
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import ProbabilisticSampler

/// What happens to spans and records in each mode, as a real Collector decided.
@Suite("probabilistic_sampler")
struct SamplerTests {
    private let registry = MetricRegistry()

    private func transform(_ yaml: String, _ signal: Signal = .traces) throws -> SamplerTransform {
        let diagnostics = Diagnostics()
        let config = SamplerConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return SamplerTransform(
            config,
            .alone(
                .processor, "probabilistic_sampler", signal: signal, on: EmbeddedEventLoop(),
                registry: registry))
    }

    /// The tracestate of a span after it; nil when it went.
    private func state(_ yaml: String, id: String, _ state: String = "", priority: String? = nil) throws
        -> String?
    {
        let attributes = priority.map { #","attributes":[{"key":"sampling.priority","value":\#($0)}]"# } ?? ""
        let json =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)","traceState":"\#(state)""#
            + attributes + "}]}]}]}"
        let edited = try EditedRequest(json, .traces, transform(yaml)).json
        guard edited.contains("spans") else { return nil }
        return edited.firstMatch(of: /"traceState":"([^"]*)"/).map { String($0.output.1) } ?? ""
    }

    private static let low = "00000000000000000000000000000001"
    private static let high = "ffffffffffffffffffffffffffffffff"
    private static let middle = "aaaaaaaaaaaaaaaaaafd70a3d70a3d71"

    @Test("equalizing raises thresholds to its own, and never lowers them")
    func equalizing() throws {
        let yaml = "{mode: equalizing, sampling_percentage: 50, fail_closed: false}"
        #expect(try state(yaml, id: Self.low) == nil)
        #expect(try state(yaml, id: Self.high) == "ot=th:8")
        #expect(try state(yaml, id: Self.high, "ot=th:c") == "ot=th:c")
        #expect(try state(yaml, id: Self.low, "ot=rv:80000000000000") == "ot=rv:80000000000000;th:8")
        #expect(
            try state(yaml, id: Self.middle, "vendor=x,ot=rv:ffffffffffffff;foo:bar")
                == "ot=rv:ffffffffffffff;th:8;foo:bar,vendor=x")
        // A threshold by which the span would not be here is taken back.
        #expect(try state(yaml, id: Self.low, "ot=th:e;rv:10000000000000") == "ot=rv:10000000000000;th:0")
        // What cannot be read stays as it is.
        #expect(try state(yaml, id: Self.low, "bad==,,") == "bad==,,")
    }

    @Test("proportional multiplies the probability that a span came with")
    func proportional() throws {
        let yaml = "{mode: proportional, sampling_percentage: 50}"
        #expect(try state(yaml, id: Self.low, "ot=th:c;rv:ffffffffffffff") == "ot=rv:ffffffffffffff;th:e")
        #expect(try state(yaml, id: Self.low, "ot=th:8;rv:c0000000000000") == "ot=rv:c0000000000000;th:c")
        #expect(try state(yaml, id: Self.high, "ot=th:8;rv:bfffffffffffff") == nil)
    }

    @Test("hash_seed tells its randomness, and does not touch spans that have one")
    func hashSeed() throws {
        let yaml = "{sampling_percentage: 50, hash_seed: 22}"
        #expect(
            try state(yaml, id: Self.middle, "other=1,vendor=2")
                == "ot=rv:9dbc004d135890;th:8,other=1,vendor=2")
        #expect(try state(yaml, id: Self.middle) == "ot=rv:9dbc004d135890;th:8")
        #expect(try state(yaml, id: Self.middle, "ot=th:8") == nil)
        let open = "{sampling_percentage: 50, hash_seed: 22, fail_closed: false}"
        #expect(try state(open, id: Self.middle, "ot=th:8") == "ot=th:8")
    }

    @Test("sampling.priority decides alone; what is no number says nothing")
    func priority() throws {
        let few = "{sampling_percentage: 0.0001, hash_seed: 22}"
        #expect(try state(few, id: Self.low, priority: #"{"intValue":"1"}"#) == "ot=th:0")
        #expect(try state(few, id: Self.low, priority: #"{"stringValue":"2"}"#) == "ot=th:0")
        #expect(try state(few, id: Self.low, priority: #"{"stringValue":"abc"}"#) == nil)
        #expect(try state(few, id: Self.low, priority: #"{"intValue":"-1"}"#) == nil)
        let all = "{sampling_percentage: 100, mode: proportional}"
        #expect(try state(all, id: Self.low, priority: #"{"doubleValue":0}"#) == nil)
        #expect(try state(all, id: Self.low, priority: #"{"boolValue":true}"#) == "ot=th:0")
    }

    @Test("records carry attributes, and may name a percentage of their own")
    func records() throws {
        let json = """
            {"resourceLogs":[{"scopeLogs":[{"logRecords":[
              {"severityText":"A","traceId":"\(Self.low)","attributes":[{"key":"p","value":{"intValue":"100"}}]},
              {"severityText":"B","traceId":"\(Self.low)","attributes":[{"key":"p","value":{"intValue":"0"}}]},
              {"severityText":"C","traceId":"\(Self.high)","attributes":[{"key":"sampling.threshold","value":{"stringValue":"8"}}]}
            ]}]}]}
            """
        let edited = try EditedRequest(
            json, .logs,
            transform("{mode: proportional, sampling_percentage: 50, sampling_priority: p}", .logs))
        #expect(edited.json.contains(#""severityText":"A""#) && edited.json.contains(#""stringValue":"0""#))
        #expect(!edited.json.contains(#""severityText":"B""#))
        #expect(edited.json.contains(#""stringValue":"c""#), "\(edited.json)")
        let hashed = try EditedRequest(
            #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"rid","value":{"bytesValue":"AQI="}}]}]}]}]}"#,
            .logs,
            transform(
                "{sampling_percentage: 60, hash_seed: 22, attribute_source: record, from_attribute: rid}",
                .logs))
        #expect(hashed.json.contains("994c09084299ac") && hashed.json.contains("6668"), "\(hashed.json)")
    }

    /// Who watches whether sampling works looks at these.
    @Test("decisions are counted by policy")
    func counts() throws {
        let sampler = try transform("{mode: equalizing, sampling_percentage: 50}")
        for id in [Self.high, Self.low] {
            let json = #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)"}]}]}]}"#
            _ = try EditedRequest(json, .traces, sampler)
        }
        let page = String(decoding: registry.render(), as: UTF8.self)
        let name = "otelcol_processor_probabilistic_sampler_count_traces_sampled"
        #expect(page.contains(#"\#(name){policy="trace_id_w3c",sampled="true"} 1"#), "\(page)")
        #expect(page.contains(#"\#(name){policy="trace_id_w3c",sampled="false"} 1"#))
    }

    @Test(
        "configurations that are not valid are refused",
        arguments: [
            ("sampling_percentage: -1", "sampling rate is negative: -1.0"),
            ("sampling_percentage: 1.0e-20", "sampling rate is too small: 1e-20%"),
            ("sampling_percentage: .nan", "between"), ("mode: rate", "unknown value \"rate\""),
            ("hash_seed: -1", "must be between 0 and 4294967295"),
            ("sampling_precision: 0", "invalid sampling precision: 0"),
            ("sampling_precision: 15", "<= 14: 15"),
            ("attribute_source: span", "unknown value \"span\""),
        ])
    func refused(yaml: String, expected: String) {
        let diagnostics = Diagnostics()
        _ = SamplerConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(expected), "\(diagnostics.render())")
    }
}
