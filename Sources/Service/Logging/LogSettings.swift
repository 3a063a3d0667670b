package import Logging

/// How the gateway writes its own log: `service::telemetry::logs`, checked already.
package struct LogSettings: Sendable {
    /// How a line is written.
    package enum Encoding: Sendable {
        /// Tab-separated text with the fields as JSON at the end.
        case console
        /// One JSON object a line.
        case json
    }

    /// How repetitions are thinned out: within each `tick`, of messages with the same level and text, the first
    /// `initial` are written and after them every `thereafter`th; none after them when that is 0.
    package struct Sampling: Sendable {
        package var tick: Duration = .seconds(10)
        package var initial = 10
        package var thereafter = 100

        package init() {}
    }

    /// The lowest level that is written. YAML key `level`, default INFO.
    package var level = Logger.Level.info
    /// YAML key `encoding`, default console.
    package var encoding = Encoding.console
    /// `stderr`, `stdout`, or paths of files to append to. YAML key `output_paths`, default stderr.
    package var outputPaths = ["stderr"]
    /// Fields on every line. YAML key `initial_fields`, default none.
    package var initialFields: Logger.Metadata = [:]
    /// Nil writes every line. YAML key `sampling`, on by default.
    package var sampling: Sampling? = Sampling()
    /// Whether a line names the file and line of code that wrote it. YAML key `disable_caller`, inverted.
    package var includesCaller = true

    /// The defaults.
    package init() {}

    /// The level that a configuration's `level` names, in any case; nil when there is none of that name.
    package static func level(named name: String) -> Logger.Level? {
        switch name.lowercased() {
        case "debug": .debug
        case "info": .info
        case "warn", "warning": .warning
        case "error": .error
        case "dpanic", "panic", "fatal": .critical
        default: nil
        }
    }
}

extension Logger.Level {
    /// The Collector's name of the level.
    var collectorName: String {
        switch self {
        case .trace, .debug: "debug"
        case .info, .notice: "info"
        case .warning: "warn"
        case .error: "error"
        case .critical: "fatal"
        }
    }
}
