import OTLP
import Testing

@testable import Statements

/// What functions give at their edges, by the Collector's documentation and Go's rules of formatting. A wrong one would be
/// written into every item that passes.
@Suite("edges of functions")
struct FunctionEdgeTests {
    private func expect(_ expression: String, _ expected: String) throws {
        let evaluated = try Evaluated(value: expression)
        #expect(evaluated.attributes["r"] == expected, "\(expression): \(evaluated.errors)")
    }

    private func expectFailure(_ expression: String, _ message: String) throws {
        let evaluated = try Evaluated(value: expression)
        #expect(evaluated.attributes["r"] == nil, "\(expression)")
        #expect(evaluated.errors.first?.contains(message) == true, "\(expression): \(evaluated.errors)")
    }

    @Test(
        "formatted values",
        arguments: [
            (#"Format("%v|%v|%v", [100000.0, 1000000.0, 123456789.0])"#, #""100000|1e+06|1.23456789e+08""#),
            (#"Format("%g %G", [1.0e21, 1.0e-7])"#, #""1e+21 1E-07""#),
            (#"Format("%6.3v|%5v|%-5v|%05v", [1.23456, 42, "a", 7])"#, #""  1.23|   42|a    |00007""#),
            (#"Format("%v %s %d", [[1, nil], ["a", 2], [3, 4]])"#, #""[1 <nil>] [a %!s(int64=2)] [3 4]""#),
            (#"Format("%v", [Unix(1700000000)])"#, #""2023-11-14 22:13:20 +0000 UTC""#),
            (#"Format("%d", vals=[5])"#, #""5""#),
            (#"Concat([1.0e6, 1.0e-7], ",")"#, #""1000000,1e-07""#),
        ])
    func formats(_ expression: String, _ expected: String) throws { try expect(expression, expected) }

    @Test(
        "times in zones and languages",
        arguments: [
            (
                #"FormatTime(Time("2024-07-05 06:07:08", "%F %T", "America/New_York"), "%H %z %Z")"#,
                #""06 -0400 EDT""#
            ),
            (#"FormatTime(Time("2024-01-05 06:00:00 +0130", "%F %T %z"), "%Z")"#, #""+0130""#),
            (#"FormatTime(Time("2024-03-05 06:00:00 MST", "%F %T %Z"), "%Z")"#, #""MST""#),
            (
                #"UnixSeconds(Time("mercoledì set 4 2024", "%A %h %e %Y", "", "it"))"#, "int 1725408000"
            ),
            (
                #"UnixSeconds(Time("Febrero 25 lunes, 2002, 02:03:04 p.m.", "%B %d %A, %Y, %r", "America/New_York", "es-ES"))"#,
                "int 1014663784"
            ),
            (#"UnixSeconds(Time("5 févr. 2024", "%g %b %Y", locale="fr"))"#, "int 1707091200"),
            (#"UnixSeconds(Time("11月 2 2024 午後 3", "%B %g %Y %p %I", locale="ja"))"#, "int 1730559600"),
        ])
    func times(_ expression: String, _ expected: String) throws { try expect(expression, expected) }

    @Test(
        "lists and numbers",
        arguments: [
            (#"Sort([[2], [1]])"#, "[[int 2], [int 1]]"), (#"Sort(["b", 1, true])"#, #"[int 1, "b", true]"#),
            (#"ParseInt("1_000", 0)"#, "int 1000"), (#"ParseInt("0x_1f", 0)"#, "int 31"),
            (#"Double("0x1.8p1")"#, "double 3"), (#"Double("5.e1")"#, "double 50"),
            (#"Substring("é€", 1, 4, true)"#, #""€""#), (#"IsEmpty(0)"#, "true"),
            (#"IsEmpty("x")"#, "false"),
            (#"ToLowerCase("İÀ")"#, #""ià""#), (#"ToUpperCase("ᾳßé")"#, #""ᾼßÉ""#),
        ])
    func lists(_ expression: String, _ expected: String) throws { try expect(expression, expected) }

    @Test(
        "parsed formats",
        arguments: [
            (#"ParseKeyValue("a=\"x \\\" y\" b=1")"#, #"{a: "x \" y", b: "1"}"#),
            (#"ParseSimplifiedXML("<a><b>1</b><b/></a>")"#, #"{a: {b: ["1"]}}"#),
            (#"ParseSimplifiedXML("<a><b/><c>x<d>1</d></c></a>")"#, #"{a: {c: {d: "1"}}}"#),
            (
                #"RemoveXML("<a><b>sensitive x</b><c>ok</c></a>", "//*[contains(text(), 'sensitive')]")"#,
                #""<a><c>ok</c></a>""#
            ),
            (
                #"RemoveXML("<L><R><N t='a'/></R><R><N t='u'/></R></L>", "/L/R[./N/@t='a']")"#,
                #""<L><R><N t="u"></N></R></L>""#
            ),
            (#"GetXML("<a><b x='1' y='2'/><b x='1'/></a>", "//b[@x='1' and not(@y)]")"#, #""<b x="1"></b>""#),
            (
                #"GetXML("<a><b>[1]</b><b>2</b></a>", "//b[text()='[1]' or starts-with(text(), '9')]")"#,
                #""<b>[1]</b>""#
            ),
            (
                #"URL("http://h/a.")"#,
                #"{url.original: "http://h/a.", url.domain: "h", url.scheme: "http", url.path: "/a."}"#
            ),
            (#"URL("?a=1&a=2+3")"#, #"{query: {a: ["1", "2 3"]}}"#),
            (#"UserAgent("curl/8.5.0")["os.name"]"#, #""Other""#),
            (
                #"UserAgent("Mozilla/5.0 (Windows NT 10.0) Chrome/91.0.4 Safari/537 Edg/91.0.8")["os.version"]"#,
                #""10""#
            ),
            (#"ExtractPatterns("a1", "(?<l>[a-z<(])(?<d>\\d)")"#, #"{l: "a", d: "1"}"#),
            (#"ExtractGrokPatterns("me@x.org", "%{EMAILADDRESS:m}", true)["m"]"#, #""me@x.org""#),
            (#"IsMap(ExtractGrokPatterns("x", "%{COMMONAPACHELOG}"))"#, "true"),
            (
                #"ExtractGrokPatterns("2001:db8::1 ::1 ::ffff:1.2.3.4", "%{IP:a} %{IPV6:b} %{IP:c}%{SPACE:d}", true)"#,
                #"{a: "2001:db8::1", b: "::1", c: "::ffff:1.2.3.4"}"#
            ),
            (
                #"ExtractGrokPatterns("Mar  5 06:07:08 h app[12]: up", "%{SYSLOGLINE}", true)"#,
                #"{timestamp: "Mar  5 06:07:08", host.hostname: "h", message: "up"}"#
            ),
        ])
    func parses(_ expression: String, _ expected: String) throws { try expect(expression, expected) }

    @Test(
        "errors on an item",
        arguments: [
            (#"ParseInt("__1", 0)"#, "invalid syntax"),
            (#"Double(Concat(["0x", "1f"], ""))"#, "invalid syntax"),
            (#"Double(Concat(["+na", "n"], ""))"#, "invalid syntax"),
            (#"String(1.0e308 * 10)"#, "unsupported type"),
            (#"{"t": Now()}"#, "Invalid value type time.Time"), (#"[Now()]"#, "unsupported type"),
            (#"ParseJSON("{\"a\": 1e400}")"#, "out of range"), (#"IsValidLuhn("12a4")"#, "invalid syntax"),
            (#"CommunityID("1.2.3.4", 1, "5.6.7.8", 2, "tcp")"#, "unsupported protocol"),
            (#"UserAgent("curl/8.5.0")["os.version"]"#, "key not found"),
            (#"ExtractGrokPatterns("x", "%{WORD:a:colour}", true)"#, "type not specified"),
            (#"Index(attributes["none"], "x")"#, "expected pcommon.Slice but got nil"),
        ])
    func fails(_ expression: String, _ message: String) throws { try expectFailure(expression, message) }

    @Test(
        "editors",
        arguments: [
            (#"delete_index(attributes["l"], 1, 1)"#, "l", "[int 1, int 2, int 3]"),
            (#"clear(attributes["l"])"#, "l", "[]"), (#"clear(attributes["i"])"#, "i", "int 0"),
            (#"clear(attributes["none"])"#, "none", "nil"),
            (#"delete_index(attributes["l"], 0, 3)"#, "l", "[]"),
            (#"truncate_all(attributes, 7, true, "...")"#, "s", #""Hell...""#),
        ])
    func edits(_ statement: String, _ attribute: String, _ expected: String) throws {
        let evaluated = try Evaluated([statement])
        #expect(evaluated.attributes[attribute] == expected, "\(statement): \(evaluated.errors)")
    }

    /// Zeros in an id mean that there is none: backends would file the spans under one trace.
    @Test("an id of zeros is none")
    func emptyIdentifier() throws {
        let json = """
            {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c",
            "spanId":"b7ad6b7169203331","parentSpanId":"00f067aa0ba902b7","flags":1}]}]}]}
            """
        let result = try Evaluated.run(
            ["set(parent_span_id, SpanID(0x0000000000000000))", "set(flags, 4294967296)"], json, .traces,
            .span)
        #expect(!result.json.contains("parentSpanId"))
        #expect(result.errors == ["span flags must be between 0 and 4294967295, got 4294967296"])
    }

    /// Mixed kinds of numbers count as the first of them; what a metric has beside its points stays.
    @Test("aggregation as the transforming processor's")
    func aggregates() throws {
        let json = """
            {"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[
            {"timeUnixNano":"5","asInt":"10","attributes":[{"key":"a","value":{"stringValue":"x"}}]},
            {"timeUnixNano":"5","asDouble":2.5,"attributes":[{"key":"a","value":{"stringValue":"y"}}]}]}}]}]}]}
            """
        let sum = try Evaluated.run([#"aggregate_on_attributes("max", [])"#], json, .metrics, .metric)
        #expect(sum.errors.isEmpty)
        #expect(sum.json.contains(#""asInt":"10""#) && !sum.json.contains("asDouble"), "\(sum.json)")
        let one = try Evaluated.run(
            [#"aggregate_on_attribute_value("count", "a", ["x", "y"], "z")"#], json, .metrics, .metric)
        #expect(one.json.contains(#""asInt":"2""#) && one.json.contains(#""stringValue":"z""#), "\(one.json)")
    }

    /// Each of these once took a time that grows with the square of what a client sends.
    @Test("many parameters, members and keys", .timeLimit(.minutes(10)))
    func many() throws {
        let query = "?" + String(repeating: "a&", count: 300_000)
        let parsed = try Evaluated(value: "Len(URL(\"\(query)\"))")
        #expect(parsed.attributes["r"] == "int 1")
        let members = (0..<300_000).map { "k\($0)=1" }.joined(separator: ",")
        let found = members.utf8.withContiguousStorageIfAvailable {
            TraceState.members(WireBytes(UnsafeRawBufferPointer($0))) == nil
        }
        #expect(found == true)
        let entries = (0..<100_000).map { MapEntry(key: Bytes("k\($0)"), value: .int(Int64($0))) }
        #expect(Comparison.holds(.map(.entries(entries)), .equal, .map(.entries(entries.reversed()))))
    }
}
