import Configuration
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import GroupByAttributes

/// Which resource an item belongs to: grouped wrongly, one host's data is shown as another's.
@Suite("groupbyattrs")
struct GroupByAttributesTests {
    private func edit(_ yaml: String, _ json: String, _ signal: Signal = .traces) throws -> String {
        let diagnostics = Diagnostics()
        let config = GroupByAttributesConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors)
        let context = ComponentContext.alone(
            .processor, "groupbyattrs", signal: signal, on: EmbeddedEventLoop())
        return try EditedRequest(json, signal, GroupByAttributesTransform(config, context)).json
    }

    private func text(_ key: String, _ value: String) -> String {
        #"{"key":"\#(key)","value":{"stringValue":"\#(value)"}}"#
    }

    private func resource(_ attributes: [String], _ spans: [String], scope: String = "lib") -> String {
        #"{"resource":{"attributes":["# + attributes.joined(separator: ",")
            + #"]},"scopeSpans":[{"scope":{"name":"\#(scope)"},"spans":["# + spans.joined(separator: ",")
            + "]}]}"
    }

    private func span(_ name: String, _ attributes: [String] = []) -> String {
        #"{"name":"\#(name)""#
            + (attributes.isEmpty ? "" : #","attributes":["# + attributes.joined(separator: ",") + "]") + "}"
    }

    private func request(_ resources: String...) -> String {
        #"{"resourceSpans":["# + resources.joined(separator: ",") + "]}"
    }

    @Test("attributes move to the resource, which others of the same share")
    func moving() throws {
        let before = request(
            resource(
                [text("service.name", "a"), text("host", "old")],
                [
                    span("1", [text("host", "h1"), text("x", "y")]), span("2"),
                    span("3", [text("host", "h2")]),
                ]),
            resource([text("host", "h1"), text("service.name", "a")], [span("4")]))
        let after = request(
            resource(
                [text("service.name", "a"), text("host", "h1")], [span("1", [text("x", "y")]), span("4")]),
            resource([text("service.name", "a"), text("host", "old")], [span("2")]),
            resource([text("service.name", "a"), text("host", "h2")], [span("3")]))
        #expect(try edit("keys: [host, host, '']", before) == after)
    }

    @Test("without keys, equal resources and scopes are merged; values of other types are not equal")
    func compacting() throws {
        let number = #"{"key":"t","value":{"intValue":"1"}}"#
        let before = request(
            resource([text("t", "1")], [span("1")]), resource([number], [span("2")]),
            resource([text("t", "1")], [span("3")]))
        let after = request(
            resource([text("t", "1")], [span("1"), span("3")]), resource([number], [span("2")]))
        #expect(try edit("", before) == after)
    }

    @Test("points of one metric go to several resources, with what the metric says of them")
    func points() throws {
        func metrics(_ resources: (attributes: String, points: String)...) -> String {
            #"{"resourceMetrics":["#
                + resources.map {
                    #"{"resource":{\#($0.attributes)},"scopeMetrics":[{"scope":{},"metrics":[{"name":"m","unit":"s","#
                        + #""sum":{"dataPoints":[\#($0.points)],"aggregationTemporality":2,"isMonotonic":true}}]}]}"#
                }.joined(separator: ",") + "]}"
        }
        let point = #"{"asInt":"1","attributes":["# + text("k", "a") + "]}"
        let after = try edit("keys: [k]", metrics(("", point + #",{"asInt":"2"},"# + point)), .metrics)
        #expect(
            after.contains(
                #""aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"1"},{"asInt":"1"}]"#),
            "\(after)")
        #expect(
            after.contains(#""aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"2"}]"#))
        #expect(after.contains(text("k", "a")))
    }
}
