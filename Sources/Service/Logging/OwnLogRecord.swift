internal import Logging
internal import Pipeline

/// A line of the gateway's own log, as a log record of OTLP.
struct OwnLogRecord: Sendable {
    let unixNanoseconds: Int64
    /// OTLP's number for the level.
    let severity: Int64
    let severityText: String
    let message: String
    let attributes: [(key: String, value: OwnValue)]

    /// - Parameter fields: of the line; those that hold fields of their own become text.
    init(unixNanoseconds: Int64, _ level: Logger.Level, _ message: String, _ fields: Logger.Metadata) {
        self.unixNanoseconds = unixNanoseconds
        severity =
            switch level {
            case .trace: 1
            case .debug: 5
            case .info: 9
            case .notice: 10
            case .warning: 13
            case .error: 17
            case .critical: 21
            }
        severityText = level.collectorName
        self.message = message
        attributes = fields.sorted { $0.key < $1.key }.map {
            (key: $0.key, value: .text($0.value.description))
        }
    }
}
