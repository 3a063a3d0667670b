import Configuration
import OTLP
import TestSupport
import Testing

@testable import ItemMatching

/// Which items a section selects. A selection that differs from the Collector's would change, or drop, other people's data.
@Suite("ItemSelection")
struct ItemSelectionTests {
    private func selection(_ yaml: String, _ signal: Signal) throws -> ItemSelection {
        let diagnostics = Diagnostics()
        let config = SelectionConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return try ItemSelection(config, signal)
    }

    /// The names of the selected items.
    private func selected(_ yaml: String, _ signal: Signal, _ json: String, name: UInt32) throws -> [String] {
        let selection = try selection(yaml, signal)
        let request = try EditedRequest.bytes(json, signal)
        return request.withUnsafeBytes { bytes in
            let editor = RequestEditor()
            editor.open(WireBytes(bytes))
            var names: [String] = []
            selection.forEachItem(of: editor) { names.append(editor.content($0.item, name).text) }
            return names
        }
    }

    private static let traces = """
        {"resourceSpans":[
          {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},
                                     {"key":"tier","value":{"intValue":"5"}}]},
           "scopeSpans":[{"scope":{"name":"lib","version":"2"},"spans":[
             {"name":"a","kind":2,"attributes":[{"key":"n","value":{"intValue":"5"}},{"key":"ok","value":{"boolValue":true}}]},
             {"name":"b","kind":3,"attributes":[{"key":"n","value":{"stringValue":"5"}}]}]}]},
          {"scopeSpans":[{"scope":{"name":"lib","version":"3"},"spans":[{"name":"c"}]}]}]}
        """

    @Test(
        "spans",
        arguments: [
            ("", ["a", "b", "c"]),
            ("include: {match_type: strict, services: [cart]}", ["a", "b"]),
            ("exclude: {match_type: strict, services: [cart]}", ["c"]),
            ("include: {match_type: strict, services: [<nil-service-name>]}", ["c"]),
            ("include: {match_type: regexp, span_names: [^a, c$]}", ["a", "c"]),
            (
                "include: {match_type: strict, span_kinds: [SPAN_KIND_SERVER, SPAN_KIND_UNSPECIFIED]}",
                ["a", "c"]
            ),
            // 5 and "5" are not the same for `strict`, and are for `regexp`.
            ("include: {match_type: strict, attributes: [{key: n, value: 5}]}", ["a"]),
            ("include: {match_type: regexp, attributes: [{key: n, value: '^5$'}]}", ["a", "b"]),
            // Every entry must match.
            ("include: {match_type: regexp, attributes: [{key: n}, {key: ok, value: 'true'}]}", ["a"]),
            ("include: {match_type: strict, resources: [{key: tier, value: 5}]}", ["a", "b"]),
            ("include: {match_type: strict, libraries: [{name: lib, version: '3'}]}", ["c"]),
            ("include: {match_type: strict, libraries: [{name: lib}]}", ["a", "b", "c"]),
            (
                """
                include: {match_type: strict, services: [cart]}
                exclude: {match_type: regexp, span_names: [b], resources: [{key: tier}]}
                """, ["a"]
            ),
        ])
    func spans(yaml: String, expected: [String]) throws {
        #expect(try selected(yaml, .traces, Self.traces, name: Field.Span.name) == expected)
    }

    private static let logs = """
        {"resourceLogs":[{"scopeLogs":[{"logRecords":[
          {"severityText":"INFO","severityNumber":9,"body":{"stringValue":"hello"}},
          {"severityText":"ERROR","severityNumber":17,"body":{"intValue":"1"}},
          {"severityText":"NONE"}]}]}]}
        """

    @Test(
        "records",
        arguments: [
            ("include: {match_type: regexp, log_severity_texts: [^ERR, NONE]}", ["ERROR", "NONE"]),
            ("include: {match_type: strict, log_severity_number: {min: 10}}", ["ERROR"]),
            (
                "include: {match_type: strict, log_severity_number: {min: 10, match_undefined: true}}",
                ["ERROR", "NONE"]
            ),
            // A body that is no text is not asked.
            ("include: {match_type: strict, log_bodies: [bye]}", ["ERROR", "NONE"]),
        ])
    func records(yaml: String, expected: [String]) throws {
        #expect(try selected(yaml, .logs, Self.logs, name: Field.LogRecord.severityText) == expected)
    }

    /// A selection that can never mean what was meant must not start.
    @Test(
        "sections that are not valid are refused in the Collector's words",
        arguments: [
            (
                "include: {match_type: glob, services: [a]}", Signal.traces,
                "error creating service name filters: unrecognized match_type: 'glob', "
                    + "valid types are: [regexp strict]"
            ),
            (
                "include: {match_type: regexp, services: ['(']}", .traces,
                "error creating service name filters: error parsing regexp: missing ): ("
            ),
            (
                "include: {match_type: strict, log_bodies: [a]}", .traces,
                "log_bodies should not be specified for trace spans"
            ),
            (
                "include: {match_type: strict}", .traces,
                "at least one of \"attributes\", \"libraries\",  or \"resources\" field must be specified"
            ),
            (
                "include: {match_type: strict, services: [a]}", .logs,
                "services, span_names, span_kinds and metric_names are not valid for log records"
            ),
            (
                "include: {match_type: regexp, attributes: [{key: a, value: 5}]}", .logs,
                "error creating attribute filters: match_type=regexp for \"a\" only supports Str, but found Int"
            ),
        ])
    func refused(yaml: String, signal: Signal, expected: String) {
        #expect {
            _ = try selection(yaml, signal)
        } throws: { error in
            "\(error)" == expected
        }
    }
}
