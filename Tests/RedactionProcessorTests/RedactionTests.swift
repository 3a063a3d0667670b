import Configuration
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RedactionProcessor

/// What must not be seen, and is not to be seen behind this. One case missed is a leak.
@Suite("redaction")
struct RedactionTests {
    private func read(_ yaml: String) -> (RedactionConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (RedactionConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    private func transform(_ yaml: String) throws -> RedactionTransform {
        let (config, diagnostics) = read(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        return try RedactionTransform(config)
    }

    /// The attributes of the one span, as `key=value` where the value is a text or a number.
    private func edit(_ yaml: String, _ attributes: String) throws -> [String] {
        let json = #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":["# + attributes + "]}]}]}]}"
        return pairs(try EditedRequest(json, .traces, transform(yaml)).json)
    }

    private func pairs(_ json: String) -> [String] {
        json.matches(
            of: /"key":"([^"]*)","value":\{"(?:string|int|double|bool)Value":"?((?:[^"\\}]|\\.)*)"?\}/
        )
        .map { "\($0.output.1)=\($0.output.2)" }
    }

    private func text(_ key: String, _ value: String) -> String {
        #"{"key":"\#(key)","value":{"stringValue":"\#(value)"}}"#
    }

    private func int(_ key: String, _ value: Int) -> String {
        #"{"key":"\#(key)","value":{"intValue":"\#(value)"}}"#
    }

    @Test(
        "attributes",
        arguments: [
            // Nothing is allowed unless it is said.
            ("{}", []),
            ("allowed_keys: [a]", ["a=card 4111111111111111"]),
            ("{allowed_keys: [a], ignored_keys: [n]}", ["a=card 4111111111111111", "n=42"]),
            ("{allowed_keys: [a], ignored_key_patterns: ['^k']}", ["a=card 4111111111111111", "key.b=x1x2"]),
            ("{allow_all_keys: true}", ["a=card 4111111111111111", "key.b=x1x2", "n=42"]),
            (
                "{allow_all_keys: true, blocked_values: ['4[0-9]{15}']}",
                ["a=card ****", "key.b=x1x2", "n=42"]
            ),
            // Every match in a value, and several patterns one after the other.
            (
                "{allow_all_keys: true, blocked_values: ['[0-9]', 'card']}",
                ["a=**** " + String(repeating: "****", count: 16), "key.b=x****x****", "n=42"]
            ),
            // A value that is allowed stays as a whole.
            (
                "{allow_all_keys: true, allowed_values: [card], blocked_values: ['[0-9]']}",
                ["a=card 4111111111111111", "key.b=x****x****", "n=42"]
            ),
            (
                "{allow_all_keys: true, blocked_key_patterns: [ey]}",
                ["a=card 4111111111111111", "key.b=****", "n=42"]
            ),
            // The value of a blocked key goes whatever its type.
            (
                "{allow_all_keys: true, blocked_key_patterns: ['^n$']}",
                ["a=card 4111111111111111", "key.b=x1x2", "n=****"]
            ),
            (
                "{allow_all_keys: true, redact_all_types: true, blocked_values: ['^4.$']}",
                ["a=card 4111111111111111", "key.b=x1x2", "n=****"]
            ),
            // An ignored key is not asked for its value.
            (
                "{allow_all_keys: true, ignored_keys: [a], blocked_values: ['4[0-9]{15}']}",
                ["a=card 4111111111111111", "key.b=x1x2", "n=42"]
            ),
        ])
    func attributes(yaml: String, expected: [String]) throws {
        let before = [text("a", "card 4111111111111111"), text("key.b", "x1x2"), int("n", 42)].joined(
            separator: ",")
        #expect(try edit(yaml, before) == expected)
    }

    @Test("a value of several lines is masked line by line")
    func lines() throws {
        #expect(
            try edit("{allow_all_keys: true, blocked_key_patterns: [a]}", text("a", #"one\ntwo"#))
                == [#"a=****\n****"#])
    }

    @Test(
        "hashes stand in the place of what matches",
        arguments: [
            ("hash_function: md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("hash_function: sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("hash_function: sha3", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
            (
                "{hash_function: hmac-sha256, hmac_key: 0123456789abcdef0123456789abcdef}",
                "a60c859a6827c5ea576a48d8d368672fbfe4667c6a927428284a0cb3859cc1d6"
            ),
        ])
    func hashes(yaml: String, hash: String) throws {
        let rest = yaml.hasPrefix("{") ? String(yaml.dropFirst().dropLast()) : yaml
        let after = try edit("{allow_all_keys: true, blocked_values: [abc], \(rest)}", text("a", "x abc y"))
        #expect(after == ["a=x \(hash) y"])
    }

    @Test("the summary tells keys and counts, and adds up")
    func summary() throws {
        let yaml = """
            allowed_keys: [b, c, d]
            ignored_keys: [i]
            allowed_values: [fine]
            blocked_values: [secret]
            summary: debug
            """
        let before = [
            text("z", "1"), text("a", "1"), text("b", "secret"), text("c", "fine"), text("i", "1"),
            text("redaction.masked.keys", "x"), int("redaction.masked.count", 1),
        ]
        #expect(
            try edit(yaml, before.joined(separator: ",")) == [
                "b=****", "c=fine", "i=1", "redaction.masked.keys=b,x", "redaction.masked.count=2",
                "redaction.redacted.keys=a,z", "redaction.redacted.count=2", "redaction.allowed.keys=c",
                "redaction.allowed.count=1", "redaction.ignored.count=1",
            ])
        #expect(
            try edit(yaml.replacing("debug", with: "info"), text("b", "secret"))
                == ["b=****", "redaction.masked.count=1"])
    }

    @Test("bodies are walked, keys at every level")
    func bodies() throws {
        let body =
            #"{"kvlistValue":{"values":["# + text("user", "secret") + ","
            + #"{"key":"in","value":{"kvlistValue":{"values":["# + text("token", "t") + ","
            + text("gone", "t") + "]}}},"
            + #"{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"secret"},{"intValue":"7"}]}}}]}}"#
        let yaml = """
            allowed_keys: [user, in, token, list]
            blocked_key_patterns: [token]
            blocked_values: [secret, '7']
            summary: debug
            """
        let json = #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"# + body + "}]}]}]}"
        let edited = try EditedRequest(json, .logs, transform(yaml)).json
        #expect(
            pairs(edited) == [
                "user=****", "token=****", "redaction.body.redacted.keys=in.gone",
                "redaction.body.redacted.count=1",
                "redaction.body.masked.keys=in.token,list.[0],list.[1],user", "redaction.body.masked.count=4",
            ], "\(edited)")
        #expect(edited.contains(#"{"values":[{"stringValue":"****"},{"stringValue":"****"}]}"#), "\(edited)")
        let plain = try EditedRequest(
            #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a secret"}}]}]}]}"#,
            .logs,
            transform(yaml)
        ).json
        #expect(
            plain.contains(#""body":{"stringValue":"a ****"}"#) && plain.contains(#"body.masked.keys"#),
            "\(plain)")
    }

    @Test("resources, events and points are covered")
    func places() throws {
        let yaml = "{allow_all_keys: true, blocked_values: [secret]}"
        let traces = try EditedRequest(
            #"{"resourceSpans":[{"resource":{"attributes":["# + text("r", "secret")
                + #"]},"scopeSpans":[{"spans":[{"events":[{"attributes":["# + text("e", "secret")
                + "]}]}]}]}]}", .traces,
            transform(yaml)
        ).json
        #expect(pairs(traces) == ["r=****", "e=****"])
        let metrics = try EditedRequest(
            #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"summary":{"dataPoints":[{"attributes":["#
                + text("p", "secret") + "]}]}}]}]}]}", .metrics, transform(yaml)
        ).json
        #expect(pairs(metrics) == ["p=****"])
    }

    @Test("what has nothing to hide is not copied")
    func unchanged() throws {
        let json =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":["# + text("a", "b") + "]}]}]}]}"
        #expect(
            try !EditedRequest(
                json, .traces, transform("{allow_all_keys: true, blocked_values: [secret], summary: debug}")
            )
            .isChanged)
    }

    @Test(
        "configurations that are not valid are refused",
        arguments: [
            ("blocked_values: ['(']", "failed to process block list: "),
            ("blocked_key_patterns: ['(']", "failed to process block keys list: "),
            ("allowed_values: ['(']", "failed to process allow list: "),
            ("hash_function: sha2", "unknown value \"sha2\""),
            ("hash_function: hmac-sha256", "must have at least 32 bytes"),
            ("{hash_function: hmac-sha512, hmac_key: short}", "must have at least 64 bytes"),
            ("summary: loud", "unknown value \"loud\""),
            ("db_sanitizer: {oracle: {enabled: true}}", "unknown key \"oracle\""),
        ])
    func refused(yaml: String, expected: String) {
        #expect(read(yaml).1.render().contains(expected), "\(read(yaml).1.render())")
    }
}
