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

    /// Names of metrics that are not shown; `*` is any text, `?` one character. Default none. Key `views`, those with
    /// `aggregation: {drop: {}}`.
    package var dropped: [String] = []
    /// Where metrics are sent to. Default nowhere. Key `readers[]::periodic`.
    package var periodic: [PeriodicReaderConfig] = []

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
        dropped = Self.dropped(section, level)
        if section.has("address") {
            endpoint = section.endpoint("address", default: Self.defaultEndpoint)
            section.report(
                "address", warning: "is deprecated",
                help: "write host and port under readers: [{pull: {exporter: {prometheus: …}}}]")
        }
        if let readers = section.sectionList("readers") {
            let read = readers.compactMap { pullEndpoint($0) }
            if read.count > 1 {
                section.report(
                    "readers", error: "more than one pull reader is not supported yet; keep one",
                    help: "one page serves any number of scrapers")
            }
            endpoint = read.first
        }
        if level == .none {
            endpoint = nil
            periodic = []
        }
        section.finish()
    }

    private static func dropped(_ section: ConfigSection, _ level: Level) -> [String] {
        guard let views = section.sectionList("views") else { return [] }
        if level != .detailed, !views.isEmpty {
            section.report(
                "views",
                error: "service::telemetry::metrics::views can only be set when "
                    + "service::telemetry::metrics::level is detailed", help: "write level: detailed")
        }
        return views.compactMap { view in
            let selector = view.section("selector")
            let name = selector?.optionalString("instrument_name")
            selector?.allowAnyKey()
            let stream = view.section("stream")
            let aggregation = stream?.section("aggregation")
            let isDrop = aggregation?.isWritten("drop") ?? false
            aggregation?.allowAnyKey()
            stream?.allowAnyKey()
            guard isDrop, let name else {
                view.report(
                    nil,
                    warning: "has no effect: only a selector with instrument_name whose stream has "
                        + "aggregation: {drop: {}} changes anything here")
                return nil
            }
            return name
        }
    }

    private mutating func pullEndpoint(_ reader: ConfigSection) -> EndpointConfig? {
        reader.accept("cardinality_limits")
        reader.accept("producers")
        if let section = reader.section("periodic"), let config = PeriodicReaderConfig(section) {
            periodic.append(config)
        }
        guard let pull = reader.section("pull") else {
            if !reader.isWritten("periodic") {
                reader.report(
                    nil, error: "a reader must have \"pull\" or \"periodic\"",
                    help: "write pull: {exporter: {prometheus: {host: localhost, port: 8888}}}")
            }
            return nil
        }
        pull.accept("cardinality_limits")
        pull.accept("producers")
        let names = ["prometheus", "prometheus/development"]
        guard let exporter = pull.section("exporter"),
            let name = names.first(where: exporter.isWritten), let keys = exporter.section(name)
        else {
            pull.report(
                nil, error: "a pull reader must have \"exporter\" with \"prometheus\"",
                help: "write exporter: {prometheus: {host: localhost, port: 8888}}")
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
