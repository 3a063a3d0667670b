import Testing

@testable import PrometheusExporter

/// If these failed, queries would look for labels that have another name here, or a scraper would refuse the page.
@Suite struct NamesLabelTests {
    @Test(
        "a label holds letters, digits and underscores",
        arguments: [
            ("http.method", "http_method"), ("a", "a"), ("a..b", "a__b"), ("a__b", "a__b"),
            ("a.-_b", "a___b"),
            ("_a", "_a"), (".a", "_a"), ("a.", "a_"), ("a:b", "a_b"), ("1a", "key_1a"), ("1", "key_1"),
            ("_1", "_1"), ("日a", "_a"), ("a日本b", "a__b"), ("__a", "__a"), ("a__", "a__"), ("__a__", "__a__"),
            ("__a.b__", "__a_b__"), ("__a__b__", "__a__b__"), ("__1__", "__1__"), ("A.B", "A_B"),
            ("__name__", "key___name__"), ("", nil), ("_", "_"), ("____", nil), ("...", nil), (".", nil),
            ("日本", nil),
            ("_____", nil), ("le", "le"), ("a b", "a_b"), ("a\0b", "a_b"),
        ] as [(String, String?)])
    func escaped(key: String, expected: String?) {
        for strategy in [
            TranslationStrategy.underscoreEscapingWithSuffixes, .underscoreEscapingWithoutSuffixes,
        ] {
            #expect(MetricNamer(strategy: strategy, namespace: "ns").labelName(key) == expected)
        }
    }

    @Test(
        "with UTF-8 a label is the attribute's key",
        arguments: [
            ("http.method", "http.method"), ("1a", "1a"), ("日本", "日本"), ("_", "_"), ("__a__", "__a__"),
            ("", nil), ("__name__", "key___name__"),
        ] as [(String, String?)])
    func plain(key: String, expected: String?) {
        for strategy in [TranslationStrategy.noUTF8EscapingWithSuffixes, .noTranslation] {
            #expect(MetricNamer(strategy: strategy, namespace: "ns").labelName(key) == expected)
        }
    }

    @Test(
        "a scraper gets names in the way it asked for",
        arguments: [
            ("a", "a", "a", "a"), ("a_b", "a_b", "a_b", "a_b"), ("a.b", "a_b", "a_dot_b", "U__a_2e_b"),
            ("a.b_c", "a_b_c", "a_dot_b__c", "U__a_2e_b__c"), ("a:b", "a:b", "a:b", "a:b"),
            ("a b", "a_b", "a__b", "U__a_20_b"), ("1a", "_a", "__a", "U___31_a"), ("a1", "a1", "a1", "a1"),
            ("日本", "__", "____", "U___65e5__672c_"), ("a..b", "a__b", "a_dot__dot_b", "U__a_2e__2e_b"),
            ("\u{1F600}", "_", "__", "U___1f600_"), ("_a", "_a", "_a", "_a"),
        ])
    func escapings(name: String, underscores: String, dots: String, values: String) {
        #expect(NameEscaping.allowUTF8.metricName(name) == name)
        #expect(NameEscaping.underscores.metricName(name) == underscores)
        #expect(NameEscaping.dots.metricName(name) == dots)
        #expect(NameEscaping.values.metricName(name) == values)
    }

    @Test func aLabelHasNoColon() {
        #expect(NameEscaping.underscores.labelName("a:b") == "a_b")
        #expect(NameEscaping.dots.labelName("a:b") == "a__b")
        #expect(NameEscaping.values.labelName("a:b") == "U__a_3a_b")
        #expect(NameEscaping.allowUTF8.labelName("a:b") == "a:b")
        #expect(!NameEscaping.isLegacy("", colons: true) && !NameEscaping.isLegacy("1", colons: true))
    }
}
