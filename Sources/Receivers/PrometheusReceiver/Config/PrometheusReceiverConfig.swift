package import Configuration

/// The keys of the `prometheus` receiver.
package struct PrometheusReceiverConfig: Sendable, Equatable {
    /// `config::scrape_configs`, with what `config::global` gives them.
    var jobs: [ScrapeConfig] = []

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        let trims = section.bool("trim_metric_suffixes", default: false)
        section.notSupportedYet(
            "target_allocator", "write the targets under scrape_configs: kubernetes_sd_configs finds pods")
        section.notSupportedYet("api_server")
        section.ignored(
            "report_extra_scrape_metrics", "there are no metrics of a scrape's timeout, limit and size")
        for key in ["use_start_time_metric", "start_time_metric_regex", "use_collector_start_time_fallback"] {
            section.ignored(key, "start times are those that the page tells, or else of the first scrape")
        }
        for key in ["scrape_on_shutdown", "discovery_reload_on_startup"]
        where section.bool(key, default: false) {
            section.withoutEffect(
                key, "targets are looked for at once, and the last interval's scrape is the last")
        }
        _ = section.duration("initial_scrape_offset", default: .zero)
        section.withoutEffect("initial_scrape_offset", "each target has its own moment within the interval")
        if let config = section.section("config") {
            // What a target allocator would bring is not missing beside it.
            jobs = Self.jobs(config, trimsSuffixes: trims, mayBeNone: section.has("target_allocator"))
        } else if !section.isBroken("config") {
            section.report(
                nil, error: "requires \"config\"",
                help: "write below it what Prometheus' configuration has\n  config:\n    scrape_configs: …")
        }
        section.finish()
    }

    private static func jobs(
        _ config: ConfigSection, trimsSuffixes: Bool, mayBeNone: Bool
    ) -> [ScrapeConfig] {
        let refused = [
            "remote_write": "send metrics by an exporter of the gateway",
            "remote_read": "the gateway answers no queries",
            "rule_files": "the gateway evaluates no rules; leave them with Prometheus",
            "alerting": "the gateway evaluates no rules; leave alerts with Prometheus",
            "scrape_config_files": "write the jobs under scrape_configs, or name several files with --config",
            "storage": "the gateway stores no series",
        ]
        for (key, reason) in refused.sorted(by: { $0.key < $1.key }) where config.isWritten(key) {
            config.accept(key)
            if config.asksForSomething(key) {
                config.report(key, error: "is not supported: " + reason, help: "remove it")
            }
        }
        for key in ["tracing", "otlp", "runtime"] { config.ignored(key, "it is Prometheus' own") }
        let global = ScrapeDefaults(config.section("global"))
        var jobs: [ScrapeConfig] = []
        for section in config.sectionList("scrape_configs") ?? [] {
            let job = ScrapeConfig(section, global, trimsSuffixes: trimsSuffixes)
            if !job.name.isEmpty, jobs.contains(where: { $0.name == job.name }) {
                section.report("job_name", error: "\"\(job.name)\" is the name of another job already")
            }
            jobs.append(job)
        }
        if jobs.isEmpty, !mayBeNone, !config.isBroken("scrape_configs") {
            config.report(
                nil, error: "requires \"scrape_configs\" with at least one job",
                help: "write scrape_configs: [{job_name: a, static_configs: [{targets: [\"host:port\"]}]}]")
        }
        return jobs
    }
}

/// Keys that jobs take over from `global` unless they have them themselves.
struct ScrapeDefaults {
    var interval = Duration.seconds(60)
    var timeout = Duration.seconds(10)
    var limits = ScrapeLimits()
    var protocols: [ScrapeProtocol]?
    var readsNativeHistograms = false
    var readsClassicHistograms = false
    /// Added to every series that does not have them. Key `external_labels`.
    var externalLabels: [Label] = []

    init(_ section: ConfigSection?) {
        guard let section else { return }
        interval = section.prometheusDuration("scrape_interval") ?? interval
        if let own = section.prometheusDuration("scrape_timeout") {
            timeout = own
            if own > interval {
                section.report("scrape_timeout", error: "must not exceed scrape_interval \(interval.text)")
            }
        }
        timeout = min(timeout, interval)
        limits = ScrapeLimits(section, limits)
        protocols = ScrapeProtocol.list(section)
        readsNativeHistograms = section.bool("scrape_native_histograms", default: false)
        readsClassicHistograms = section.classicHistograms(false)
        externalLabels = section.labels("external_labels")
        section.notSupportedYet("convert_classic_histograms_to_nhcb")
        section.notSupportedYet("extra_scrape_metrics")
        for key in ["evaluation_interval", "query_log_file", "rule_query_offset", "scrape_failure_log_file"] {
            section.ignored(key, "it is Prometheus' own")
        }
        for key in ["keep_dropped_targets", "metric_name_validation_scheme", "metric_name_escaping_scheme"] {
            section.accept(key)
        }
    }
}

extension ConfigSection {
    /// A positive duration in Prometheus' spelling; nil when absent or wrong, which is reported.
    func prometheusDuration(_ key: String) -> Duration? {
        guard let text = scalar(key) else { return nil }
        guard let value = PrometheusText.duration(text) else {
            report(
                key, error: "\"\(text)\" is not a valid duration",
                help: "write whole numbers with units, the largest first, such as 30s, 1m or 1h30m")
            return nil
        }
        guard value > .zero else {
            report(key, error: "must be greater than 0")
            return nil
        }
        return value
    }

    /// A section of labels.
    func labels(_ key: String) -> [Label] {
        scalarMap(key).compactMap { pair in
            guard !pair.name.isEmpty else {
                report(key, error: "a label has an empty name")
                return nil
            }
            return Label(pair.name, pair.value ?? "")
        }
    }

    /// `always_scrape_classic_histograms`, and its older name.
    func classicHistograms(_ value: Bool) -> Bool {
        let old = bool("scrape_classic_histograms", default: value)
        return bool("always_scrape_classic_histograms", default: old)
    }
}
