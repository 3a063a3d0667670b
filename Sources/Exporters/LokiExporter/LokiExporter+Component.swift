internal import OTLP
package import Pipeline

extension LokiConfig: ComponentConfig {
    package var references: [ComponentReference] {
        sendingQueue.references + (auth.map { [$0.reference()] } ?? [])
    }
}

extension ComponentType {
    /// `loki`.
    package static let lokiExporter = exporter("loki", signals: [.logs], LokiConfig.self) {
        config, context in
        let sender = try LokiSender(
            config, name: context.name, version: context.gateway.version, registry: context.registry,
            eventLoop: context.eventLoop, auth: context.authenticator(config.auth), logger: context.logger)
        // A batch is several pushes, each with the timeout of its own.
        return SendingQueue(config.sendingQueue, retry: config.retryOnFailure, sender: sender, context)
    }
}
