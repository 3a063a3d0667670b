import TestSupport
import Testing

@testable import PrometheusExporter

/// If these failed, dashboards and alerts that were made for a Collector would find no series here.
@Suite struct NamesMetricTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let unit: String
        let kind: MetricNamer.Kind
        let namespace: String
        let expected: String?

        init(
            _ name: String, _ unit: String, _ kind: MetricNamer.Kind, _ expected: String?,
            in namespace: String = ""
        ) {
            self.name = name
            self.unit = unit
            self.kind = kind
            self.namespace = namespace
            self.expected = expected
        }

        var testDescription: String { "\(namespace)|\(name)|\(unit)|\(kind)" }
    }

    @Test(arguments: escapedWithSuffixes)
    func escapingWithSuffixes(_ row: Case) {
        let namer = MetricNamer(strategy: .underscoreEscapingWithSuffixes, namespace: row.namespace)
        #expect(namer.metricName(row.name, unit: row.unit, kind: row.kind) == row.expected)
    }

    @Test(arguments: escapedWithoutSuffixes)
    func escapingWithoutSuffixes(_ row: Case) {
        let namer = MetricNamer(strategy: .underscoreEscapingWithoutSuffixes, namespace: row.namespace)
        #expect(namer.metricName(row.name, unit: row.unit, kind: row.kind) == row.expected)
    }

    @Test(arguments: plainWithSuffixes)
    func noEscapingWithSuffixes(_ row: Case) {
        let namer = MetricNamer(strategy: .noUTF8EscapingWithSuffixes, namespace: row.namespace)
        #expect(namer.metricName(row.name, unit: row.unit, kind: row.kind) == row.expected)
    }

    @Test(arguments: untranslated)
    func noTranslation(_ row: Case) {
        let namer = MetricNamer(strategy: .noTranslation, namespace: row.namespace)
        #expect(namer.metricName(row.name, unit: row.unit, kind: row.kind) == row.expected)
    }

    /// Guarantees: escaping gives names that every Prometheus reads, whatever an application calls its metrics, and a
    /// name that is right already stays as it is when nothing is to be added.
    @Test func escapedNamesAreLegacyNames() {
        var random = SeededRandom(seed: 1)
        let letters = Array("ab9_:. -/{}%é日\u{1F600}\0\n\"".unicodeScalars)
        for _ in 0..<2000 {
            let text = { (count: Int) in
                String(
                    String.UnicodeScalarView((0..<count).map { _ in letters.randomElement(using: &random)! }))
            }
            let (name, unit, namespace) = (
                text(.random(in: 0...8)), text(.random(in: 0...5)), text(.random(in: 0...3))
            )
            for strategy in TranslationStrategy.allCases where !strategy.allowsUTF8 {
                let namer = MetricNamer(strategy: strategy, namespace: namespace)
                for kind in MetricNamer.Kind.allCases {
                    guard let made = namer.metricName(name, unit: unit, kind: kind) else { continue }
                    #expect(
                        NameEscaping.isLegacy(made, colons: true), "\(name.debugDescription) gave \(made)")
                }
                if let label = namer.labelName(name) {
                    #expect(
                        NameEscaping.isLegacy(label, colons: false), "\(name.debugDescription) gave \(label)")
                }
            }
        }
    }

    @Test(
        "the unit of OpenMetrics is what names end with",
        arguments: [
            ("s", "seconds"), ("By/s", "bytes_per_second"), ("1", "ratio"), ("", ""), ("{request}", ""),
            ("1/s", "per_second"), ("%", "percent"), ("foo.bar", "foo_bar"), ("{x}/m", "per_minute"),
            ("/", ""),
        ])
    func unitNames(unit: String, expected: String) {
        let namer = MetricNamer(strategy: .underscoreEscapingWithSuffixes, namespace: "")
        #expect(namer.unitName(unit) == expected)
        let plain = MetricNamer(strategy: .noUTF8EscapingWithSuffixes, namespace: "")
        #expect(plain.unitName(unit) == (unit == "foo.bar" ? "foo.bar" : expected))
        if unit != "1", !expected.isEmpty {
            #expect(namer.metricName("a", unit: unit, kind: .other) == "a_" + expected)
        }
    }

    static let escapedWithSuffixes: [Case] = [
        // Characters: what is not allowed divides tokens, and tokens are held together by one underscore.
        Case("http.server.requests", "{request}", .counter, "http_server_requests_total"),
        Case("http.server.request.duration", "s", .other, "http_server_request_duration_seconds"),
        Case("cpu.utilization", "1", .gauge, "cpu_utilization_ratio"),
        Case("net.io", "By/s", .counter, "net_io_bytes_per_second_total"),
        Case("a", "", .gauge, "a"), Case("a.b", "", .gauge, "a_b"), Case("a..b", "", .gauge, "a_b"),
        Case("a__b", "", .gauge, "a_b"), Case("a._-b", "", .gauge, "a_b"), Case(".a.", "", .gauge, "a"),
        Case("_a_", "", .gauge, "a"), Case("__a__", "", .gauge, "a"), Case("a b", "", .gauge, "a_b"),
        Case("a:b", "", .gauge, "a:b"), Case("a::b", "", .gauge, "a::b"), Case(":a", "", .gauge, ":a"),
        Case("a-b", "", .gauge, "a_b"), Case("a/b", "", .gauge, "a_b"), Case("a\nb", "", .gauge, "a_b"),
        Case("A.B", "", .gauge, "A_B"), Case("日本", "", .gauge, nil), Case("a日本b", "", .gauge, "a_b"),
        Case("grün", "", .gauge, "gr_n"), Case("a\u{1F600}", "", .gauge, "a"),
        Case("a\0b", "", .gauge, "a_b"),
        Case("a1", "", .gauge, "a1"), Case("1a", "", .gauge, "_1a"), Case("1.a", "", .gauge, "_1_a"),
        Case(".1a", "", .gauge, "_1a"), Case("9", "", .gauge, "_9"), Case("a.9", "", .gauge, "a_9"),
        // Nothing left.
        Case("", "", .gauge, nil), Case("", "s", .counter, nil), Case("_", "", .gauge, nil),
        Case("___", "", .gauge, nil), Case("...", "", .other, nil), Case("._.", "", .gauge, nil),
        Case("_", "s", .gauge, "seconds"), Case("_", "", .counter, "total"), Case("-", "1", .gauge, "ratio"),
        // Every unit with a word of its own.
        Case("a", "d", .gauge, "a_days"), Case("a", "h", .gauge, "a_hours"),
        Case("a", "min", .gauge, "a_minutes"),
        Case("a", "s", .gauge, "a_seconds"), Case("a", "ms", .gauge, "a_milliseconds"),
        Case("a", "us", .gauge, "a_microseconds"), Case("a", "ns", .gauge, "a_nanoseconds"),
        Case("a", "By", .gauge, "a_bytes"), Case("a", "KiBy", .gauge, "a_kibibytes"),
        Case("a", "MiBy", .gauge, "a_mebibytes"), Case("a", "GiBy", .gauge, "a_gibibytes"),
        Case("a", "TiBy", .gauge, "a_tibibytes"), Case("a", "KBy", .gauge, "a_kilobytes"),
        Case("a", "MBy", .gauge, "a_megabytes"), Case("a", "GBy", .gauge, "a_gigabytes"),
        Case("a", "TBy", .gauge, "a_terabytes"), Case("a", "m", .gauge, "a_meters"),
        Case("a", "V", .gauge, "a_volts"), Case("a", "A", .gauge, "a_amperes"),
        Case("a", "J", .gauge, "a_joules"),
        Case("a", "W", .gauge, "a_watts"), Case("a", "g", .gauge, "a_grams"),
        Case("a", "Cel", .gauge, "a_celsius"),
        Case("a", "Hz", .gauge, "a_hertz"), Case("a", "%", .gauge, "a_percent"),
        // Every unit behind the slash.
        Case("a", "1/s", .gauge, "a_per_second"), Case("a", "1/m", .gauge, "a_per_minute"),
        Case("a", "1/h", .gauge, "a_per_hour"), Case("a", "1/d", .gauge, "a_per_day"),
        Case("a", "1/w", .gauge, "a_per_week"), Case("a", "1/mo", .gauge, "a_per_month"),
        Case("a", "1/y", .gauge, "a_per_year"), Case("a", "1/By", .gauge, "a_per_By"),
        // Case counts, and words that are none stay as they are.
        Case("a", "S", .gauge, "a_S"), Case("a", "by", .gauge, "a_by"),
        Case("a", "seconds", .gauge, "a_seconds"),
        Case("a", "widgets", .gauge, "a_widgets"), Case("a", "foo.bar", .gauge, "a_foo_bar"),
        Case("a", "foo__bar", .gauge, "a_foo_bar"), Case("a", "_foo", .gauge, "a_foo"),
        Case("a", "foo_", .gauge, "a_foo"), Case("a", "foo_", .counter, "a_foo_total"),
        Case("a", "°C", .gauge, "a_C"), Case("a", "日", .gauge, "a"),
        Case("a", "%/m", .gauge, "a_percent_per_minute"),
        Case("a", "m/s", .gauge, "a_meters_per_second"), Case("a", "By/d", .other, "a_bytes_per_day"),
        Case("a", "s/%", .gauge, "a_seconds"), Case("a", "s/foo_", .gauge, "a_seconds_per_foo"),
        Case("a", "kg.m", .gauge, "a_kg_m"), Case("a", "a/b/c", .gauge, "a_per_b_c"),
        Case("b", "a/b/c", .gauge, "b_a_per_b_c"),
        // Halves that say nothing.
        Case("a", "{packet}", .gauge, "a"), Case("a", "{packet}/s", .gauge, "a_per_second"),
        Case("a", "By/{packet}", .gauge, "a_bytes"), Case("a", "{a}/{b}", .gauge, "a"),
        Case("a", "s{x}", .gauge, "a"), Case("a", "}", .gauge, "a"), Case("a", "/", .gauge, "a"),
        Case("a", "/s", .gauge, "a_per_second"), Case("a", "s/", .gauge, "a_seconds"),
        Case("a", " s ", .gauge, "a_seconds"), Case("a", " By / s ", .gauge, "a_bytes_per_second"),
        Case("a", " ", .gauge, "a"), Case("a", "\t", .gauge, "a"), Case("a", "1/", .gauge, "a"),
        // What is there already is not said twice.
        Case("a.seconds", "s", .gauge, "a_seconds"), Case("seconds.a", "s", .gauge, "seconds_a"),
        Case("a.seconds.b", "s", .other, "a_seconds_b"), Case("seconds", "s", .gauge, "seconds"),
        Case("a.milliseconds", "s", .gauge, "a_milliseconds_seconds"),
        Case("a.Seconds", "s", .gauge, "a_Seconds_seconds"),
        Case("bytes", "By/s", .gauge, "bytes_per_second"), Case("a.bytes", "By", .counter, "a_bytes_total"),
        Case("a.per.second", "1/s", .gauge, "a_per_second_per_second"),
        Case("a.s", "s", .gauge, "a_s_seconds"),
        // Counters.
        Case("a", "", .counter, "a_total"), Case("a.total", "", .counter, "a_total"),
        Case("total", "", .counter, "total"), Case("total.a", "", .counter, "a_total"),
        Case("total.a.total", "s", .counter, "a_seconds_total"),
        Case("subtotal", "", .counter, "subtotal_total"),
        Case("a.Total", "", .counter, "a_Total_total"), Case("a", "1", .counter, "a_total"),
        Case("a.ratio", "1", .counter, "a_ratio_total"), Case("a", "total", .counter, "a_total"),
        Case("a.total", "", .gauge, "a_total"), Case("total.a", "", .other, "total_a"),
        Case("1", "", .counter, "_1_total"), Case("a", "By", .counter, "a_bytes_total"),
        // Ratios.
        Case("a", "1", .gauge, "a_ratio"), Case("a.ratio", "1", .gauge, "a_ratio"),
        Case("ratio.a", "1", .gauge, "a_ratio"), Case("ratio", "1", .gauge, "ratio"),
        Case("a", "1", .other, "a"),
        Case("a", " 1 ", .gauge, "a"), Case("a.ratio", "", .gauge, "a_ratio"),
        Case("a", "1/1", .gauge, "a_per_1"),
        // Namespaces.
        Case("a", "", .gauge, "ns_a", in: "ns"), Case("a", "s", .counter, "ns_a_seconds_total", in: "ns"),
        Case("1a", "", .gauge, "ns_1a", in: "ns"), Case("a", "", .gauge, "n_s_a", in: "n.s"),
        Case("a", "", .gauge, "_1n_a", in: "1n"), Case("a", "", .gauge, "my_ns_a", in: "my_ns"),
        Case("ns.a", "", .gauge, "ns_ns_a", in: "ns"), Case("_", "", .gauge, "ns_", in: "ns"),
        Case("a", "", .gauge, "a", in: "."), Case("", "", .gauge, nil, in: "ns"),
        Case("total", "", .counter, "total_total", in: "total"),
    ]

    static let escapedWithoutSuffixes: [Case] = [
        Case("http.server.requests", "{request}", .counter, "http_server_requests"),
        Case("cpu.utilization", "1", .gauge, "cpu_utilization"), Case("a", "s", .other, "a"),
        Case("a.b", "", .gauge, "a_b"), Case("a..b", "", .gauge, "a_b"), Case("a__b", "", .gauge, "a__b"),
        Case("a._b", "", .gauge, "a__b"), Case("_a_", "", .gauge, "_a_"), Case(".a.", "", .gauge, "a"),
        Case("a:b", "", .gauge, "a:b"), Case("a日b", "", .gauge, "a_b"), Case("1a", "", .gauge, "_1a"),
        Case("a.total", "", .counter, "a_total"), Case("a", "", .gauge, "ns_a", in: "ns"),
        Case("1a", "", .gauge, "ns_1a", in: "ns"), Case("a", "", .gauge, "n_s_a", in: "n-s"),
        Case("a", "", .gauge, "_1_a", in: "1"), Case("", "", .gauge, nil), Case("___", "", .gauge, nil),
        Case("...", "", .gauge, nil), Case("日本", "s", .counter, nil), Case("a b\tc", "", .gauge, "a_b_c"),
    ]

    static let plainWithSuffixes: [Case] = [
        Case("http.server.requests", "{request}", .counter, "http.server.requests_total"),
        Case("http.server.request.duration", "s", .other, "http.server.request.duration_seconds"),
        Case("cpu.utilization", "1", .gauge, "cpu.utilization_ratio"),
        Case("net.io", "By/s", .counter, "net.io_bytes_per_second_total"), Case("a", "", .gauge, "a"),
        Case("a..b", "", .gauge, "a..b"), Case("日本", "s", .gauge, "日本_seconds"), Case("1a", "", .gauge, "1a"),
        Case("a_total", "", .counter, "a_total"), Case("a.total", "", .counter, "a_total"),
        Case("a_total", "s", .counter, "a_seconds_total"),
        Case("a_seconds_total", "s", .counter, "a_seconds_total"),
        Case("a.seconds.total", "s", .counter, "a.seconds_total"),
        Case("a_seconds", "s", .gauge, "a_seconds"),
        Case("a.seconds", "s", .gauge, "a.seconds"), Case("seconds", "s", .gauge, "seconds"),
        Case("a_milliseconds", "s", .gauge, "a_milliseconds_seconds"),
        Case("a_per_second", "By/s", .gauge, "a_bytes_per_second"),
        Case("a_bytes_per_second_total", "By/s", .counter, "a_bytes_per_second_total"),
        Case("a_ratio", "1", .gauge, "a_ratio"), Case("a.ratio", "1", .gauge, "a_ratio"),
        Case("a", "1", .counter, "a_total"), Case("a", "1", .other, "a"),
        Case("a", "foo.bar", .gauge, "a_foo.bar"),
        Case("subtotal", "", .counter, "subtotal_total"), Case("total", "", .counter, "total_total"),
        Case("日total", "", .counter, "日total_total"), Case("a2total", "", .counter, "a2total_total"),
        Case("a", "", .gauge, "ns_a", in: "ns"), Case("a", "s", .counter, "n.s_a_seconds_total", in: "n.s"),
        Case("___", "", .gauge, "___"), Case("", "s", .counter, nil), Case("a", "{x}/{y}", .gauge, "a"),
    ]

    static let untranslated: [Case] = [
        Case("http.server.requests", "{request}", .counter, "http.server.requests"),
        Case("a", "s", .counter, "a"), Case("a", "1", .gauge, "a"), Case("a..b", "", .gauge, "a..b"),
        Case("日本 \"\n", "", .gauge, "日本 \"\n"), Case("1", "", .gauge, "1"), Case("_", "", .gauge, "_"),
        Case("a", "By", .other, "ns_a", in: "ns"), Case("a", "", .gauge, "n.s_a", in: "n.s"),
        Case("", "", .gauge, nil), Case("", "", .gauge, nil, in: "ns"),
    ]
}
