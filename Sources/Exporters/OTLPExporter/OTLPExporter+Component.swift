package import Configuration
internal import HTTP
internal import NIOCore
internal import OTLP
internal import OTLPClient
package import Pipeline

extension OTLPExporterConfig: ComponentConfig {
    package init(_ section: ConfigSection) { self.init(section, endpoint: true) }

    package var references: [ComponentReference] {
        sendingQueue.references + (auth.map { [$0.reference()] } ?? [])
    }
}

extension OTLPHTTPConfig: ComponentConfig {
    package var references: [ComponentReference] {
        sendingQueue.references + (auth.map { [$0.reference()] } ?? [])
    }
}

extension ComponentType {
    /// `otlp_grpc`, or `otlp`.
    package static let otlpGRPCExporter = exporter(
        "otlp_grpc", aliases: ["otlp"], stability: .stable, OTLPExporterConfig.self
    ) { config, context in
        let sender = try OTLPGRPCSender(
            config, signal: context.signal, version: context.gateway.version, eventLoop: context.eventLoop,
            logger: context.logger, auth: context.authenticator(config.auth),
            calls: CallMetrics(
                of: context, isGRPC: true, path: context.signal.grpcPath, host: config.endpoint.host,
                port: config.endpoint.port))
        return SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure, timeout: TimeAmount(config.timeout),
            sender: sender, maxRequestBytes: config.maxRequestBytes, keepsGzip: config.keepsGzip, context)
    }

    /// `otlp_http`, or `otlphttp`.
    package static let otlpHTTPExporter = exporter(
        "otlp_http", aliases: ["otlphttp"], stability: .stable, OTLPHTTPConfig.self
    ) { config, context in
        let calls = config.urls[context.signal].flatMap { url in
            CallMetrics(
                of: context, isGRPC: false, path: url.target, host: url.origin.host, port: url.origin.port)
        }
        let sender = try OTLPHTTPSender(
            config, signal: context.signal, version: context.gateway.version, eventLoop: context.eventLoop,
            logger: context.logger, auth: context.authenticator(config.auth), calls: calls)
        return SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure, timeout: TimeAmount(config.timeout),
            sender: sender, maxRequestBytes: config.maxRequestBytes, keepsGzip: config.keepsGzip, context)
    }
}
