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
        try edited(yaml, json, signal).json
    }

    private func edited(_ yaml: String, _ json: String, _ signal: Signal) throws -> EditedRequest {
        let diagnostics = Diagnostics()
        let config = GroupByAttributesConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors)
        let context = ComponentContext.alone(
            .processor, "groupbyattrs", signal: signal, on: EmbeddedEventLoop())
        return try EditedRequest(json, signal, GroupByAttributesTransform(config, context))
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

    /// Scenario: a large resource, scope or metric, and very many values of the key. Guarantees: the request is refused for good, with
    /// how much it would be, before anything is copied: 600 copies of half a megabyte took more memory than the gateway has.
    @Test("what would be copied into too many groups is refused before", arguments: [0, 1, 2])
    func copies(place: Int) throws {
        func attribute(_ size: Int) -> String { text("r", String(repeating: "x", count: size)) }
        let large = 300_000
        func spans(_ count: Int) -> String {
            let items = (0..<count).map { span("n", [text("k", "\($0)")]) }.joined(separator: ",")
            return #"{"resourceSpans":[{"resource":{"attributes":["# + attribute(place == 0 ? large : 1)
                + #"]},"scopeSpans":[{"scope":{"attributes":["# + attribute(place == 1 ? large : 1)
                + #"]},"spans":["# + items + "]}]}]}"
        }
        func points(_ count: Int) -> String {
            let items = (0..<count).map { #"{"asInt":"1","attributes":["# + text("k", "\($0)") + "]}" }
            return #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","description":""#
                + String(repeating: "x", count: large) + #"","gauge":{"dataPoints":["#
                + items.joined(separator: ",") + "]}}]}]}]}"
        }
        func grouped(_ count: Int) throws -> EditedRequest {
            place < 2
                ? try edited("keys: [k]", spans(count), .traces)
                : try edited("keys: [k]", points(count), .metrics)
        }
        let error = try grouped(250).refusal
        #expect(error?.isPermanent == true && error?.reason == .tooLarge)
        #expect(error?.message.contains("for 250 groups of this request, more than 67108864") == true)
        #expect(try grouped(20).json.utf8.count > 20 * large)
    }
}
