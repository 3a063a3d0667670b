package import Configuration
package import Pipeline

/// The keys of the `debug` exporter, also under its old name `logging`.
package struct DebugConfig: Sendable, Equatable {
    /// How much is written about each batch.
    package enum Verbosity: String, Sendable, CaseIterable {
        case basic
        case normal
        case detailed
    }

    /// Default basic; under the name `logging` normal. Key `verbosity`, of `logging` also `loglevel`.
    package var verbosity: Verbosity = .basic
    /// Batches written at the start of each second. Default 2. Key `sampling_initial`.
    package var samplingInitial = 2
    /// Then every nth in that second; 1 = all, 0 = none. Default 1. Key `sampling_thereafter`.
    package var samplingThereafter = 1
    /// Writes through the gateway's own log. Default true. Key `use_internal_logger`.
    package var useInternalLogger = true
    /// `stdout`, `stderr` or file paths, for `use_internal_logger: false`. Default stdout. Key `output_paths`.
    package var outputPaths = ["stdout"]
    /// Default off, which leaves the queue that `effectiveQueue` describes. Key `sending_queue`.
    package var sendingQueue = SendingQueueConfig(enabled: false)

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    ///
    /// - Parameter isLogging: The exporter is written under its old name `logging`.
    package init(_ section: ConfigSection, isLogging: Bool) {
        verbosity = section.choice("verbosity", default: isLogging ? .normal : .basic, anyCase: true)
        if isLogging { readLogLevel(section) }
        samplingInitial = section.int("sampling_initial", default: samplingInitial)
        samplingThereafter = section.int("sampling_thereafter", default: samplingThereafter)
        useInternalLogger = section.bool("use_internal_logger", default: true)
        outputPaths = section.stringList("output_paths", default: outputPaths)
        if useInternalLogger, section.has("output_paths") {
            section.report(
                "output_paths", error: "has an effect only with \"use_internal_logger: false\"",
                help: "add use_internal_logger: false, or remove output_paths")
        }
        if section.isWritten("sending_queue") { sendingQueue = SendingQueueConfig(of: section) }
        section.finish()
    }

    private mutating func readLogLevel(_ section: ConfigSection) {
        let words = ["debug", "info", "warn", "error", "DEBUG", "INFO", "WARN", "ERROR"]
        guard section.has("loglevel") else {
            section.accept("loglevel")
            return
        }
        guard let word = section.choice("loglevel", of: words, default: "info") else { return }
        if section.has("verbosity") {
            section.report(
                "loglevel", error: "cannot be set together with \"verbosity\"", help: "remove loglevel")
        }
        switch word.lowercased() {
        case "debug": verbosity = .detailed
        case "info": verbosity = .normal
        default: verbosity = .basic
        }
    }
}
