/// `service::telemetry`: the gateway's own log, metrics and resource.
package struct TelemetryConfig: Sendable, Equatable {
    /// `logs`.
    package var logs = LogsTelemetryConfig()
    /// `metrics`.
    package var metrics = MetricsTelemetryConfig()
    /// `resource`: attributes of the gateway itself; a nil value removes a default one. Default: none.
    package var resource: [ResourceAttribute] = []

    /// One entry of `resource`.
    package struct ResourceAttribute: Sendable, Equatable {
        package let name: String
        /// nil removes the attribute of that name.
        package let value: String?

        package init(_ name: String, _ value: String?) {
            self.name = name
            self.value = value
        }
    }

    package init() {}

    package init(_ section: ConfigSection) {
        if let logs = section.section("logs") { self.logs = LogsTelemetryConfig(logs) }
        if let metrics = section.section("metrics") { self.metrics = MetricsTelemetryConfig(metrics) }
        if let traces = section.section("traces") {
            _ = traces.stringList("propagators")
            _ = traces.optionalString("level")
            for key in ["processors", "sampler", "propagators", "limits"] {
                traces.ignored(key, "the gateway sends no spans about itself yet")
            }
        }
        resource = Self.resource(section)
        section.finish()
    }

    /// `resource`, as a map of names and values, or as the declarative configuration of OpenTelemetry writes it.
    private static func resource(_ section: ConfigSection) -> [ResourceAttribute] {
        guard let keys = section.section("resource") else { return [] }
        guard
            keys.map.entry("attributes")?.value.isList == true || keys.has("schema_url")
                || keys.has("detectors")
        else {
            keys.allowAnyKey()
            return section.scalarMap("resource").map { ResourceAttribute($0.name, $0.value) }
        }
        _ = keys.optionalString("schema_url")
        for key in ["detectors", "detection/development", "attributes_list"] {
            keys.ignored(key, "write the attributes themselves")
        }
        return (keys.sectionList("attributes") ?? []).compactMap { attribute in
            _ = attribute.optionalString("type")
            guard let name = attribute.optionalString("name"), !name.isEmpty else {
                attribute.report(nil, error: "has no \"name\"", help: "write {name: …, value: …}")
                return nil
            }
            return ResourceAttribute(name, attribute.scalar("value"))
        }
    }
}

/// `service::telemetry::logs`.
package struct LogsTelemetryConfig: Sendable, Equatable {
    /// From the most talkative to the least.
    package enum Level: String, Sendable, CaseIterable {
        case debug
        case info
        case warn
        case error
        case fatal
    }

    /// How a line looks.
    package enum Encoding: String, Sendable, CaseIterable {
        case console
        case json
    }

    /// `sampling`: of equal messages within a tick, the first ones and then every nth.
    package struct Sampling: Sendable, Equatable {
        /// Default 10s, more than 0. Key `tick`.
        package var tick: Duration = .seconds(10)
        /// Messages let through at the start of a tick. Default 10. Key `initial`.
        package var initial = 10
        /// Then every nth; 0 = none. Default 100. Key `thereafter`.
        package var thereafter = 100

        package init() {}
    }

    /// Default info. Key `level`, any case.
    package var level: Level = .info
    /// Default console. Key `encoding`.
    package var encoding: Encoding = .console
    /// Accepted for the Collector's sake; no line says where in the source it comes from. Default false. Key `disable_caller`.
    package var disableCaller = false
    /// Accepted for the Collector's sake; there are no stack traces. Default false. Key `disable_stacktrace`.
    package var disableStacktrace = false
    /// nil when `sampling::enabled` is false. Default on.
    package var sampling: Sampling? = Sampling()
    /// `stderr`, `stdout` or file paths. Default stderr. Key `output_paths`.
    package var outputPaths = ["stderr"]
    /// Accepted for the Collector's sake; the log's own errors go to stderr. Key `error_output_paths`.
    package var errorOutputPaths = ["stderr"]
    /// Added to every line. Default none. Key `initial_fields`.
    package var initialFields: [ConfigPair] = []

    package init() {}

    package init(_ section: ConfigSection) {
        level = Self.level(section)
        encoding = section.choice("encoding", default: .console)
        _ = section.bool("development", default: false)
        disableCaller = section.bool("disable_caller", default: false)
        disableStacktrace = section.bool("disable_stacktrace", default: false)
        section.withoutEffect("disable_caller", "lines do not say where in the source they come from")
        if let keys = section.section("sampling") {
            var read = Sampling()
            read.tick = keys.duration("tick", default: read.tick, in: .nanoseconds(1) ... .longest)
            read.initial = keys.int("initial", default: read.initial)
            read.thereafter = keys.int("thereafter", default: read.thereafter)
            sampling = keys.bool("enabled", default: true) ? read : nil
        }
        outputPaths = section.stringList("output_paths", default: outputPaths)
        errorOutputPaths = section.stringList("error_output_paths", default: errorOutputPaths)
        section.withoutEffect("error_output_paths", "the log's own errors go to stderr")
        initialFields = section.scalarMap("initial_fields").map { ConfigPair($0.name, $0.value ?? "") }
        section.ignored("processors", "the gateway sends no log records about itself yet")
        _ = section.optionalBool("disable_zap_resource")
        section.finish()
    }

    private static func level(_ section: ConfigSection) -> Level {
        guard let text = section.optionalString("level") else { return .info }
        let lower = text.lowercased()
        if lower == "dpanic" || lower == "panic" { return .fatal }
        if let level = Level(rawValue: lower) { return level }
        let words = Level.allCases.map(\.rawValue)
        section.report(
            "level", error: "unknown value \(quoted(text)); must be \(alternatives(words))",
            help: nearest(text, in: words).map { "did you mean \"\($0)\"?" })
        return .info
    }
}

