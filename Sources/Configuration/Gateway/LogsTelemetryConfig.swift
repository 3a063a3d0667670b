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
    /// Where lines go as log records, too. Default none. Key `processors`.
    package var processors: [TelemetryProcessorConfig] = []

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
        processors = TelemetryProcessorConfig.list(section, delay: .seconds(1))
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
