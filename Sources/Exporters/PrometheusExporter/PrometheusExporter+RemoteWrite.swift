internal import OTLP
package import Pipeline

extension RemoteWriteConfig: ComponentConfig {
    package var references: [ComponentReference] {
        queue.references + (auth.map { [$0.reference(in: hasClientSection ? ["http"] : [])] } ?? [])
    }
}

extension ComponentType {
    /// `prometheusremotewrite`, the exporter.
    package static let prometheusRemoteWriteExporter = exporter(
        "prometheusremotewrite", aliases: ["prometheus_remote_write"], signals: [.metrics],
        RemoteWriteConfig.self
    ) { config, context in
        let sender = try RemoteWriteSender(config, context)
        // A batch is several requests, each with the timeout of its own.
        return SendingQueue(config.queue, retry: config.retryOnFailure, sender: sender, context)
    }
}
