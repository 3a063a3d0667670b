import Configuration
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import FilterProcessor

/// What is dropped, and what goes with it. Data that is dropped by mistake is gone.
@Suite("filter")
struct FilterProcessorTests {
    private let registry = MetricRegistry()

    private static let traces = """
        {"resourceSpans":[{"resource":{"attributes":[{"key":"env","value":{"stringValue":"test"}}]},"scopeSpans":[{"spans":[{"name":"a"}]}]},\
        {"scopeSpans":[{"scope":{"name":"lib"},"spans":[{"name":"b","kind":2,"events":[{"name":"e"},{"name":"f"}]},{"name":"c"}]}]}]}
        """
    private static let metrics = """
        {"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}},\
        {"name":"n","gauge":{"dataPoints":[{"asInt":"2"}]}}]}]}]}
        """

    private func config(_ yaml: String) -> (FilterConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (FilterConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    private func edit(_ yaml: String, _ json: String = Self.traces, _ signal: Signal = .traces) throws
        -> EditedRequest
    {
        let (config, diagnostics) = config(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let context = ComponentContext.alone(
            .processor, "filter", signal: signal, on: EmbeddedEventLoop(), registry: registry)
        return try EditedRequest(json, signal, FilterProcessor(config, context))
    }

    /// The names of spans, events and metrics that are left, in order.
    private func names(_ edited: EditedRequest) -> String {
        edited.json.split(separator: "\"name\":\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
            .joined(separator: " ")
    }

    @Test(
        "each level drops what is in it, and what is empty goes",
        arguments: [
            ("trace_conditions: ['span.name == \"b\"']", "a lib c"),
            ("trace_conditions: ['span.kind == 2', 'span.name == \"c\"']", "a"),
            ("trace_conditions: ['resource.attributes[\"env\"] == \"test\"']", "lib b e f c"),
            ("trace_conditions: ['scope.name == \"lib\"']", "a"),
            ("trace_conditions: ['spanevent.name == \"e\"']", "a lib b f c"),
            ("traces: {span: ['name == \"b\"'], spanevent: ['name == \"e\"']}", "a lib c"),
            ("spans: {exclude: {match_type: regexp, span_names: ['^[bc]$']}}", "a"),
            ("spans: {include: {match_type: strict, libraries: [{name: lib}]}}", "lib b e f c"),
            ("trace_conditions: ['true']", ""),
            ("trace_conditions: ['span.attributes[\"x\"][\"y\"] == 1 or true']", ""),
        ])
    func traces(_ yaml: String, _ left: String) throws {
        #expect(names(try edit(yaml.replacingTrue)) == left)
    }

    @Test(
        "a metric without points goes",
        arguments: [
            ("metric_conditions: ['datapoint.value_int == 2']", "m"),
            ("metric_conditions: ['metric.name == \"m\"']", "n"),
            ("metrics: {metric: ['HasAttrKeyOnDatapoint(\"x\")']}", "m n"),
            ("metrics: {exclude: {match_type: strict, metric_names: [n]}}", "m"),
        ])
    func metrics(_ yaml: String, _ left: String) throws {
        #expect(names(try edit(yaml, Self.metrics, .metrics)) == left)
    }

    @Test(
        "resources of metrics are asked apart from the names",
        arguments: [
            ("include: {match_type: strict, resource_attributes: [{key: env, value: test}]}", "m n"),
            (
                "include: {match_type: strict, metric_names: [m], resource_attributes: [{key: env, value: test}]}",
                "m"
            ),
            ("exclude: {match_type: regexp, resource_attributes: [{key: env, value: t.st}]}", "m"),
            (
                "exclude: {match_type: strict, metric_names: [n], resource_attributes: [{key: env, value: other}]}",
                "m m"
            ),
            (
                "exclude: {match_type: strict, metric_names: [m], resource_attributes: [{key: env, value: test}]}",
                ""
            ),
            ("include: {match_type: strict}", "m n m"),
        ])
    func metricResources(_ yaml: String, _ left: String) throws {
        let json = """
            {"resourceMetrics":[{"resource":{"attributes":[{"key":"env","value":{"stringValue":"test"}}]},"scopeMetrics":[{"metrics":\
            [{"name":"m","sum":{"dataPoints":[{"asInt":"1"}]}},{"name":"n","gauge":{"dataPoints":[{"asInt":"2"}]}}]}]},\
            {"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"asInt":"1"}]}}]}]}]}
            """
        #expect(names(try edit("metrics: {\(yaml)}", json, .metrics)) == left)
    }

    /// In the language of expressions that came before conditions; a metric goes or stays by any of its points.
    @Test(
        "expressions of metrics",
        arguments: [
            ("include: {match_type: expr, expressions: ['MetricName == \"m\"']}", "m"),
            ("exclude: {match_type: expr, expressions: ['HasLabel(\"k\")']}", "n o"),
            ("exclude: {match_type: expr, expressions: [\"Label('k') == 'b'\"]}", "n o"),
            (
                "exclude: {match_type: expr, expressions: ['Label(\"k\") == \"\" && MetricName != \"n\"']}",
                "m n"
            ),
            (
                "include: {match_type: expr, expressions: ['MetricName startsWith \"n\"', 'MetricName endsWith \"o\"']}",
                "n o"
            ),
            ("include: {match_type: expr, expressions: ['not (MetricName in [\"m\", \"n\"])']}", "o"),
            (
                "include: {match_type: expr, expressions: ['!HasLabel(\"k\") and MetricName matches \"^[mn]\"']}",
                "n"
            ),
            ("include: {match_type: expr, expressions: ['false']}", ""),
        ])
    func metricExpressions(_ yaml: String, _ left: String) throws {
        let json = """
            {"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[\
            {"asInt":"1","attributes":[{"key":"k","value":{"stringValue":"a"}}]},\
            {"asInt":"1","attributes":[{"key":"k","value":{"stringValue":"b"}}]}]}},\
            {"name":"n","gauge":{"dataPoints":[{"asInt":"2"}]}},{"name":"o","gauge":{"dataPoints":[{"asInt":"2"}]}}]}]}]}
            """
        #expect(names(try edit("metrics: {\(yaml)}", json, .metrics)) == left)
    }

    @Test("dropped items are counted in all and by condition")
    func counts() throws {
        _ = try edit(
            #"metric_conditions: ['metric.name == "m"', 'datapoint.value_int == 2']"#, Self.metrics, .metrics)
        let page = String(decoding: registry.render(), as: UTF8.self)
        #expect(page.contains("otelcol_processor_filter_datapoints_filtered{filter=\"filter\"} 3"))
        #expect(page.contains(#"condition="metric.name == \"m\"",otel_signal="metrics"} 2"#))
    }

    @Test("a condition that fails does not hold, or refuses the request")
    func errors() throws {
        let condition = #"trace_conditions: ['span.name["x"] == 1']"#
        #expect(config(condition).1.hasErrors)
        let failing = #"trace_conditions: ['Int(span.name) == nil and Double(span.name) > 1']"#
        #expect(try !edit(failing).isChanged)
        let refused = try edit("error_mode: propagate\n" + failing)
        #expect(refused.refusal?.message.hasPrefix("failed to eval condition: Int(span.name)") == true)
    }

    @Test(
        "wrong configurations are refused",
        arguments: [
            ("trace_conditions: [null]", "condition cannot be empty"),
            ("trace_conditions: ['name == \"a\"']", "infer context"),
            (
                "trace_conditions: [{context: metric, conditions: ['name == \"a\"']}]",
                "unknown context metric"
            ),
            (
                "{trace_conditions: ['span.name == \"\"'], traces: {span: ['name == \"\"']}}",
                "at the same time"
            ),
            (
                "{spans: {include: {match_type: strict, services: [a]}}, traces: {span: ['name == \"\"']}}",
                "at the same time"
            ),
            (
                "trace_conditions: ['span.name == \"a\"', {conditions: ['span.name == \"b\"']}]",
                "multiple configuration styles"
            ),
            ("trace_conditions: ['set(span.name, \"x\")']", "invalid syntax"),
            (
                "logs: {include: {match_type: strict, severity_number: {min: LOUD}}}",
                "'LOUD' is not a valid severity"
            ),
            (
                "metrics: {include: {match_type: expr, expressions: ['MetricName == 5 + 1']}}",
                "unexpected \"+\""
            ),
            (
                "metrics: {include: {match_type: expr, expressions: ['Label(\"x\") matches \"(\"']}}",
                "not a valid pattern"
            ),
        ])
    func refused(_ yaml: String, _ message: String) {
        let text = config(yaml).1.render()
        #expect(text.contains(message), "\(text)")
    }
}

extension String {
    /// `true` alone names no context.
    fileprivate var replacingTrue: String {
        self.replacing("['true']", with: "['true or span.name == \"\"']")
    }
}
