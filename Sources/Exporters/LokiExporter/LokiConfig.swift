package import Configuration
package import HTTP
package import Pipeline
internal import RegularExpression

/// The keys of the `loki` exporter.
package struct LokiConfig: Sendable, Equatable {
    /// How records become entries.
    package enum Mapping: String, Sendable, CaseIterable {
        /// As Loki's own OTLP endpoint does it.
        case native
        /// As the Collector's former exporter did it.
        case legacy
    }

    /// `default_labels_enabled`, for `mapping: legacy`: the labels that streams have without being asked for.
    package struct DefaultLabels: Sendable, Equatable {
        /// `exporter="OTLP"`. Default true. Key `exporter`.
        package var exporter = true
        /// From `service.namespace` and `service.name`. Default true. Key `job`.
        package var job = true
        /// From `service.instance.id`. Default true. Key `instance`.
        package var instance = true
        /// From the severity. Default true. Key `level`.
        package var level = true

        package init() {}

        init(_ section: ConfigSection) {
            exporter = section.bool("exporter", default: true)
            job = section.bool("job", default: true)
            instance = section.bool("instance", default: true)
            level = section.bool("level", default: true)
        }
    }

    /// Where to push. Required. A URL without a path gets `/loki/api/v1/push`. Key `endpoint`.
    package private(set) var url = HTTPURL(
        origin: HTTPOrigin(scheme: .http, host: "localhost", port: 3100), target: LokiConfig.pushPath)
    /// Key `tls`, for `https` endpoints.
    package private(set) var tls = ClientTLSConfig()
    /// Sent with every request; `X-Scope-OrgID` is the tenant. Default none. Key `headers`.
    package private(set) var headers: [SecretPair] = []
    /// Time for one push; 0 = unlimited. Default 30s. Key `timeout`.
    package private(set) var timeout: Duration = .seconds(30)
    /// After this without a request a connection is closed. Default 90s. Key `idle_conn_timeout`.
    package private(set) var idleConnectionTimeout: Duration = .seconds(90)
    /// A new connection for every push. Default false. Key `disable_keep_alives`.
    package private(set) var disableKeepAlives = false
    /// Key `sending_queue`.
    package private(set) var sendingQueue = SendingQueueConfig()
    /// Key `retry_on_failure`.
    package private(set) var retryOnFailure = RetryConfig()
    /// Default what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say. Key `proxy_url`.
    package private(set) var proxy: HTTPProxy?
    /// Default none. Key `auth`.
    package private(set) var auth: ClientAuthenticationConfig?
    /// Keys `mapping`, `default_labels_enabled`, `otlp_config`, `tenant_metadata_key`, `tenant::from_hints`, `limits`, `max_push_bytes` and
    /// `max_push_entries`.
    var encoding = EncoderSettings()

    static let pushPath = "/loki/api/v1/push"

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        section.misplaced(
            ["insecure", "insecure_skip_verify", "ca_file", "cert_file", "key_file"], under: "tls")
        section.formerlyOfExporters()
        section.misplaced(["attributes_config"], under: "otlp_config")
        section.formerly([
            "labels": "write otlp_config: {resource_attributes: {attributes_config: "
                + "[{action: index_label, attributes: [service.name]}]}}",
            "format": "with mapping: legacy the attribute loki.format says it",
            "tenant_id": "write headers: {X-Scope-OrgID: …}",
        ])
        readEndpoint(section)
        tls = section.clientTLS(urls: ["endpoint"])
        headers = section.headers("headers")
        timeout = section.duration("timeout", default: timeout)
        idleConnectionTimeout = section.duration(
            "idle_conn_timeout", default: idleConnectionTimeout, in: .milliseconds(1) ... .longest)
        disableKeepAlives = section.bool("disable_keep_alives", default: false)
        sendingQueue = SendingQueueConfig(of: section)
        retryOnFailure = RetryConfig(of: section)
        encoding = EncoderSettings(section)
        readTenant(section)
        readOtherClientKeys(section)
        auth = ClientAuthenticationConfig(of: section)
        proxy = section.proxyURL()
        section.finish()
    }

    /// Where a tenant is configured, no client names another one unless that is wanted.
    private mutating func readTenant(_ section: ConfigSection) {
        let isConfigured =
            encoding.tenantMetadataKey != nil
            || headers.contains { $0.name.lowercased() == PushRequest.tenantHeader.lowercased() }
        encoding.tenantFromHints = !isConfigured
        guard let tenant = section.section("tenant") else { return }
        if tenant.has("source") {
            section.report(
                "tenant", error: "says where the tenant comes from as former Collectors did",
                help:
                    "write headers: {X-Scope-OrgID: …} for one tenant, or tenant_metadata_key: x-scope-orgid for the"
                    + " clients' own")
            for key in ["source", "value"] { tenant.accept(key) }
        }
        encoding.tenantFromHints = tenant.bool("from_hints", default: !isConfigured)
    }

    private mutating func readEndpoint(_ section: ConfigSection) {
        let example = "http://localhost:3100" + Self.pushPath
        guard let text = section.optionalString("endpoint"), !text.isEmpty else {
            guard !section.isBroken("endpoint") else { return }
            section.report(
                section.has("endpoint") ? "endpoint" : nil, error: "requires a non-empty \"endpoint\"",
                help: "write endpoint: \(example)")
            return
        }
        do throws(HTTPURLProblem) {
            let read = try HTTPURL(text)
            url =
                read.target == "/"
                ? HTTPURL(
                    origin: read.origin, target: Self.pushPath, basicAuthorization: read.basicAuthorization)
                : read
            if read.path.hasSuffix("/otlp") || read.path.hasSuffix("/otlp/v1/logs") {
                let key = read.path.hasSuffix("/otlp") ? "endpoint" : "logs_endpoint"
                section.report(
                    "endpoint", error: "is Loki's OTLP endpoint; this exporter pushes to \(Self.pushPath)",
                    help: "write the push endpoint, or use otlp_http with this one as \(key)",
                    showsLine: !text.contains("@"))
            }
        } catch {
            // A password may be in it.
            let isSecret = text.contains("@")
            section.report(
                "endpoint", error: isSecret ? error.withoutText : "\(error)",
                help: "write endpoint: \(example)", showsLine: !isSecret)
        }
    }

    private func readOtherClientKeys(_ section: ConfigSection) {
        _ = section.bufferSize("read_buffer_size", default: 0)
        _ = section.bufferSize("write_buffer_size", default: 512 << 10)
        section.withoutEffect("read_buffer_size", "answers are a few bytes")
        section.withoutEffect("write_buffer_size", "a batch is written at once")
        let others = ["gzip", "zstd", "zlib", "deflate", "lz4", "x-snappy-framed"]
        let words = ["snappy", "none", ""]
        if section.choice("compression", of: words, default: "snappy", notYet: others) == "none" {
            section.report(
                "compression", warning: "has no effect: pushes are always snappy, as Loki wants them",
                help: "write compression: snappy, or remove it")
        }
        for key in ["max_idle_conns", "max_idle_conns_per_host", "max_conns_per_host"] {
            section.ignored(key, "there is one connection for each of the queue's consumers")
        }
        for key in ["http2_read_idle_timeout", "http2_ping_timeout", "force_attempt_http2"] {
            section.ignored(key, "pushes go over HTTP/1.1")
        }
        section.notSupportedYet("cookies")
        section.notSupportedYet("middlewares")
    }
}

