import Configuration
import Foundation
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import AttributesProcessor

/// What the actions of `attributes` and `resource` do to attributes.
@Suite("actions")
struct ActionTests {
    static func transform(_ actions: String, _ signal: Signal = .traces) throws -> AttributesTransform {
        let diagnostics = Diagnostics()
        let config = AttributesConfig(ConfigSection(yaml: actions, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return try AttributesTransform(config, signal)
    }

    /// The attributes of the one span after the actions.
    private func edit(_ actions: String, _ attributes: String) throws -> String {
        let before =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s","attributes":["# + attributes
            + "]}]}]}]}"
        let edited = try EditedRequest(before, .traces, Self.transform("actions:\n" + actions))
        guard let start = edited.json.range(of: #""attributes":["#) else { return "" }
        return String(edited.json[start.upperBound...].dropLast("]}]}]}]}".count))
    }

    private func text(_ key: String, _ value: String) -> String {
        #"{"key":"\#(key)","value":{"stringValue":"\#(value)"}}"#
    }

    private func int(_ key: String, _ value: Int) -> String {
        #"{"key":"\#(key)","value":{"intValue":"\#(value)"}}"#
    }

    /// The three ways to set a value differ in nothing else; mixed up, an operator's tag overwrites the application's.
    @Test("insert sets what is not there, update what is, upsert both")
    func setting() throws {
        let actions = """
            - {key: a, value: new, action: insert}
            - {key: b, value: new, action: INSERT}
            - {key: c, value: new, action: update}
            - {key: a, value: 7, action: update}
            - {key: d, value: 1, action: upsert}
            """
        #expect(
            try edit(actions, text("a", "old"))
                == [int("a", 7), text("b", "new"), int("d", 1)].joined(separator: ","))
    }

    /// A value whose type changes on the way no longer equals itself in queries.
    @Test("values keep the type that they have in YAML")
    func types() throws {
        let actions = """
            - {key: d, value: 2.0, action: insert}
            - {key: b, value: false, action: insert}
            - {key: s, value: "5", action: insert}
            - {key: l, value: [1, x], action: insert}
            - {key: m, value: {k: true}, action: insert}
            - {key: u, value: 12345678901234567890, action: insert}
            """
        let expected = [
            #"{"key":"d","value":{"doubleValue":2}}"#, #"{"key":"b","value":{"boolValue":false}}"#,
            text("s", "5"),
            #"{"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}}"#,
            #"{"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}}"#,
            int("u", -6_101_065_172_474_983_726),
        ]
        #expect(try edit(actions, "") == expected.joined(separator: ","))
    }

    @Test("a value comes from another attribute, or from the default when there is none")
    func sources() throws {
        let actions = """
            - {key: b, from_attribute: a, action: insert}
            - {key: c, from_attribute: gone, action: insert}
            - {key: d, from_attribute: gone, default_value: none, action: insert}
            """
        #expect(
            try edit(actions, text("a", "x"))
                == [text("a", "x"), text("b", "x"), text("d", "none")].joined(separator: ","))
    }

    @Test("delete removes a key, and all keys that a pattern matches anywhere")
    func deleting() throws {
        let actions = "- {key: a, pattern: secret, action: delete}"
        #expect(
            try edit(actions, [int("a", 1), int("my.secret.x", 2), int("b", 3)].joined(separator: ","))
                == int("b", 3))
    }

    /// The published SHA-256 of "ana", and of 42 as 8 bytes little-endian, which a real Collector computed.
    @Test("hash gives what the Collector gives")
    func hashing() throws {
        let actions = "- {pattern: ., action: hash}"
        let after = try edit(
            actions, text("user", "ana") + "," + int("age", 42) + #","# + #"{"key":"nul","value":{}}"#)
        #expect(
            after
                == [
                    text("user", "24d4b96f58da6d4a8512313bbd02a28ebf0ca95dec6e4c86ef78ce7f01e788ac"),
                    text("age", "ed049108bc18f2c64369e8d0ea42850bdd1a7d1dd340cfde716315579702a76c"),
                    text("nul", ""),
                ].joined(separator: ","))
    }