/// `service::telemetry::metrics`.
package struct MetricsTelemetryConfig: Sendable, Equatable {
    /// How much is counted.
    package enum Level: String, Sendable, CaseIterable {
        case none
        case basic
        case normal
        case detailed
    }

    /// Where the page with the gateway's own metrics is, when nothing is written.
    package static let defaultEndpoint = EndpointConfig(host: "localhost", port: 8888)

    /// Default normal. Key `level`.
    package var level: Level = .normal
    /// Where the page with the gateway's own metrics is; nil when there is none (`level: none`, `readers: []`).
    /// Default localhost:8888. Keys `readers[]::pull::exporter::prometheus::host` and `port`, or `address`.
    package var endpoint: EndpointConfig? = defaultEndpoint
    /// Whether counters on the page go without `_total`. Default true. Key `…::prometheus::without_type_suffix`.
    package var withoutTypeSuffix = true
    /// Whether names on the page go without their unit. Default true. Key `…::prometheus::without_units`.
    package var withoutUnits = true
    /// Which attributes of `resource` become labels of every series; nil = those of the default. Key
    /// `…::prometheus::with_resource_constant_labels`.
    package var resourceLabels: ResourceLabels?

    /// Names of attributes; `*` stands for any text.
    package struct ResourceLabels: Sendable, Equatable {
        /// Key `included`.
        package var included: [String]
        /// Key `excluded`.
        package var excluded: [String]
    }

    package init() {}

    package init(_ section: ConfigSection) {
        level = section.choice("level", default: .normal, anyCase: true)
        section.notSupportedYet("views", "all metrics are kept")
        if section.has("address") {
            endpoint = section.endpoint("address", default: Self.defaultEndpoint)
            section.report(
                "address", warning: "is deprecated",
                help: "write host and port under readers: [{pull: {exporter: {prometheus: …}}}]")
        }
        if let readers = section.sectionList("readers") {
            let read = readers.compactMap { pullEndpoint($0) }
            if read.count > 1 {
                section.report("readers", error: "more than one pull reader is not supported yet; keep one")
            }
            endpoint = read.first
        }
        if level == .none { endpoint = nil }
        section.finish()
    }

    private mutating func pullEndpoint(_ reader: ConfigSection) -> EndpointConfig? {
        reader.ignored(
            "periodic", "the gateway does not send its own metrics yet; scrape the page of a pull reader")
        reader.accept("cardinality_limits")
        guard let pull = reader.section("pull") else {
            if !reader.has("periodic") { reader.report(nil, error: "a reader must have \"pull\"") }
            return nil
        }
        guard let exporter = pull.section("exporter"), let keys = exporter.section("prometheus") else {
            pull.report(nil, error: "a pull reader must have \"exporter\" with \"prometheus\"")
            return nil
        }
        let host = keys.string("host", default: Self.defaultEndpoint.host)
        let port = keys.int("port", default: Self.defaultEndpoint.port, in: 0...65535)
        withoutTypeSuffix = keys.bool("without_type_suffix", default: true)
        withoutUnits = keys.bool("without_units", default: true)
        _ = keys.optionalBool("without_scope_info")
        _ = keys.optionalBool("without_target_info")
        if let labels = keys.optionalSection("with_resource_constant_labels") {
            resourceLabels = ResourceLabels(
                included: labels.stringList("included"), excluded: labels.stringList("excluded"))
        }
        return EndpointConfig(host: host, port: port)
    }
}
