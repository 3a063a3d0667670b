package import Logging

/// Writes log lines in the forms that the Collector writes them in.
///
/// A value per logger; all share one `LogOutput`. `LoggingSystem.bootstrap` takes
/// `{ _ in CollectorLogHandler(output) }`, or a logger is made with it directly. A logger's label is not written:
/// components say who they are in their metadata (`kind`, `name`).
package struct CollectorLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    fileprivate let output: LogOutput
    /// Whether lines are sent, too, where the configuration says so.
    fileprivate var isForwarded = true

    /// A handler that starts at the level of `output`.
    package init(_ output: LogOutput) {
        self.output = output
        logLevel = output.level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        guard let provided = metadataProvider?.get(), !provided.isEmpty else {
            output.write(event, metadata: metadata, isForwarded: isForwarded)
            return
        }
        output.write(event, metadata: metadata.merging(provided) { $1 }, isForwarded: isForwarded)
    }
}

extension Logger {
    /// The same logger, whose lines are written and not sent.
    var notForwarded: Logger {
        guard var handler = handler as? CollectorLogHandler else { return self }
        handler.isForwarded = false
        var quiet = self
        quiet.handler = handler
        return quiet
    }

    /// Has a copy of every line that is written handed on, from any thread; `take` must not block.
    func forward(to take: @escaping @Sendable (OwnLogRecord) -> Void) {
        (handler as? CollectorLogHandler)?.output.forward(to: take)
    }
}
