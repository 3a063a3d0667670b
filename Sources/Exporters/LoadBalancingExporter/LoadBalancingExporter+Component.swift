internal import Configuration
internal import HTTP
internal import Kubernetes
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
        var own: Set<String> = []
        let shared = ["timeout", "sending_queue", "retry_on_failure"]
        config = LoadBalancingConfig(section) { section in
            otlp = OTLPExporterConfig(section, endpoint: false)
            own = Set(shared.filter(section.has))
            Self.refuseStorage(section, otlp.sendingQueue)
        } readShared: {
            for key in shared where section.has(key) && own.contains(key) {
                section.report(key, warning: "has no effect beside that of protocol::otlp")
            }
            if own.contains("timeout") {
                section.accept("timeout")
            } else {
                otlp.timeout = section.duration("timeout", default: otlp.timeout)
            }
            if let keys = section.section("sending_queue") {
                var queue = SendingQueueConfig(keys)
                Self.refuseStorage(section, queue)
                queue.onPermanentFailure = otlp.sendingQueue.onPermanentFailure
                queue.dividesRefused = otlp.sendingQueue.dividesRefused
                if !own.contains("sending_queue") { otlp.sendingQueue = queue }
            }
            if section.has("retry_on_failure") {
                let retry = RetryConfig(of: section)
                if !own.contains("retry_on_failure") { otlp.retryOnFailure = retry }
            }
        }
        self.otlp = otlp
    }

    private static func refuseStorage(_ section: ConfigSection, _ queue: SendingQueueConfig) {
        guard queue.storage != nil else { return }
        section.section("sending_queue")?.report(
            "storage", error: "is not supported under loadbalancing: backends come and go",
            help: "remove it; what a backend that goes has not delivered goes to the others")
    }

    /// Without a storage: it is refused above.
    var references: [ComponentReference] {
        otlp.sendingQueue.references.filter { $0.target == .exporter }
            + (otlp.auth.map { [$0.reference(in: ["protocol", "otlp"])] } ?? [])
    }

    func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        switch config.routingKey {
        case .traceID where signals.contains(.metrics):
            section.report(
                "routing_key",
                error: "\"traceID\" is none for metrics, and a pipeline of metrics uses the exporter",
                help: "write routing_key: service, or an exporter of its own for metrics")
        case .metric, .stream:
            guard let other = signals.first(where: { $0 != .metrics }) else { return }
            section.report(
                "routing_key",
                error: "is one for metrics alone, and a pipeline of \(other.name) uses the exporter",
                help: "write routing_key: service, or an exporter of its own for \(other.name)")
        default: break
        }
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
            logger: context.logger, keepsGzip: otlp.keepsGzip,
            cluster: KubernetesAccount(variable: ConfigEnvironment.process.variable)
        ) { endpoint in
            let loop = context.gateway.group.next()
            var logger = context.logger
            logger[metadataKey: "endpoint"] = "\(endpoint)"
            let sender = OTLPGRPCSender(
                otlp.sending(to: endpoint), tls: tls, signal: context.signal,
                version: context.gateway.version, resolver: SystemResolver.shared, eventLoop: loop,
                logger: logger, auth: context.authenticator(otlp.auth),
                calls: CallMetrics(
                    of: context, isGRPC: true, path: context.signal.grpcPath, host: endpoint.host,
                    port: endpoint.port))
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
