import Testing

@testable import PrometheusExporter

/// If these failed, a scraper would get a page that it cannot read, or one without what it asked for.
@Suite struct PageChoiceTests {
    static let text = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    static let openMetrics =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    static let protobuf =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
    static let delimited =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

    private static func escaped(_ name: String) -> String {
        "text/plain; version=0.0.4; charset=utf-8; escaping=" + name
    }

    private func choose(_ accept: [String], openMetrics: Bool = true, encoding: [String] = []) -> PageChoice {
        PageChoice(accept: accept, acceptEncoding: encoding, openMetrics: openMetrics)
    }

    @Test(
        "the best format that there is",
        arguments: [
            // What Prometheus 2.42 sends, with and without native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", openMetrics, text
            ),
            (delimited + ",application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1", protobuf, protobuf),
            // What Prometheus 3 sends.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                    + "application/openmetrics-text;version=0.0.1;q=0.5,"
                    + "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
                "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            ),
            // Browsers and curl.
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", text, text),
            ("*/*", text, text), ("", text, text), ("text/plain", text, text), ("text/*", text, text),
            ("TEXT/PLAIN; VERSION=0.0.4", text, text), ("image/png", text, text),
            // Order among equals, then quality.
            ("text/plain, application/openmetrics-text", text, text),
            ("application/openmetrics-text;version=1.0.0, text/plain", openMetrics, text),
            ("text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.2", openMetrics, text),
            ("application/openmetrics-text;version=1.0.0;q=0, text/plain", text, text),
            (delimited + ";q=0.1,text/plain;q=0.2", text, text),
            // Versions and parameters.
            ("application/openmetrics-text", openMetrics, text),
            (
                "application/openmetrics-text;version=0.0.1",
                "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores", text
            ),
            ("application/openmetrics-text;version=2.0.0", text, text),
            ("text/plain;version=9,application/openmetrics-text;q=0.1", openMetrics, text),
            ("application/vnd.google.protobuf", text, text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", text,
                text
            ),
            ("application/vnd.google.protobuf;proto=x;encoding=delimited", text, text),
            (
                "application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\" ; encoding=delimited",
                protobuf, protobuf
            ),
            // Escaping is what the chosen entry says, when it says something known.
            ("text/plain;version=0.0.4;escaping=dots", escaped("dots"), escaped("dots")),
            ("text/plain;escaping=values", escaped("values"), escaped("values")),
            ("text/plain;escaping=rot13", text, text),
            (
                delimited + ";escaping=underscores", protobuf, protobuf
            ),
            // Nonsense.
            (",,;;=,q=1;;;,", text, text), ("text/plain;q=x", text, text),
            ("text/plain;q=nan;version", text, text),
            ("\"", text, text), ("text/plain;q=-1,application/openmetrics-text", openMetrics, text),
        ])
    func formats(accept: String, withOpenMetrics: String, without: String) {
        #expect(choose([accept]).contentType == withOpenMetrics)
        #expect(choose([accept], openMetrics: false).contentType == without)
    }

    @Test func whatIsChosenIsWhatTheTypeSays() {
        let utf8 = choose(["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"])
        #expect(utf8.format == .openMetrics && utf8.escaping == .allowUTF8)
        #expect(choose([Self.delimited]).format == .protobuf)
        #expect(choose([]).format == .text && choose([]).escaping == .underscores)
        // A field that comes twice is one list.
        #expect(choose(["image/png", "application/openmetrics-text"]).format == .openMetrics)
    }

    @Test(
        "compressed when the scraper takes it",
        arguments: [
            ("gzip", true), ("deflate, gzip;q=1.0, *;q=0.5", true), ("x-gzip", true), ("GZIP", true),
            ("*", true),
            ("", false), ("identity", false), ("br, zstd", false), ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false), ("deflate", false), ("gzip;q=0.001", true),
        ])
    func encodings(accept: String, isGzipped: Bool) {
        #expect(choose([], encoding: [accept]).isGzipped == isGzipped)
    }

    @Test func withoutAWordNothingIsCompressed() {
        #expect(!choose([]).isGzipped && choose([], encoding: ["br", "gzip"]).isGzipped)
    }

    @Test(
        "a query chooses families",
        arguments: [
            ("", []), ("name[]=a", ["a"]), ("name[]=b&name[]=a", ["a", "b"]), ("name[]=a&name[]=a", ["a"]),
            ("name%5B%5D=a", ["a"]), ("name%5b%5d=a%2Fb", ["a/b"]), ("name[]=a+b", ["a b"]), ("name=a", []),
            ("x=1&name[]=a&y", ["a"]), ("name[]", [""]), ("name[]=", [""]), ("name[]=%", []),
            ("name[]=%4", []),
            ("name[]=%zz", []), ("name[]=%zz&name[]=a", ["a"]), ("name[]=a=b", ["a=b"]), ("&&&", []),
            ("name[]=%E6%97%A5", ["日"]), ("name[]=%FF", ["\u{FFFD}"]), ("%", []),
        ] as [(String, [String])])
    func names(query: String, expected: [String]) {
        #expect(familyNames(ofQuery: query) == expected)
    }
}
