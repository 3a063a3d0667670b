/// `service::telemetry::traces`: spans about the gateway itself.
package struct TracesTelemetryConfig: Sendable, Equatable {
    /// Which requests get a span.
    package struct Sampler: Sendable, Equatable {
        /// Whether a caller's decision counts, where there is one.
        package var followsParent = true
        /// The share of all others, from 0 to 1.
        package var ratio = 1.0

        package init() {}
    }

    /// Where spans go; without one there are none, the default. Key `processors`.
    package var processors: [TelemetryProcessorConfig] = []
    /// Default: what the caller says, else all. Key `sampler`.
    package var sampler = Sampler()
    /// Whether the caller's trace is continued. Default false. Key `propagators`: `tracecontext`.
    package var continuesTraces = false

    package init() {}

    package init(_ section: ConfigSection) {
        let level: MetricsTelemetryConfig.Level = section.choice("level", default: .normal, anyCase: true)
        for (name, origin) in section.located("propagators") ?? [] {
            switch name {
            case "tracecontext": continuesTraces = true
            case "b3", "b3multi", "baggage", "jaeger", "none":
                section.diagnostics.warning(
                    "propagator \(quoted(name)) has no effect", path: section.path(of: "propagators"),
                    at: origin, help: "write tracecontext to continue the traces of clients")
            default:
                section.diagnostics.error(
                    "unknown value \(quoted(name)); must be tracecontext or b3",
                    path: section.path(of: "propagators"), at: origin, help: "write tracecontext")
            }
        }
        processors = TelemetryProcessorConfig.list(section, delay: .seconds(5))
        if let keys = section.section("sampler") { sampler = Sampler(keys) }
        section.ignored("limits", "the spans have a few attributes of known lengths")
        if level == .none { processors = [] }
        section.finish()
    }
}

extension TracesTelemetryConfig.Sampler {
    /// Reads the one key of a section that names a sampler.
    fileprivate init(_ section: ConfigSection) {
        self.init()
        if section.section("always_on") != nil {
            followsParent = false
        } else if section.section("always_off") != nil {
            followsParent = false
            ratio = 0
        } else if let keys = section.section("trace_id_ratio_based") {
            followsParent = false
            ratio = keys.double("ratio", default: 1, in: 0...1)
        } else if let keys = section.section("parent_based") {
            if let root = keys.section("root") { ratio = Self(root).ratio }
            // What a parent says is done; the samplers for each case of it change nothing then.
            for key in [
                "remote_parent_sampled", "remote_parent_not_sampled", "local_parent_sampled",
                "local_parent_not_sampled",
            ] {
                keys.ignored(key, "what the parent says is done")
            }
        } else if !section.keys.isEmpty {
            section.notSupportedYet(
                section.keys[0], "use always_on, always_off, trace_id_ratio_based or parent_based")
        }
    }
}
