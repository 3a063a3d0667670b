import Configuration
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import SpanProcessor

/// What `span` makes of names, attributes and statuses. Dashboards group by these names.
@Suite("span")
struct SpanTransformTests {
    private func read(_ yaml: String) -> (SpanConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (SpanConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    private func edit(_ yaml: String, _ span: String) throws -> String {
        let (config, diagnostics) = read(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let json = #"{"resourceSpans":[{"scopeSpans":[{"spans":["# + span + "]}]}]}"
        let edited = try EditedRequest(json, .traces, SpanTransform(config)).json
        return String(
            edited.dropFirst(#"{"resourceSpans":[{"scopeSpans":[{"spans":["#.count).dropLast("]}]}]}".count))
    }

    private static let attributes =
        #""attributes":[{"key":"op","value":{"stringValue":"GET"}},{"key":"n","value":{"doubleValue":1e+21}},"#
        + #"{"key":"l","value":{"arrayValue":{}}}]"#

    @Test(
        "a name is made of attributes, all of which must be there",
        arguments: [
            ("{from_attributes: [op, n], separator: '::'}", "GET::1000000000000000000000"),
            ("{from_attributes: [op, l]}", "GET<unknown-attribute-type>"),
            ("{from_attributes: [op, gone]}", "old"),
        ])
    func fromAttributes(name: String, expected: String) throws {
        let after = try edit("name: \(name)", #"{"name":"old","# + Self.attributes + "}")
        #expect(after == #"{"name":"\#(expected)","# + Self.attributes + "}")
    }

    private func named(_ name: String, _ attributes: (String, String)...) -> String {
        let list = attributes.map { #"{"key":"\#($0)","value":{"stringValue":"\#($1)"}}"# }.joined(
            separator: ",")
        return #"{"name":"\#(name)""# + (list.isEmpty ? "" : #","attributes":[\#(list)]"#) + "}"
    }

    @Test("groups become attributes, and their places in the name tell them")
    func toAttributes() throws {
        let rules = "rules: ['^/api/(?P<version>v[0-9]+)/', 'document/(?P<id>[0-9]+)']"
        #expect(
            try edit("name: {to_attributes: {\(rules)}}", named("/api/v1/document/7"))
                == named("/api/{version}/document/{id}", ("version", "v1"), ("id", "7")))
        #expect(
            try edit(
                "name: {to_attributes: {\(rules), break_after_match: true}}", named("/api/v1/document/7"))
                == named("/api/{version}/document/7", ("version", "v1")))
        #expect(
            try edit(
                "name: {to_attributes: {\(rules), keep_original_name: true}}", named("/api/v1/document/7"))
                == named("/api/v1/document/7", ("version", "v1"), ("id", "7")))
    }

    /// The Collector crashes with both; a gateway that does loses everything that it holds.
    @Test("groups that took no part, or lie in another one, are left out of the name")
    func oddGroups() throws {
        #expect(
            try edit("name: {to_attributes: {rules: ['(?P<a>x)?(?P<b>(?P<c>y)z)']}}", named("yz"))
                == named("{b}", ("b", "yz"), ("c", "y")))
    }

    @Test("the status is set, with its description")
    func status() throws {
        #expect(
            try edit("status: {code: Error, description: d}", #"{"name":"a"}"#)
                == #"{"name":"a","status":{"code":2,"message":"d"}}"#)
        #expect(
            try edit("status: {code: Ok}", #"{"name":"a","status":{"message":"old","code":2}}"#)
                .contains(#""code":1"#))
    }

    @Test(
        "configurations that are not valid are refused in the Collector's words",
        arguments: [
            ("", "either \"from_attributes\" or \"to_attributes\" must be specified in \"name:\""),
            ("name: {to_attributes: {rules: []}}", "either \"from_attributes\" or \"to_attributes\""),
            ("name: {to_attributes: {rules: ['(']}}", "invalid regexp pattern ("),
            ("status: {code: Good}", "must have specified \"code\" as \"Ok\" or \"Error\" or \"Unset\""),
            (
                "status: {code: Ok, description: d}",
                "\"description\" can be specified only for \"code\" \"Error\""
            ),
        ])
    func refused(yaml: String, expected: String) {
        #expect(read(yaml).1.render().contains(expected), "\(read(yaml).1.render())")
    }
}
