package import Configuration
internal import HTTP

/// The keys of the `prometheus` exporter. Those of its server are `HTTPServerConfig`'s.
package struct PrometheusExporterConfig: Sendable, Equatable {
    /// Where the page `/metrics` is served. `endpoint` is required; `read_header_timeout` is 1m, `write_timeout` 30s and
    /// `idle_timeout` 1m when they are not written.
    package var server: HTTPServerConfig
    /// Put before every name with an underscore. Default empty, which puts nothing. Key `namespace`.
    package var namespace = ""
    /// Labels of every series, in written order. Default none. Key `const_labels`.
    package var constLabels: [ConfigPair] = []
    /// Shows the time of each data point, in milliseconds. Default false. Key `send_timestamps`.
    package var sendTimestamps = false
    /// A series that has not been updated for so long is removed; zero = never. Default 5m. Key `metric_expiration`.
    package var metricExpiration: Duration = .seconds(300)
    /// Which attributes of a resource are labels of its series. Keys `resource_to_telemetry_conversion` and
    /// `resource_constant_labels`.
    package var resourceLabels = ResourceLabels()
    /// Answers in OpenMetrics, with exemplars, when a scraper asks for it. Default false. Key `enable_open_metrics`.
    package var enableOpenMetrics = false
    /// OpenMetrics pages have a `_created` sample beside each counter, histogram and summary. Default false: to Prometheus
    /// these are series of their own. Key `enable_created_samples`, which the Collector does not have.
    package var showsCreatedSamples = false
    /// Default UnderscoreEscapingWithSuffixes. Keys `translation_strategy` and, older, `add_metric_suffixes`.
    package var strategy = TranslationStrategy.underscoreEscapingWithSuffixes
    /// Leaves out the labels of the instrumentation scope. Default false. Key `without_scope_info`.
    package var withoutScopeInfo = false
    /// Series held at most; a new one beyond is dropped and counted. Default 1 000 000, 1…100 000 000. Key
    /// `max_series`, which the Collector does not have.
    package var maxSeries = 1_000_000
    /// Series held at most of one metric. Default 100 000, 1…100 000 000. Key `max_series_per_metric`, which the
    /// Collector does not have.
    package var maxSeriesPerMetric = 100_000
    /// Memory of series and exemplars, in MiB; zero is half of what memory_limiter allows for, and without one no other
    /// bound than `max_series`. Default 0. Key `max_memory_mib`, which the Collector does not have.
    package var maxMemoryMib = 0
    /// Sources of one series: metrics and attributes that have become the same name and labels. Default 1000,
    /// 1…1 000 000. Key `max_sources_per_series`, which the Collector does not have.
    package var maxSourcesPerSeries = 1000

    /// Defaults, with this place to listen.
    package init(endpoint: EndpointConfig) {
        server = HTTPServerConfig(endpoint: endpoint)
        server.readHeaderTimeout = .seconds(60)
        server.writeTimeout = .seconds(30)
        server.idleTimeout = .seconds(60)
    }

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        let example = EndpointConfig(host: "localhost", port: 8889)
        self.init(endpoint: example)
        let defaults = server
        server = HTTPServerConfig(section, endpoint: example, readTLS: { $0.serverTLS() })
        if !section.has("read_header_timeout") { server.readHeaderTimeout = defaults.readHeaderTimeout }
        if !section.has("write_timeout") { server.writeTimeout = defaults.writeTimeout }
        if !section.has("idle_timeout") { server.idleTimeout = defaults.idleTimeout }
        if !section.has("endpoint") {
            section.report(
                nil, error: "requires a non-empty \"endpoint\"", help: "write endpoint: \(example)")
        }
        strategy = Self.strategy(section)
        namespace = section.string("namespace", default: "")
        constLabels = section.stringMap("const_labels")
        checkConstLabels(section)
        sendTimestamps = section.bool("send_timestamps", default: false)
        metricExpiration = section.duration("metric_expiration", default: metricExpiration)
        resourceLabels = ResourceLabels(of: section)
        enableOpenMetrics = section.bool("enable_open_metrics", default: false)
        showsCreatedSamples = section.bool("enable_created_samples", default: false)
        withoutScopeInfo = section.bool("without_scope_info", default: false)
        readBounds(section)
        section.withoutEffect("cors", "scrapers are no browsers")
        for key in ["max_connection_age", "max_connection_age_grace"] {
            section.withoutEffect(key, "keep_alives_enabled and idle_timeout end connections")
        }
        section.ignored("sending_queue", "a scrape reads the series; nothing is sent that could wait")
        section.finish()
    }

    private static func strategy(_ section: ConfigSection) -> TranslationStrategy {
        let isWritten = section.has("translation_strategy")
        let strategy = section.choice(
            "translation_strategy", default: TranslationStrategy.underscoreEscapingWithSuffixes)
        guard let adds = section.optionalBool("add_metric_suffixes") else { return strategy }
        section.report(
            "add_metric_suffixes",
            warning: isWritten ? "has no effect beside translation_strategy" : "is deprecated",
            help: isWritten
                ? "remove it"
                : "write translation_strategy: "
                    + (adds ? "UnderscoreEscapingWithSuffixes" : "UnderscoreEscapingWithoutSuffixes"))
        return isWritten || adds ? strategy : .underscoreEscapingWithoutSuffixes
    }

    private func checkConstLabels(_ section: ConfigSection) {
        let reserved = ["le", "quantile", "__name__"]
        for label in constLabels {
            if reserved.contains(label.name) {
                section.report(
                    "const_labels",
                    error: "\"\(label.name)\" is taken: Prometheus gives it a meaning of its own")
            } else if label.name.isEmpty
                || !strategy.allowsUTF8 && !NameEscaping.isLegacy(label.name, colons: false)
            {
                section.report(
                    "const_labels", error: "\"\(label.name)\" is not a valid label name",
                    help: "use letters, digits and _, no digit first")
            }
        }
    }

    private mutating func readBounds(_ section: ConfigSection) {
        let range = 1...100_000_000
        maxSeries = section.int("max_series", default: maxSeries, in: range)
        maxSeriesPerMetric = section.int(
            "max_series_per_metric", default: min(maxSeriesPerMetric, maxSeries), in: range)
        maxMemoryMib = section.int("max_memory_mib", default: maxMemoryMib, in: 0...(1 << 20))
        maxSourcesPerSeries = section.int(
            "max_sources_per_series", default: maxSourcesPerSeries, in: 1...1_000_000)
        if maxSeriesPerMetric > maxSeries, !section.isBroken("max_series") {
            section.report(
                "max_series_per_metric",
                error: "is \(maxSeriesPerMetric), more than max_series, \(maxSeries)",
                help: "raise max_series or lower max_series_per_metric")
        }
    }
}