extension EncoderSettings {
    /// Reads the keys of an exporter's section that say how records become entries.
    init(_ section: ConfigSection) {
        mapping = section.choice("mapping", default: .native)
        defaultLabels = section.section("default_labels_enabled").map { .init($0) } ?? defaultLabels
        if let otlp = section.section("otlp_config") {
            resourceRules = AttributeRules(resource: otlp)
            scopeRules = AttributeRules(list: otlp, "scope_attributes", allowsLabels: false)
            logRules = AttributeRules(list: otlp, "log_attributes", allowsLabels: true)
            severityTextAsLabel = otlp.bool("severity_text_as_label", default: false)
        }
        tenantMetadataKey = section.optionalString("tenant_metadata_key").flatMap {
            $0.isEmpty ? nil : $0.lowercased()
        }
        limits = section.section("limits").map { LokiLimits($0) } ?? limits
        pushBytes = section.int("max_push_bytes", default: pushBytes, in: 1024...(64 << 20))
        pushEntries = section.int("max_push_entries", default: pushEntries, in: 1...(1 << 20))
        switch mapping {
        case .native:
            if section.isWritten("default_labels_enabled") {
                section.report(
                    "default_labels_enabled", warning: "has an effect only with \"mapping: legacy\"",
                    help: "add mapping: legacy to keep the labels of the Collector's loki exporter")
            }
        case .legacy:
            if section.isWritten("otlp_config") {
                section.report(
                    "otlp_config", warning: "has an effect only with \"mapping: native\"",
                    help: "remove one of them")
            }
        }
    }
}

