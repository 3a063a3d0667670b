internal import Configuration
internal import HTTP
internal import LoadBalancingExporter
internal import Logging
internal import NIOCore
internal import OTLP
internal import OTLPExporter
internal import Pipeline

extension PipelineParts {
    /// A `loadbalancing` exporter, whose backends are what an `otlp_grpc` exporter has as its only destination.
    static func loadBalancer(
        _ config: LoadBalancingConfig, _ otlp: OTLPExporterConfig, _ key: ExporterKey, _ version: String,
        _ eventLoop: any EventLoop, _ group: any EventLoopGroup, _ registry: MetricRegistry, _ logger: Logger
    ) throws(GatewayError) -> LoadBalancer {
        let tls: ClientTLS?
        do throws(TLSProblem) {
            // Once for all backends: reading certificates blocks.
            tls = otlp.usesTLS ? try ClientTLS(otlp.tls, protocols: ["h2"], logger: logger) : nil
        } catch {
            throw GatewayError(description: "exporters::\(key.id)::protocol::otlp::\(error)")
        }
        let counters = SendingQueue.Counters(registry, exporter: "\(key.id)", signal: key.signal)
        let parts = LoadBalancer.Parts(
            name: "\(key.id)", signal: key.signal, queue: otlp.sendingQueue, counters: counters,
            resolver: SystemResolver.shared, eventLoop: eventLoop, registry: registry, logger: logger
        ) { endpoint in
            let loop = group.next()
            var logger = logger
            logger[metadataKey: "endpoint"] = "\(endpoint)"
            let sender = OTLPGRPCSender(
                otlp.sending(to: endpoint), tls: tls, signal: key.signal, version: version,
                resolver: SystemResolver.shared, eventLoop: loop, logger: logger)
            return SendingQueue(
                name: "\(key.id) (\(endpoint))", config: otlp.sendingQueue, retry: otlp.retryOnFailure,
                timeout: TimeAmount(otlp.timeout), sender: sender,
                maxRequestBytes: otlp.maxRequestBytes == 0 ? .max : otlp.maxRequestBytes,
                counters: counters, eventLoop: loop, logger: logger)
        }
        return LoadBalancer(config, parts: parts)
    }
}
