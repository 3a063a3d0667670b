internal import Configuration
internal import HTTP

/// One entry of `scrape_configs`.
struct ScrapeConfig: Sendable, Equatable {
    /// The label `job`, unless relabelling changes it. Required. Key `job_name`.
    var name = ""
    /// Default 1m, from `global`. Key `scrape_interval`.
    var interval = Duration.seconds(60)
    /// Default 10s, from `global`; at most the interval. Key `scrape_timeout`.
    var timeout = Duration.seconds(10)
    /// Default `/metrics`. Key `metrics_path`.
    var metricsPath = "/metrics"
    /// Default http. Key `scheme`.
    var scheme = HTTPOrigin.Scheme.http
    /// Query parameters. Key `params`.
    var parameters: [QueryParameter] = []
    /// What is asked for, best first. Key `scrape_protocols`.
    var protocols: [ScrapeProtocol] = ScrapeProtocol.text
    /// For pages that do not say what they are. Key `fallback_scrape_protocol`.
    var fallbackProtocol = ScrapeProtocol.text004
    /// Key `enable_compression`.
    var acceptsCompression = true
    /// Keys `honor_labels`, `honor_timestamps`, `track_timestamps_staleness`, `trim_metric_suffixes`.
    var honorsLabels = false
    var honorsTimestamps = true
    var tracksTimestampsStaleness = false
    var trimsSuffixes = false
    /// Key `always_scrape_classic_histograms`.
    var readsClassicHistograms = false
    var externalLabels: [Label] = []
    var limits = ScrapeLimits()
    /// Credentials and TLS.
    var client = ScrapeClientConfig()
    /// Key `relabel_configs`.
    var targetRelabelling: [RelabelRule] = []
    /// Key `metric_relabel_configs`.
    var metricRelabelling: [RelabelRule] = []
    /// Key `static_configs`.
    var staticGroups: [TargetGroup] = []
    /// Key `file_sd_configs`.
    var fileDiscovery: [FileDiscoveryConfig] = []
    /// Key `kubernetes_sd_configs`.
    var kubernetesDiscovery: [KubernetesConfig] = []

    init(_ section: ConfigSection, _ defaults: ScrapeDefaults, trimsSuffixes: Bool) {
        self.trimsSuffixes = trimsSuffixes
        name = section.scalar("job_name") ?? ""
        if name.isEmpty { section.report(nil, error: "requires \"job_name\"") }
        readTimes(section, defaults)
        readRequest(section, defaults)
        honorsLabels = section.bool("honor_labels", default: false)
        honorsTimestamps = section.bool("honor_timestamps", default: true)
        tracksTimestampsStaleness = section.bool("track_timestamps_staleness", default: false)
        limits = ScrapeLimits(section, defaults.limits)
        externalLabels = defaults.externalLabels
        client = ScrapeClientConfig(section)
        targetRelabelling = RelabelRule.list(section, "relabel_configs")
        metricRelabelling = RelabelRule.list(section, "metric_relabel_configs")
        readDiscovery(section)
        for key in ["keep_dropped_targets", "metric_name_validation_scheme", "metric_name_escaping_scheme"] {
            section.accept(key)
        }
        section.ignored("scrape_failure_log_file", "failed scrapes are in the gateway's own log")
        section.notSupportedYet("convert_classic_histograms_to_nhcb")
        section.notSupportedYet("extra_scrape_metrics")
        for key in ["native_histogram_bucket_limit", "native_histogram_min_bucket_factor"] {
            section.notSupportedYet(key)
        }
    }

    private mutating func readTimes(_ section: ConfigSection, _ defaults: ScrapeDefaults) {
        interval = section.prometheusDuration("scrape_interval") ?? defaults.interval
        if let own = section.prometheusDuration("scrape_timeout") {
            timeout = own
            if own > interval {
                section.report("scrape_timeout", error: "must not exceed scrape_interval \(interval.text)")
            }
        } else {
            timeout = min(defaults.timeout, interval)
        }
    }

    private mutating func readRequest(_ section: ConfigSection, _ defaults: ScrapeDefaults) {
        metricsPath = section.scalar("metrics_path") ?? metricsPath
        if let word = section.choice("scheme", of: ["http", "https"], default: "http") {
            scheme = word == "https" ? .https : .http
        }
        if let section = section.section("params") {
            parameters = section.keys.map { QueryParameter(name: $0, values: section.scalarList($0) ?? []) }
        }
        let readsNative = section.bool("scrape_native_histograms", default: defaults.readsNativeHistograms)
        readsClassicHistograms = section.classicHistograms(defaults.readsClassicHistograms)
        protocols =
            ScrapeProtocol.list(section) ?? defaults.protocols
            ?? (readsNative ? [.protobuf] + ScrapeProtocol.text : ScrapeProtocol.text)
        fallbackProtocol = section.choice("fallback_scrape_protocol", default: .text004)
        acceptsCompression = section.bool("enable_compression", default: true)
    }

