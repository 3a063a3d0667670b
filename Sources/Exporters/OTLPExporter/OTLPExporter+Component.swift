package import Configuration
internal import NIOCore
internal import OTLPClient
package import Pipeline

extension OTLPExporterConfig: ComponentConfig {
    package init(_ section: ConfigSection) { self.init(section, endpoint: true) }

    package var references: [ComponentReference] { sendingQueue.references }
}

extension OTLPHTTPConfig: ComponentConfig {
    package var references: [ComponentReference] { sendingQueue.references }
}

extension ComponentType {
    /// `otlp_grpc`, or `otlp`.
    package static let otlpGRPCExporter = exporter(
        "otlp_grpc", aliases: ["otlp"], stability: .stable, OTLPExporterConfig.self
    ) { config, context in
        let sender = try OTLPGRPCSender(
            config, signal: context.signal, version: context.gateway.version, eventLoop: context.eventLoop,
            logger: context.logger)
        return SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure, timeout: TimeAmount(config.timeout),
            sender: sender, maxRequestBytes: config.maxRequestBytes, keepsGzip: config.keepsGzip, context)
    }

    /// `otlp_http`, or `otlphttp`.
    package static let otlpHTTPExporter = exporter(
        "otlp_http", aliases: ["otlphttp"], stability: .stable, OTLPHTTPConfig.self
    ) { config, context in
        let sender = try OTLPHTTPSender(
            config, signal: context.signal, version: context.gateway.version, eventLoop: context.eventLoop,
            logger: context.logger)
        return SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure, timeout: TimeAmount(config.timeout),
            sender: sender, maxRequestBytes: config.maxRequestBytes, keepsGzip: config.keepsGzip, context)
    }
}
