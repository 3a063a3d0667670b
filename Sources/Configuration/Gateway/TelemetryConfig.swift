/// `service::telemetry`: the gateway's own log, metrics and resource.
package struct TelemetryConfig: Sendable, Equatable {
    /// `logs`.
    package var logs = LogsTelemetryConfig()
    /// `metrics`.
    package var metrics = MetricsTelemetryConfig()
    /// `traces`.
    package var traces = TracesTelemetryConfig()
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
        if let traces = section.section("traces") { self.traces = TracesTelemetryConfig(traces) }
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
