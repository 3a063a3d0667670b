import Configuration
import HTTP
import Pipeline
import Testing

@testable import LokiExporter

/// Without these a mistake in the file would show as logs that are missing in Loki.
@Suite("Keys of the loki exporter")
struct ConfigTests {
    private func read(_ yaml: String) -> (LokiConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, path: "exporters::loki", diagnostics: diagnostics)
        return (LokiConfig(section), diagnostics)
    }

    @Test("what is not written is as Loki's users expect it")
    func defaults() {
        let (config, diagnostics) = read("endpoint: http://loki:3100")
        #expect(diagnostics.items.isEmpty)
        #expect(config.url.description == "http://loki:3100/loki/api/v1/push")
        #expect(config.timeout == .seconds(30) && config.headers.isEmpty && !config.disableKeepAlives)
        let encoding = config.encoding
        #expect(encoding.mapping == .native && encoding.limits == LokiLimits())
        #expect(encoding.pushBytes == 1 << 20 && !encoding.severityTextAsLabel)
        #expect(encoding.resourceRules.action(for: "k8s.pod.name") == .indexLabel)
        #expect(encoding.resourceRules.action(for: "host.name") == .structuredMetadata)
        #expect(encoding.logRules.rules.isEmpty && encoding.scopeRules.rules.isEmpty)
    }

    @Test("every key arrives")
    func keys() {
        let (config, diagnostics) = read(
            """
            endpoint: https://me:secret@loki.example/custom/push
            headers: {X-Scope-OrgID: tenant}
            timeout: 5s
            idle_conn_timeout: 1m
            disable_keep_alives: true
            mapping: native
            otlp_config:
              resource_attributes:
                ignore_defaults: true
                attributes_config:
                  - action: index_label
                    attributes: [service.name, region]
                  - {action: drop, attributes: [secret]}
              scope_attributes: [{action: drop, attributes: [internal]}]
              log_attributes: [{action: index_label, attributes: [level]}, {action: drop, regex: "tmp[.].*"}]
              severity_text_as_label: true
            limits:
              max_label_names_per_series: 30
              max_label_name_length: 10
              max_label_value_length: 20
              max_line_size: 1000
              max_structured_metadata_size: 2000
              max_structured_metadata_entries_count: 64
            max_push_bytes: 500000
            max_push_entries: 100
            sending_queue: {num_consumers: 3}
            retry_on_failure: {enabled: false}
            """)
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        #expect(config.url.target == "/custom/push" && config.url.origin.port == 443)
        #expect(config.url.basicAuthorization == "Basic bWU6c2VjcmV0")
        #expect(config.timeout == .seconds(5) && config.disableKeepAlives)
        #expect(config.sendingQueue.numConsumers == 3 && !config.retryOnFailure.enabled)
        let encoding = config.encoding
        #expect(encoding.resourceRules.action(for: "region") == .indexLabel)
        #expect(encoding.resourceRules.action(for: "k8s.pod.name") == .structuredMetadata)
        #expect(encoding.resourceRules.action(for: "secret") == .drop)
        #expect(encoding.scopeRules.action(for: "internal") == .drop)
        #expect(encoding.logRules.action(for: "level") == .indexLabel && encoding.severityTextAsLabel)
        #expect(encoding.logRules.action(for: "tmp.x") == .drop)
        #expect(encoding.logRules.action(for: "a.tmp.x") == .structuredMetadata)
        #expect(encoding.limits.labels == 30 && encoding.limits.metadataPairs == 64)
        #expect(encoding.pushBytes == 500_000 && encoding.pushEntries == 100)
    }

    @Test("a configuration of the Collector's loki exporter needs one line more")
    func migrated() {
        let (config, diagnostics) = read(
            """
            endpoint: http://loki:3100/loki/api/v1/push
            default_labels_enabled: {exporter: false, level: true}
            mapping: legacy
            """)
        #expect(diagnostics.items.isEmpty)
        #expect(config.encoding.mapping == .legacy && !config.encoding.defaultLabels.exporter)
        let (_, without) = read("{endpoint: \"http://loki:3100\", default_labels_enabled: {job: false}}")
        #expect(without.render().contains("mapping: legacy") && !without.hasErrors)
    }

    @Test(
        "a mistake is named with what would be right",
        arguments: [
            ("timeout: 1s", "exporters::loki: requires a non-empty \"endpoint\""),
            (
                "endpoint: loki:3100",
                "exporters::loki::endpoint: has no scheme; must start with http:// or https://"
            ),
            (
                "endpoint: http://loki:3100/otlp",
                "exporters::loki::endpoint: is Loki's OTLP endpoint; this exporter pushes to /loki/api/v1/push"
            ),
            (
                "{endpoint: \"http://l\", auth: {}}",
                "exporters::loki::auth: requires an \"authenticator\""
            ),
            (
                "{endpoint: \"http://l\", mapping: old}",
                "exporters::loki::mapping: unknown value \"old\"; must be native or legacy"
            ),
            (
                "{endpoint: \"http://l\", limits: {max_line_size: 0}}",
                "exporters::loki::limits::max_line_size: must be between 1 and 16777216, found 0"
            ),
            (
                "{endpoint: \"http://l\", otlp_config: {log_attributes: [{attributes: [a]}]}}",
                "exporters::loki::otlp_config::log_attributes::0: requires \"action\""
            ),
            (
                "{endpoint: \"http://l\", otlp_config: {log_attributes: [{action: drop}]}}",
                "exporters::loki::otlp_config::log_attributes::0: requires \"attributes\" or \"regex\""
            ),
            (
                "{endpoint: \"http://l\", otlp_config: {log_attributes: [{action: drop, regex: (a}]}}",
                "exporters::loki::otlp_config::log_attributes::0::regex: \"(a\" is not a valid regular expression: "
                    + "missing ): (a"
            ),
            (
                "{endpoint: \"http://l\", otlp_config: {log_attributes: [{action: drop, regex: a, attributes: [b]}]}}",
                "exporters::loki::otlp_config::log_attributes::0::regex: cannot be written beside \"attributes\""
            ),
            (
                "{endpoint: \"http://l\", compression: none}",
                "exporters::loki::compression: has no effect: pushes are always snappy, as Loki wants them"
            ),
            (
                "{endpoint: \"http://l\", otlp_config: {scope_attributes: [{action: index_label, attributes: [a]}]}}",
                "exporters::loki::otlp_config::scope_attributes::0::action: \"index_label\" is not possible for "
                    + "attributes of a scope"
            ),
        ])
    func mistakes(yaml: String, message: String) {
        let problems = read(yaml).1.items.map { "\($0.path): \($0.message)" }
        #expect(problems == [message])
    }
}