    private mutating func readDiscovery(_ section: ConfigSection) {
        let groups = section.sectionList("static_configs") ?? []
        for (index, group) in groups.enumerated() {
            staticGroups.append(TargetGroup(group, source: "static/\(index)"))
        }
        fileDiscovery = (section.sectionList("file_sd_configs") ?? []).map { FileDiscoveryConfig($0) }
        kubernetesDiscovery = (section.sectionList("kubernetes_sd_configs") ?? []).map {
            KubernetesConfig($0)
        }
        for kind in Self.otherDiscovery {
            section.notSupportedYet(
                kind + "_sd_configs",
                "write the targets under static_configs, or have them written to a file named under file_sd_configs"
            )
        }
    }

    private static let otherDiscovery = [
        "aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "gce",
        "hetzner",
        "http", "ionos", "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud",
        "puppetdb", "scaleway", "serverset", "stackit", "triton", "uyuni", "vultr",
    ]
}

/// Limits of one job; 0 is none but for what holds in any case.
struct ScrapeLimits: Sendable, Equatable {
    /// Bytes of a page, decompressed. Key `body_size_limit`.
    var bodySize = 0
    /// Key `sample_limit`.
    var samples = 0
    /// Key `label_limit`.
    var labels = 0
    /// Key `label_name_length_limit`.
    var labelNameLength = 0
    /// Key `label_value_length_limit`.
    var labelValueLength = 0
    /// Targets after relabelling. Key `target_limit`.
    var targets = 0

    /// Bytes that a page may have when the configuration sets no limit, and at most: a broken target cannot take all
    /// memory.
    static let bodySizeDefault = 64 << 20
    static let bodySizeMax = 256 << 20
    /// Samples that a page may have when the configuration sets no limit.
    static let samplesDefault = 1_000_000
    /// Metrics that are remembered of a target, those without samples included.
    static let familiesMax = 500_000

    init() {}

    /// Reads the keys; those that are absent are as in `defaults`.
    init(_ section: ConfigSection, _ defaults: ScrapeLimits) {
        bodySize = defaults.bodySize
        if let text = section.scalar("body_size_limit") {
            if let bytes = PrometheusText.bytes(text) {
                bodySize = bytes
            } else {
                section.report(
                    "body_size_limit", error: "\"\(text)\" is not a number of bytes",
                    help: "write it as 10MB or 512KB")
            }
        }
        samples = section.int("sample_limit", default: defaults.samples)
        labels = section.int("label_limit", default: defaults.labels)
        labelNameLength = section.int("label_name_length_limit", default: defaults.labelNameLength)
        labelValueLength = section.int("label_value_length_limit", default: defaults.labelValueLength)
        targets = section.int("target_limit", default: defaults.targets)
    }

    /// Bytes of a page that are read.
    var pageBytesMax: Int { bodySize > 0 ? min(bodySize, Self.bodySizeMax) : Self.bodySizeDefault }
    /// Samples of a page that are kept.
    var samplesMax: Int { samples > 0 ? samples : Self.samplesDefault }
}

/// A format of pages, by its name in `scrape_protocols`.
enum ScrapeProtocol: String, Sendable, CaseIterable {
    case protobuf = "PrometheusProto"
    case openMetrics100 = "OpenMetricsText1.0.0"
    case openMetrics001 = "OpenMetricsText0.0.1"
    case text100 = "PrometheusText1.0.0"
    case text004 = "PrometheusText0.0.4"

    /// What is asked for by default.
    static let text: [ScrapeProtocol] = [.openMetrics100, .openMetrics001, .text100, .text004]

    /// The media type that asks for it.
    var mediaType: String {
        switch self {
        case .protobuf:
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        case .openMetrics100: "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
        case .openMetrics001: "application/openmetrics-text;version=0.0.1"
        case .text100: "text/plain;version=1.0.0;escaping=allow-utf-8"
        case .text004: "text/plain;version=0.0.4"
        }
    }

    /// Reads `scrape_protocols`; nil when absent.
    static func list(_ section: ConfigSection) -> [ScrapeProtocol]? {
        guard let words = section.scalarList("scrape_protocols") else { return nil }
        return words.compactMap { word in
            if let found = ScrapeProtocol(rawValue: word) { return found }
            let known = allCases.map(\.rawValue)
            section.report(
                "scrape_protocols",
                error: "unknown value \"\(word)\"; known are \(known.joined(separator: ", "))",
                help: nearest(word, in: known).map { "did you mean \"\($0)\"?" })
            return nil
        }
    }

    /// The `Accept` header for formats, best first.
    static func accept(_ protocols: [ScrapeProtocol]) -> String {
        let types = protocols.enumerated().map { index, format in
            "\(format.mediaType);q=0.\(protocols.count - index + 1)"
        }
        return (types + ["*/*;q=0.1"]).joined(separator: ",")
    }
}

/// One key of `params`.
struct QueryParameter: Sendable, Equatable {
    let name: String
    let values: [String]
}
