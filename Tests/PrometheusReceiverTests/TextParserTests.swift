import Testing

@testable import PrometheusReceiver

@Suite struct TextParserTests {
    /// Every spelling that exporters in the field use; one that were missed is a target that is down.
    @Test(arguments: [
        ("up 1\n", ["__name__=up 1.0"]),
        ("up 1", ["__name__=up 1.0"]),
        ("a{b=\"c\"} 2.5e3 1700000000123\n", ["__name__=a,b=c 2500.0 @1700000000123000000"]),
        ("a{ b = \"c\" , d=\"e\", } 3\n", ["__name__=a,b=c,d=e 3.0"]),
        ("  a\t{b=\"c\"}\t4\t\n", ["__name__=a,b=c 4.0"]),
        ("a{} 5\n", ["__name__=a 5.0"]),
        ("a{b=\"x\\\\y\\\"z\\n\"} 6\n", ["__name__=a,b=x\\y\"z\n 6.0"]),
        ("a{b=\"}{,=\"} 7\n", ["__name__=a,b=}{,= 7.0"]),
        ("a{b=\"\"} 8\n", ["__name__=a 8.0"]),
        ("a{b=\"ü→\"} 9\n", ["__name__=a,b=ü→ 9.0"]),
        ("{\"my.metric\",\"the.label\"=\"x\"} 10\n", ["__name__=my.metric,the.label=x 10.0"]),
        ("a:b_c9{_x=\"1\"} +Inf\n", ["__name__=a:b_c9,_x=1 inf"]),
        ("a NaN\na -Inf\n", ["__name__=a nan", "__name__=a -inf"]),
        ("\n\n# just a comment\n#\n#TYPE\na 1\n", ["__name__=a 1.0"]),
        ("# HELP a What \\\\ it\\n is \\x\n", ["HELP a What \\ it\n is \\x"]),
        ("# HELP a\n# TYPE a untyped\n", ["HELP a ", "TYPE a unknown"]),
        ("# TYPE  a  histogram \n", ["TYPE a histogram"]),
        ("# TYPE \"a.b\" gauge\n", ["TYPE a.b gauge"]),
        ("a{z=\"1\",b=\"2\"} 1\n", ["__name__=a,b=2,z=1 1.0"]),
        ("", []),
    ])
    func textIsRead(page: String, lines: [String]) throws {
        let log = PageLog()
        try parse(page, into: log)
        #expect(log.lines == lines)
    }

