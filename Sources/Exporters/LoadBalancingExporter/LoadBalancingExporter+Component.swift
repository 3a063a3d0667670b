internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import OTLP
internal import OTLPClient
package import Pipeline

extension ComponentType {
    /// `loadbalancing`, or `load_balancing`: every backend is what an `otlp_grpc` exporter has as its only destination.
    package static let loadBalancingExporter = exporter(
        "loadbalancing", aliases: ["load_balancing"], LoadBalancingSetup.self
    ) { setup, context in
        do throws(TLSProblem) {
            return try LoadBalancer(setup, context)
        } catch {
            throw ComponentError("protocol::otlp::\(error)")
        }
    }
}

/// The keys of the exporter and, below `protocol::otlp`, those of its backends.
private struct LoadBalancingSetup: ComponentConfig {
    let config: LoadBalancingConfig
    let otlp: OTLPExporterConfig

    init(_ section: ConfigSection) {
        var otlp = OTLPExporterConfig()
        config = LoadBalancingConfig(section) { section in
            otlp = OTLPExporterConfig(section, endpoint: false)
            if otlp.sendingQueue.storage != nil {
                section.section("sending_queue")?.report(
                    "storage", error: "is not supported under loadbalancing: backends come and go",
                    help: "remove it; what a backend that goes has not delivered goes to the others")
            }
        }
        self.otlp = otlp
    }

    /// Without a storage: it is refused above.
    var references: [ComponentReference] {
        otlp.sendingQueue.references.filter { $0.target == .exporter }
    }

    func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        guard config.routingKey == .traceID, signals.contains(.metrics) else { return }
        section.report(
            "routing_key",
            error: "\"traceID\" is none for metrics, and a pipeline of metrics uses the exporter",
            help: "write routing_key: service, or an exporter of its own for metrics")
    }
}

extension LoadBalancer {
    fileprivate convenience init(_ setup: LoadBalancingSetup, _ context: ComponentContext) throws(TLSProblem)
    {
        let otlp = setup.otlp
        // Once for all backends: reading certificates blocks.
        let tls = otlp.usesTLS ? try ClientTLS(otlp.tls, protocols: ["h2"], logger: context.logger) : nil
        let counters = SendingQueue.Counters(context)
        let parts = Parts(
            name: context.name, signal: context.signal, queue: otlp.sendingQueue, counters: counters,
            resolver: SystemResolver.shared, eventLoop: context.eventLoop, registry: context.registry,
            logger: context.logger, keepsGzip: otlp.keepsGzip
        ) { endpoint in
            let loop = context.gateway.group.next()
            var logger = context.logger
            logger[metadataKey: "endpoint"] = "\(endpoint)"
            let sender = OTLPGRPCSender(
                otlp.sending(to: endpoint), tls: tls, signal: context.signal,
                version: context.gateway.version, resolver: SystemResolver.shared, eventLoop: loop,
                logger: logger)
            return SendingQueue(
                name: "\(context.name) (\(endpoint))", config: otlp.sendingQueue,
                retry: otlp.retryOnFailure, timeout: TimeAmount(otlp.timeout), sender: sender,
                maxRequestBytes: otlp.maxRequestBytes == 0 ? .max : otlp.maxRequestBytes,
                counters: counters, eventLoop: loop, logger: logger)
        }
        self.init(setup.config, parts: parts)
        if let deadLetter = SendingQueue.DeadLetter(otlp.sendingQueue, context) { setDeadLetter(deadLetter) }
    }
}
