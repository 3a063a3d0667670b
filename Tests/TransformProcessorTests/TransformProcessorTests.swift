import Configuration
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import TransformProcessor

/// Statements on requests, from the configuration to the bytes.
@Suite("transform")
struct TransformProcessorTests {
    private let registry = MetricRegistry()

    private static let traces = """
        {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[\
        {"name":"a","attributes":[{"key":"k","value":{"stringValue":"text"}}],"events":[{"name":"e"}]},{"name":"b"}]}]}]}
        """

    private func config(_ yaml: String) -> (TransformConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (
            TransformConfig(ConfigSection(yaml: yaml, name: "g.yaml", diagnostics: diagnostics)), diagnostics
        )
    }

    private func edit(
        _ yaml: String, _ json: String = Self.traces, _ signal: Signal = .traces,
        metadata: ClientMetadata? = nil
    ) throws -> EditedRequest {
        let (config, diagnostics) = config(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let context = ComponentContext.alone(
            .processor, "transform", signal: signal, on: EmbeddedEventLoop(), registry: registry)
        return try EditedRequest(json, signal, TransformProcessor(config, context), metadata: metadata)
    }

    @Test("groups run in order, each sees what the former did")
    func order() throws {
        let edited = try edit(
            """
            trace_statements:
            - context: span
              statements: ['set(name, "x") where name == "a"']
            - context: spanevent
              conditions: ['span.name == "x"', 'false']
              statements: ['set(attributes["of"], span.name)']
            - context: resource
              statements: ['set(attributes["seen"], true)']
            """)
        #expect(
            edited.json.contains(
                #""events":[{"name":"e","attributes":[{"key":"of","value":{"stringValue":"x"}}]}]"#))
        #expect(edited.json.contains(#"{"key":"seen","value":{"boolValue":true}}"#))
    }

    /// One such request would end the process.
    @Test(
        "what stands around an empty message is changed from inside it",
        arguments: [
            (
                Signal.traces, "spanevent",
                ["spanevent.name", #"spanevent.attributes["x"]"#, "spanevent.dropped_attributes_count"],
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","events":[{}]}]}]}]}"#
            ),
            (
                .logs, "log", ["log.severity_text", #"log.attributes["x"]"#, "log.flags"],
                #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}"#
            ),
            (
                .metrics, "datapoint",
                [#"datapoint.attributes["x"]"#, "datapoint.flags", "datapoint.start_time_unix_nano"],
                #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{},{}]}}]}]}]}"#
            ),
        ])
    func emptyMessages(_ signal: Signal, _ context: String, _ reads: [String], _ json: String) throws {
        let outer = ["spanevent": "span", "log": "scope", "datapoint": "resource"][context] ?? ""
        let statements = reads.enumerated().map {
            "'set(\(outer).attributes[\"a\($0.offset)\"], 1) where \($0.element) == nil or \($0.element) != nil'"
        }
        let sums =
            signal == .metrics
            ? ["'set(metric.aggregation_temporality, 2)'", "'set(metric.is_monotonic, true)'"] : []
        let edited = try edit(
            """
            \(signal == .logs ? "log" : signal == .traces ? "trace" : "metric")_statements:
            - context: \(context)
              statements: [\((statements + sums + statements).joined(separator: ", "))]
            """, json, signal)
        for name in ["a0", "a1", "a2"] {
            #expect(edited.json.contains(#""key":"\#(name)""#), "\(edited.json)")
        }
    }

    /// A request in which nothing changed goes on as the bytes that it was.
    @Test("a statement whose condition does not hold changes nothing")
    func unchanged() throws {
        let edited = try edit(#"trace_statements: ['set(span.name, "x") where span.name == "zz"']"#)
        #expect(!edited.isChanged)
    }

    @Test("an error ends the statement only; it is counted")
    func ignore() throws {
        let edited = try edit(
            """
            trace_statements:
            - set(span.attributes["r"], span.attributes["k"]["x"]) where span.name == "a"
            - set(span.attributes["after"], 1)
            """)
        #expect(edited.json.contains("after"))
        let page = String(decoding: registry.render(), as: UTF8.self)
        #expect(page.contains("sluice_ottl_errors{component=\"transform\""))
        #expect(page.contains("} 1\n"))
    }

    /// With `propagate` the client hears of it and nothing half edited goes on.
    @Test("an error that propagates refuses the request")
    func propagate() throws {
        let edited = try edit(
            """
            error_mode: PROPAGATE
            trace_statements:
            - set(span.name, "changed")
            - set(span.attributes["r"], span.attributes["k"]["x"])
            """)
        #expect(edited.refusal?.message.hasPrefix("failed to execute statement: set(span.attributes") == true)
        #expect(edited.refusal?.isPermanent == false)
    }

    @Test("what the client sent can be read")
    func client() throws {
        let edited = try edit(
            #"trace_statements: ['set(span.attributes["tenant"], otelcol.client.metadata["X-Tenant"][0])']"#,
            metadata: ClientMetadata([ClientMetadata.Field("x-tenant", "blue")]))
        #expect(edited.json.contains(#"{"key":"tenant","value":{"stringValue":"blue"}}"#))
    }

    @Test(
        "wrong configurations are refused",
        arguments: [
            ("error_mode: x", "unknown error mode x"),
            ("trace_statements: [{context: log, statements: ['set(body, 1)']}]", "unknown context log"),
            ("trace_statements: ['set(span.name, 1)', {statements: []}]", "multiple configuration styles"),
            ("flatten_data: true", "'flatten_data' requires"), ("trace_statement: []", "unknown key"),
            ("trace_statements: [null]", "statement cannot be empty"),
            ("log_statements: ['set(log.body, 1)', 'nope(log.body)']", "\"nope\""),
        ])
    func refused(_ yaml: String, _ message: String) {
        let text = config(yaml).1.render()
        #expect(text.contains(message), "\(text)")
    }

    /// The caret stands under the word that is wrong, through YAML's quotes and escapes.
    @Test(
        "an error points into the statement",
        arguments: [
            (#"trace_statements: ['set(span.nam, "x")']"#, "g.yaml:1:30: "),
            (#"trace_statements: ["set(span.attributes[\"k\"], nope.x)"]"#, "g.yaml:1:49: "),
            ("trace_statements:\n- set(span.nam, 1)", "g.yaml:2:12: "),
            ("trace_statements:\n- |\n  set(span.name,\n    span.nam)", "g.yaml:4:10: "),
            (
                #"trace_statements: ['replace_pattern(span.name, "a", "$$1") where span.nam == ""']"#,
                "g.yaml:1:71: "
            ),
        ])
    func place(_ yaml: String, _ expected: String) {
        let text = config(yaml).1.render()
        #expect(text.hasPrefix(expected), "\(text)")
    }
}
