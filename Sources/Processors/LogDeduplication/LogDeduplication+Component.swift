internal import OTLP
package import Pipeline

extension ComponentType {
    /// `log_dedup`.
    package static let logDeduplication = processor(
        "log_dedup", aliases: [.init("logdedup", deprecation: "write log_dedup instead")], signals: [.logs],
        LogDeduplicationConfig.self
    ) { config, context, next in
        let transform = LogDeduplication(config, context, next: next)
        return EditingProcessor(
            transform, context, next: next, dropReason: .merged, start: { transform.start() },
            stop: { await transform.stop(until: $0) })
    }
}