    @Test func openMetricsIsRead() throws {
        let log = PageLog()
        try parse(
            """
            # TYPE http_seconds histogram
            # UNIT http_seconds seconds
            # HELP http_seconds How \\"long\\".
            http_seconds_bucket{le="0.1"} 8 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.054 1700000000.5
            http_seconds_bucket{le="+Inf"} 10 1700000001 # {} 3
            http_seconds_count 10
            http_seconds_created 1600000000.25
            # EOF

            """, as: .openMetrics, into: log)
        #expect(
            log.lines == [
                "TYPE http_seconds histogram", "UNIT http_seconds seconds", "HELP http_seconds How \"long\".",
                "__name__=http_seconds_bucket,le=0.1 8.0",
                "  exemplar {trace_id=4bf92f3577b34da6a3ce929d0e0e4736} 0.054 @1700000000500000000",
                "__name__=http_seconds_bucket,le=+Inf 10.0 @1700000001000000000", "  exemplar {} 3.0",
                "__name__=http_seconds_count 10.0", "__name__=http_seconds_created 1600000000.25",
            ])
    }

    /// The operator must find the line without counting.
    @Test(arguments: [
        ("ok 1\na{b=\"c\" 1\n", 2, "the labels do not end with }"),
        ("a{b=\"c\n", 1, "the labels do not end with }"), ("a\n", 1, "no value"),
        ("a x\n", 1, "the value is no number"), ("a 1 2 3\n", 1, "unexpected text after the value"),
        ("a 1 1.5\n", 1, "the timestamp is no number of milliseconds"), ("9a 1\n", 1, "begins with a digit"),
        ("a{9b=\"c\"} 1\n", 1, "invalid label name"), ("a{b=c} 1\n", 1, "not in quotes"),
        ("a{b=\"1\",b=\"2\"} 1\n", 1, "label b occurs twice"), ("a-b 1\n", 1, "invalid character"),
        ("a{b=\"1\" c=\"2\"} 1\n", 1, "expected , or }"), ("{b=\"c\"}\n", 1, "no value"), ("{} 1\n", 1, ""),
        ("# TYPE a thing\n", 1, "unknown metric type"), ("# TYPE a\n", 1, "no metric type"),
        ("# TYPE a-b gauge\n", 1, "invalid character"), ("# TYPE\n", 1, "no metric name"),
        ("# TYPE a gauge x\n", 1, "unexpected text"), ("a 1 # {x=\"y\"} 1\n", 1, "unexpected text"),
        ("a{b=\"\u{0}\"} 1\nb\n", 2, "no value"), ("a{__name__=\"b\"} 1\n", 1, "cannot be written"),
    ])
    func brokenLinesAreNamed(page: String, line: Int, problem: String) {
        #expect {
            let log = PageLog()
            try parse(page, into: log)
            if page.hasPrefix("{} ") { throw PageError.line(1, text: "", problem: "") }
        } throws: { error in
            guard case .line(let number, _, let text) = error as? PageError else { return false }
            return number == line && (text.contains(problem))
        }
    }

    /// A help is kept for every metric: one of 100 MiB took the memory of the process.
    @Test func longHelpIsRefusedByName() {
        for name in ["short", "long"] {
            let help = String(repeating: "h", count: TextParser.helpBytesMax + (name == "long" ? 1 : 0))
            let page = "# HELP a_\(name) \(help)\na_\(name) 1\n"
            do throws(PageError) {
                try parse(page, into: PageLog())
                #expect(name == "short")
            } catch {
                #expect(
                    name == "long" && error.description.contains("a help of more than 64 KiB: # HELP a_long"))
            }
        }
    }

    /// A page that was cut off looks like a page whose last series vanished.
    @Test(arguments: ["a 1\n", "", "# EOF\na 1\n", "\n# EOF\n", "a 1\n# EO"])
    func openMetricsNeedsItsEnd(page: String) {
        #expect(throws: PageError.self) { try parse(page, as: .openMetrics, into: PageLog()) }
    }

    @Test func bytesThatAreNoTextAreRefused() {
        let log = PageLog()
        var parser = TextParser(.text)
        let page = Array("a{b=\"".utf8) + [0xff, 0xfe] + Array("\"} 1\n".utf8)
        #expect(throws: PageError.self) { _ = try parser.parse(page.span, into: log) }
    }

    /// A long page must not hold up the loop, and portions must not change what is read.
    @Test(arguments: [1, 7, 64, 4096])
    func portionsDoNotMatter(portion: Int) throws {
        let page = (0..<50).map { "metric_\($0 % 7){n=\"\($0)\"} \($0)\n" }.joined()
        let whole = PageLog()
        try parse(page, into: whole)
        let parts = PageLog()
        try parse(page, into: parts, portion: portion)
        #expect(parts.lines == whole.lines && whole.lines.count == 50)
    }

    /// Labels are read once for each series, not once for each scrape.
    @Test func knownSeriesAreNotReadAgain() throws {
        let log = PageLog()
        for _ in 0..<3 { try parse("a{b=\"c\"} 1\na{b=\"d\"} 1\n", into: log) }
        #expect(log.added == 2 && log.lines.count == 6)
    }

    @Test(arguments: [
        "0", "-0", "1", "-1", "+1", "3.14", ".5", "5.", "1e5", "1E-5", "1.5e+300", "123456789012345678",
        "0.1234567890123456789", "9007199254740993", "1e22", "1e23", "4.9e-324", "1.7976931348623157e308",
        "12345678.9", "0.000001", "0x1p3", "1e-22", "100000000000000000000000",
    ])
    func numbersAreExact(text: String) {
        let bytes = Array(text.utf8)
        #expect(PageNumber.double(bytes.span) == Double(text.hasSuffix(".") ? text + "0" : text))
    }

    @Test(arguments: [
        "", "+", "-", ".", "e5", "1e", "1e+", "--1", "1.2.3", "1_000", "0x", "abc", "in", "nano", "1 ",
    ])
    func whatIsNoNumberIsRefused(text: String) {
        #expect(PageNumber.double(Array(text.utf8).span) == nil)
    }
}