/// Which attributes of a resource become labels of every series of the resource.
///
/// A value, any thread; asked once per resource and attribute.
package struct ResourceLabels: Sendable, Equatable {
    /// Patterns of the keys that do; `*` stands for any characters, `?` for one. Empty: none does.
    package var included: [String] = []
    /// Patterns of keys that do not, although they are included.
    package var excluded: [String] = []

    /// No attribute becomes a label.
    package init() {}

    /// Reads both ways to say it; the caller finishes the section.
    init(of section: ConfigSection) {
        if let old = section.section("resource_to_telemetry_conversion") {
            let isEnabled = old.bool("enabled", default: false)
            let withoutService = old.bool("exclude_service_attributes", default: false)
            if isEnabled { included = ["*"] }
            if isEnabled, withoutService { excluded = Self.serviceAttributes }
        }
        if let new = section.section("resource_constant_labels") {
            if !included.isEmpty {
                section.report(
                    "resource_constant_labels",
                    error: "cannot be set together with resource_to_telemetry_conversion",
                    help: "remove resource_to_telemetry_conversion")
            }
            included = new.stringList("included")
            excluded = new.stringList("excluded")
            if included.isEmpty, !excluded.isEmpty, !new.isBroken("included") {
                new.report(
                    "excluded", warning: "has no effect without \"included\"", help: "add included: [\"*\"]")
            }
        }
    }

    /// Those that `job` and `instance` are made of.
    private static let serviceAttributes = ["service.name", "service.namespace", "service.instance.id"]

    /// Whether the attribute of this key becomes a label.
    func includes(_ key: String) -> Bool {
        included.contains { matches(key, $0) } && !excluded.contains { matches(key, $0) }
    }
}

/// Whether a text fits a pattern in which `*` is any run of characters and `?` any one. Linear in most cases, at worst
/// the product of both lengths.
private func matches(_ text: String, _ pattern: String) -> Bool {
    let text = Array(text.unicodeScalars)
    let pattern = Array(pattern.unicodeScalars)
    var at = 0
    var place = 0
    // Where to go on after a mismatch: behind the last star, with one character more taken by it.
    var retry: (at: Int, place: Int)?
    while at < text.count {
        if place < pattern.count, pattern[place] == "*" {
            place += 1
            retry = (at, place)
        } else if place < pattern.count, pattern[place] == "?" || pattern[place] == text[at] {
            at += 1
            place += 1
        } else if let last = retry {
            at = last.at + 1
            place = last.place
            retry = (at, place)
        } else {
            return false
        }
    }
    return pattern[place...].allSatisfy { $0 == "*" }
}
