import Configuration
import Testing

@testable import PrometheusExporter

@Suite("Keys of the prometheus exporter")
struct ConfigTests {
    private func read(_ yaml: String) -> (PrometheusExporterConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = PrometheusExporterConfig(
            ConfigSection(yaml: yaml, path: "prometheus", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    /// The problems of a section with an endpoint and this.
    private func problems(_ yaml: String) -> [String] {
        read("endpoint: :1\n" + yaml).1
    }

    @Test("what is not written is as in the Collector")
    func defaults() {
        let (config, problems) = read("endpoint: 0.0.0.0:8889")
        #expect(problems.isEmpty)
        #expect(config == PrometheusExporterConfig(endpoint: EndpointConfig(host: "0.0.0.0", port: 8889)))
        #expect(config.namespace.isEmpty && config.constLabels.isEmpty && !config.sendTimestamps)
        #expect(config.metricExpiration == .seconds(300) && !config.resourceLabels.includes("a"))
        #expect(!config.enableOpenMetrics && !config.withoutScopeInfo)
        #expect(config.strategy == .underscoreEscapingWithSuffixes)
        #expect(config.maxSeries == 1_000_000 && config.maxSeriesPerMetric == 100_000)
        #expect(config.server.readHeaderTimeout == .seconds(60) && config.server.idleTimeout == .seconds(60))
        #expect(config.server.writeTimeout == .seconds(30) && config.server.readTimeout == .zero)
    }

    @Test("every key arrives")
    func keys() {
        let (config, problems) = read(
            """
            endpoint: localhost:1
            namespace: ns
            const_labels: {b: "2", a: "1"}
            send_timestamps: true
            metric_expiration: 1h
            resource_to_telemetry_conversion: {enabled: true, exclude_service_attributes: true}
            enable_open_metrics: true
            translation_strategy: NoTranslation
            without_scope_info: true
            max_series: 10
            max_series_per_metric: 5
            write_timeout: 0s
            read_header_timeout: 5s
            idle_timeout: 6s
            response_headers: {X: y}
            """)
        #expect(problems.isEmpty)
        #expect(
            config.server.endpoint == EndpointConfig(host: "localhost", port: 1) && config.namespace == "ns")
        #expect(config.constLabels == [ConfigPair("b", "2"), ConfigPair("a", "1")])
        #expect(config.sendTimestamps && config.metricExpiration == .seconds(3600))
        #expect(config.resourceLabels.includes("a") && !config.resourceLabels.includes("service.name"))
        #expect(config.enableOpenMetrics && config.strategy == .noTranslation && config.withoutScopeInfo)
        #expect(config.maxSeries == 10 && config.maxSeriesPerMetric == 5)
        #expect(config.server.writeTimeout == .zero && config.server.readHeaderTimeout == .seconds(5))
        #expect(config.server.idleTimeout == .seconds(6) && config.server.responseHeaders.count == 1)
    }

    @Test("a limit below the default of its part brings the part down with it")
    func lowLimit() {
        let (config, problems) = read("endpoint: :1\nmax_series: 50")
        #expect(problems.isEmpty && config.maxSeriesPerMetric == 50)
    }

    @Test(
        "old and new way to name suffixes",
        arguments: [
            ("add_metric_suffixes: true", .underscoreEscapingWithSuffixes, true),
            ("add_metric_suffixes: false", .underscoreEscapingWithoutSuffixes, true),
            ("translation_strategy: NoUTF8EscapingWithSuffixes", .noUTF8EscapingWithSuffixes, false),
            ("{add_metric_suffixes: false, translation_strategy: NoTranslation}", .noTranslation, true),
        ] as [(String, TranslationStrategy, Bool)])
    func strategies(yaml: String, strategy: TranslationStrategy, warns: Bool) {
        let keys = yaml.hasPrefix("{") ? "{endpoint: \":1\", " + yaml.dropFirst() : "endpoint: :1\n" + yaml
        let (config, problems) = read(keys)
        #expect(config.strategy == strategy)
        #expect(problems.count == (warns ? 1 : 0))
    }

    @Test(
        "what cannot work is refused, with its place",
        arguments: [
            ("namespaces: x", "prometheus: unknown key \"namespaces\""),
            (
                "translation_strategy: Notranslation",
                "prometheus::translation_strategy: unknown value \"Notranslation\"; must be"
                    + " UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes,"
                    + " NoUTF8EscapingWithSuffixes or NoTranslation"
            ),
            ("const_labels: {a-b: x}", "prometheus::const_labels: \"a-b\" is not a valid label name"),
            ("const_labels: {1a: x}", "prometheus::const_labels: \"1a\" is not a valid label name"),
            (
                "const_labels: {le: x}",
                "prometheus::const_labels: \"le\" is taken: Prometheus gives it a meaning of its own"
            ),
            ("max_series: 0", "prometheus::max_series: must be between 1 and 100000000, found 0"),
            (
                "{max_series: 5, max_series_per_metric: 6}",
                "prometheus::max_series_per_metric: is 6, more than max_series, 5"
            ),
            (
                "{resource_to_telemetry_conversion: {enabled: true}, resource_constant_labels: {included: [a]}}",
                "prometheus::resource_constant_labels: cannot be set together with resource_to_telemetry_conversion"
            ),
            (
                "resource_constant_labels: {excluded: [a]}",
                "prometheus::resource_constant_labels::excluded: has no effect without \"included\""
            ),
            (
                "metric_expiration: 5",
                "prometheus::metric_expiration: expected a duration, found the number 5"
            ),
            ("metric_expiration: -5s", "prometheus::metric_expiration: must not be negative, found -5s"),
        ])
    func broken(yaml: String, message: String) {
        let keys = yaml.hasPrefix("{") ? "{endpoint: \":1\", " + yaml.dropFirst() : "endpoint: :1\n" + yaml
        #expect(read(keys).1 == [message])
    }

    @Test("without a place to listen nobody could scrape")
    func endpoint() {
        #expect(read("").1 == ["prometheus: requires a non-empty \"endpoint\""])
        #expect(read("endpoint: 8889").1.count == 1)
    }

    @Test("certificates that cannot be used are refused before the start")
    func tls() {
        let missing = problems("tls: {cert_file: /nowhere/a, key_file: /nowhere/b}")
        #expect(missing.count == 1 && missing[0].hasPrefix("prometheus::tls::cert_file: cannot read"))
        #expect(!problems("tls: {cert_file: x}").isEmpty)
        #expect(read("endpoint: :1").0.server.tls == nil)
    }

    @Test("with UTF-8 names a constant label may have any name")
    func constLabels() {
        let yaml = "translation_strategy: NoTranslation\nconst_labels: "
        #expect(problems(yaml + "{a.b: x}").isEmpty)
        #expect(problems(yaml + "{\"\": x}").count == 1)
    }

    @Test(
        "wildcards choose the attributes of the resource",
        arguments: [
            (["*"], [], "a.b", true), ([], [], "a", false), (["a"], [], "a", true), (["a"], [], "ab", false),
            (["a*"], [], "a", true), (["a*"], [], "ab", true), (["a*"], [], "ba", false),
            (["*a"], [], "ba", true), (["*a"], [], "ab", false), (["a*c*e"], [], "abcde", true),
            (["a*c*e"], [], "abcdf", false), (["?"], [], "a", true), (["?"], [], "ab", false),
            (["?"], [], "", false), (["*"], [], "", true), (["a?c"], [], "abc", true),
            (["k8s.*"], ["k8s.pod.*"], "k8s.pod.uid", false), (["k8s.*"], ["k8s.pod.*"], "k8s.node", true),
            (["a", "b"], [], "b", true), (["*"], ["a", "b"], "b", false), (["**a"], [], "xa", true),
            (["*ab"], [], "aab", true), (["日*"], [], "日本", true), (["*"], ["*"], "a", false),
        ] as [([String], [String], String, Bool)])
    func resourceLabels(included: [String], excluded: [String], key: String, expected: Bool) {
        var labels = ResourceLabels()
        labels.included = included
        labels.excluded = excluded
        #expect(labels.includes(key) == expected)
    }
}