    @Test("extract sets an attribute for each group; one that took no part is empty")
    func extracting() throws {
        let actions = #"- {key: url, pattern: '^(?P<scheme>http)(?P<secure>s)?:', action: extract}"#
        #expect(
            try edit(actions, text("url", "http://x"))
                == [text("url", "http://x"), text("scheme", "http"), text("secure", "")].joined(
                    separator: ","))
        #expect(try edit(actions, int("url", 1)) == int("url", 1))
    }

    @Test("convert changes types; what is no number stays")
    func converting() throws {
        let actions = """
            - {key: a, converted_type: int, action: convert}
            - {key: b, converted_type: int, action: convert}
            - {key: c, converted_type: double, action: convert}
            - {key: d, converted_type: string, action: convert}
            """
        let map =
            #"{"key":"d","value":{"kvlistValue":{"values":[{"key":"y","value":{"intValue":"1"}},"#
            + #"{"key":"x","value":{"stringValue":"<"}}]}}}"#
        #expect(
            try edit(actions, [text("a", "17"), text("b", "3.9"), int("c", 2), map].joined(separator: ","))
                == [
                    int("a", 17), text("b", "3.9"), #"{"key":"c","value":{"doubleValue":2}}"#,
                    text("d", #"{\"x\":\"\\u003c\",\"y\":1}"#),
                ].joined(separator: ","))
    }

    @Test("values come from header fields and the connection of the client")
    func context() throws {
        let transform = try Self.transform(
            """
            actions:
              - {key: tenant, from_context: metadata.X-Tenant, action: upsert}
              - {key: peer, from_context: client.address, action: upsert}
              - {key: user, from_context: auth.subject, default_value: nobody, action: upsert}
            """)
        let edited = try EditedRequest(
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s"}]}]}]}"#, .traces, transform,
            metadata: ClientMetadata([.init("x-tenant", "a"), .init("x-tenant", "b")]),
            client: ClientAddress(host: "10.1.2.3"))
        for attribute in [text("tenant", "a;b"), text("peer", "10.1.2.3"), text("user", "nobody")] {
            #expect(edited.json.contains(attribute), "\(edited.json)")
        }
    }

    /// Attributes of metrics are those of their points, whatever their kind.
    @Test("the points of every kind of metric are changed")
    func points() throws {
        let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"]
        let metrics = kinds.map { #"{"name":"m","\#($0)":{"dataPoints":[{}]}}"# }.joined(separator: ",")
        let edited = try EditedRequest(
            #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":["# + metrics + "]}]}]}", .metrics,
            Self.transform("actions: [{key: env, value: p, action: insert}]", .metrics))
        #expect(edited.json.components(separatedBy: text("env", "p")).count == 6, "\(edited.json)")
    }

    @Test("resource changes resources, also one that was not there")
    func resources() throws {
        let diagnostics = Diagnostics()
        let config = ResourceConfig(
            ConfigSection(yaml: "attributes: [{key: a, value: b, action: upsert}]", diagnostics: diagnostics))
        let edited = try EditedRequest(
            #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#, .logs, ResourceTransform(config))
        #expect(edited.json.contains(#""resource":{"attributes":[{"key":"a""#), "\(edited.json)")
    }

    /// A copy of every request that has the tag already would be for nothing.
    @Test("a request in which no action finds work is not changed")
    func unchanged() throws {
        let transform = try Self.transform(
            "actions: [{key: a, value: x, action: upsert}, {key: b, action: delete}]")
        let json =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":["# + text("a", "x") + "]}]}]}]}"
        #expect(try !EditedRequest(json, .traces, transform).isChanged)
    }
}

/// Mistakes in `actions`: each is told at start with the Collector's words, since they are what people search for.
@Suite("actions that are not valid")
struct ActionErrorTests {
    @Test(
        arguments: [
            ("{key: k, action: merge}", "due to unsupported action \"merge\""),
            (
                "{key: k, value: x, pattern: a, action: insert}",
                "Action \"insert\" does not use the \"pattern\" field"
            ),
            (
                "{key: k, value: x, from_attribute: y, action: insert}",
                "due to multiple value sources being set"
            ),
            ("{key: k, action: upsert}", "Either field \"value\", \"from_attribute\", \"from_context\", or"),
            ("{value: x, action: insert}", "missing required field \"key\" at the 0-th action"),
            (
                "{action: hash}",
                "(at least one of \"key\" and \"pattern\" have to be used) at the 0-th action"
            ),
            ("{key: k, value: x, action: delete}", "does not use \"value\" or \"from_attribute\" field"),
            ("{pattern: (, action: delete}", "Field \"pattern\" has invalid pattern: \"(\""),
            ("{key: k, pattern: abc, action: extract}", "contains no named matcher groups"),
            (
                "{key: k, pattern: '(a)(?P<b>c)', action: extract}",
                "contains at least one unnamed matcher group"
            ),
            ("{key: k, action: convert}", "missing required field \"converted_type\""),
            (
                "{key: k, converted_type: byte, action: convert}",
                "invalid value \"byte\" in field \"converted_type\""
            ),
            ("{key: k, value: 2024-01-02, action: insert}", "<Invalid value type time.Time>"),
        ])
    func refused(action: String, expected: String) {
        let diagnostics = Diagnostics()
        _ = AttributesConfig(ConfigSection(yaml: "actions: [\(action)]", diagnostics: diagnostics))
        #expect(diagnostics.render().contains(expected), "\(diagnostics.render())")
    }

    @Test func noActions() {
        let diagnostics = Diagnostics()
        _ = AttributesConfig(ConfigSection(yaml: "", diagnostics: diagnostics))
        #expect(diagnostics.render().contains("missing required field \"actions\""))
    }
}
