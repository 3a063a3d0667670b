import Configuration
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import RedactionProcessor

/// Ids make a series of each request, and statements hold what customers have written.
@Suite("sanitizers")
struct SanitizerTests {
    @Test(
        "URLs",
        arguments: [
            ("/users/42/orders", "/users/*/orders"), ("/v1/items/a1b2c3", "/v1/items/*"),
            ("/a/b?token=x", "/a/b"),
            ("https://shop.example.com:8443/u/5f2b#top", "https://shop.example.com:8443/u/*"),
            ("https://a.example?x=1", "https://a.example"), ("/api/{id}/xkcdqwrtz", "/api/*/*"),
            ("GET /users/550e8400-e29b-41d4-a716-446655440000", "GET /users/*"), ("/health_check.html", nil),
            ("/users/j@example.com", "/users/*"), ("/a/t9", "/a/*"), ("/V2/a", nil),
            ("https://bob:pw@a.example/x", "https://a.example/x"),
            ("/1/2/3/4/5/6/7/8/9/10/11/12", "/*/*/*/*/*/*/*/*/*/*"), ("", nil),
        ])
    func urls(_ text: String, _ expected: String?) {
        let clean = URLSanitizer().sanitize(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
        #expect(clean == expected)
    }

    @Test(
        "statements",
        arguments: [
            (
                "sql", "SELECT * FROM t WHERE a = 'it''s' AND b=1.5e3 -- who",
                "SELECT * FROM t WHERE a = ? AND b=?"
            ),
            (
                "sql", "insert into users2 values (0x1F, $$a$$, \"c3\") /* x */",
                "insert into users? values (?, ?, ?)"
            ),
            ("sql", "SELECT 'open", "SELECT ?"), ("sql", "a = $1 and b = 'x\\'y'", "a = $? and b = ?"),
            ("sql", "p = 'C:\\' and m = 'bob'", "p = ?"),
            ("redis", "SET a first\nhunter2 x\nsecret", "SET ?\n?\n?"), ("redis", "AUTH\tsecret", "AUTH ?"),
            ("redis", "SET user:1 secret\nGET a\nPING", "SET ?\nGET ?\nPING"), ("valkey", "PING", "PING"),
            ("memcached", "set k 0 60 5\r\nvalue", "set k 0 60 5"),
            (
                "mongo", "{\"find\": \"users\", \"filter\": {\"n\": [1, true, null]}}",
                "{\"find\":\"?\",\"filter\":{\"n\":[\"?\",\"?\",\"?\"]}}"
            ),
            ("es", "{\"q\": no", "{\"q\":\"?\""), ("es", "{\"q", "{..."), ("es", "?", "..."),
        ])
    func statements(_ kind: String, _ text: String, _ expected: String) throws {
        let kind = try #require(DatabaseSanitizer.Kind(rawValue: kind))
        let clean = DatabaseSanitizer(kind: kind, attributes: []).sanitize(Array(text.utf8))
        #expect(String(decoding: clean, as: UTF8.self) == expected)
    }

    @Test(
        "what encloses a value depends on the database",
        arguments: [
            ("mysql", "a = \"bob\" # x", "a = ?"), ("postgresql", "a1 #>> '{b}'", "a? #>> ?"),
            ("postgresql", "\"c1\" = 'C:\\' and b = 'bob'", "\"c?\" = ? and b = ?"),
            ("postgresql", "a = E'x\\'y' or e = 1", "a = ? or e = ?"),
            ("mysql", "a = 'x\\'y' or b", "a = ? or b"),
        ])
    func dialects(_ system: String, _ text: String, _ expected: String) {
        let clean = DatabaseSanitizer(kind: .sql, attributes: []).sanitize(Array(text.utf8), of: system)
        #expect(String(decoding: clean, as: UTF8.self) == expected)
    }

    private func edited(_ yaml: String, kind: Int, name: String, _ attributes: [String: String]) throws
        -> String
    {
        let diagnostics = Diagnostics()
        let config = RedactionConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let pairs = attributes.sorted { $0.key < $1.key }
            .map { #"{"key":"\#($0.key)","value":{"stringValue":"\#($0.value)"}}"# }
        let json =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\#(name)","kind":\#(kind),"attributes":["#
            + pairs.joined(separator: ",") + "]}]}]}]}"
        return try EditedRequest(json, .traces, RedactionTransform(config)).json
    }

    @Test("names and listed attributes of HTTP lose their ids, others stay")
    func http() throws {
        let yaml = "{allow_all_keys: true, url_sanitizer: {enabled: true, attributes: [url.path]}}"
        let attributes = ["url.path": "/u/1", "other": "/u/1"]
        let server = try edited(yaml, kind: 2, name: "GET /u/1", attributes)
        #expect(server.contains("GET /u/*") && server.contains(#""/u/*""#) && server.contains(#""/u/1""#))
        #expect(try edited(yaml, kind: 1, name: "GET /u/1", attributes).contains("GET /u/1"))
        let off = "{allow_all_keys: true, url_sanitizer: {enabled: true, sanitize_span_name: false}}"
        #expect(try edited(off, kind: 2, name: "GET /u/1", attributes).contains("GET /u/1"))
    }

    @Test("statements of the database that an item names lose their values")
    func databases() throws {
        let yaml = "{allow_all_keys: true, db_sanitizer: {sql: {enabled: true}, redis: {enabled: true}}}"
        let statement = ["db.query.text": "select 1", "db.system.name": "PostgreSQL"]
        let sql = try edited(yaml, kind: 3, name: "select 2", statement)
        #expect(sql.split(separator: "select ?").count == 3 && sql.contains("PostgreSQL"))
        #expect(try edited(yaml, kind: 3, name: "x 2", ["a": "select 1"]).contains("select 1"))
        let listed = "{allow_all_keys: true, db_sanitizer: {sql: {enabled: true, attributes: [a]}}}"
        #expect(try edited(listed, kind: 3, name: "x 2", ["a": "select 1"]).contains("select ?"))
        #expect(
            try edited(listed, kind: 3, name: "x", ["a": "select 1", "db.system": "redis"]).contains(
                "select 1"))
    }
}