extension LokiLimits {
    init(_ section: ConfigSection) {
        labels = section.int("max_label_names_per_series", default: labels, in: 1...128)
        labelNameBytes = section.int("max_label_name_length", default: labelNameBytes, in: 1...65_536)
        labelValueBytes = section.int("max_label_value_length", default: labelValueBytes, in: 1...65_536)
        lineBytes = section.int("max_line_size", default: lineBytes, in: 1...(16 << 20))
        metadataBytes = section.int("max_structured_metadata_size", default: metadataBytes, in: 0...(1 << 20))
        metadataPairs = section.int(
            "max_structured_metadata_entries_count", default: metadataPairs, in: 0...4096)
    }
}

extension AttributeRules {
    /// Reads `resource_attributes` of `otlp_config`. The configured rules come before the default labels.
    init(resource otlp: ConfigSection) {
        let defaults = Rule(action: .indexLabel, attributes: Self.defaultIndexLabels)
        guard let section = otlp.section("resource_attributes") else {
            rules = [defaults]
            return
        }
        rules = AttributeRules(list: section, "attributes_config", allowsLabels: true).rules
        if !section.bool("ignore_defaults", default: false) { rules.append(defaults) }
    }

    /// Reads a list of rules.
    init(list section: ConfigSection, _ key: String, allowsLabels: Bool) {
        for entry in section.sectionList(key) ?? [] {
            let action: Action = entry.choice("action", default: .structuredMetadata)
            if !entry.has("action") { entry.report(nil, error: "requires \"action\"") }
            if action == .indexLabel, !allowsLabels {
                entry.report(
                    "action", error: "\"index_label\" is not possible for attributes of a scope",
                    help: "use structured_metadata or drop")
            }
            let attributes = entry.stringList("attributes")
            let pattern = entry.optionalString("regex") ?? ""
            switch (attributes.isEmpty, pattern.isEmpty) {
            case (true, true):
                guard !entry.isBroken("attributes"), !entry.isBroken("regex") else { continue }
                entry.report(
                    nil, error: "requires \"attributes\" or \"regex\"", help: "write attributes: [name]")
            case (false, false):
                entry.report(
                    "regex", error: "cannot be written beside \"attributes\"",
                    help: "make two entries of them, with the same action")
            case (false, true): rules.append(Rule(action: action, attributes: attributes))
            case (true, false):
                guard let regex = Self.compile(pattern, entry) else { continue }
                rules.append(Rule(action: action, regex: regex))
            }
        }
    }

    private static func compile(_ pattern: String, _ section: ConfigSection) -> RegularExpression? {
        do throws(RegularExpressionError) {
            return try RegularExpression(pattern)
        } catch {
            section.report("regex", error: "\"\(pattern)\" is not a valid regular expression: \(error)")
            return nil
        }
    }
}
