package import Configuration
package import Logging

/// The gateway's logger, as `service::telemetry::logs` wants it.
/// - Throws: an output path cannot be opened.
package func makeLogger(_ config: LogsTelemetryConfig) throws(LogOutputError) -> Logger {
    var settings = LogSettings()
    settings.level = LogSettings.level(named: config.level.rawValue) ?? .info
    settings.encoding = config.encoding == .json ? .json : .console
    settings.outputPaths = config.outputPaths
    for field in config.initialFields { settings.initialFields[field.name] = "\(field.value)" }
    settings.sampling = config.sampling.map { sampling in
        var limits = LogSettings.Sampling()
        limits.tick = sampling.tick
        limits.initial = sampling.initial
        limits.thereafter = sampling.thereafter
        return limits
    }
    let output = try LogOutput(settings)
    return Logger(label: "sluice") { _ in CollectorLogHandler(output) }
}
