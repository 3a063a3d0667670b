internal import BatchProcessor
package import Configuration
internal import DebugExporter
internal import FileExporter
internal import FileStorage
internal import HealthCheck
internal import LoadBalancingExporter
internal import LokiExporter
internal import MemoryLimiter
internal import NopExporter
internal import OTLP
internal import OTLPExporter
internal import OTLPReceiver
internal import Pipeline
internal import PrometheusExporter
internal import PrometheusReceiver

/// A configuration that was read and checked whole: what the gateway will build.
package struct GatewayPlan: Sendable {
    enum Receiver: Sendable {
        case otlp(OTLPReceiverConfig)
        case prometheus(PrometheusReceiverConfig)
    }

    enum Processor: Sendable {
        case memoryLimiter(MemoryLimiterConfig)
        case batch(BatchConfig)
    }

    enum Exporter: Sendable {
        case otlpGRPC(OTLPExporterConfig)
        case otlpHTTP(OTLPHTTPConfig)
        case loadBalancing(LoadBalancingConfig, OTLPExporterConfig)
        case loki(LokiConfig)
        case debug(DebugConfig)
        case file(FileExporterConfig)
        case prometheus(PrometheusExporterConfig)
        case nop
    }

    enum Extension: Sendable {
        case healthCheck(HealthCheckConfig)
        case fileStorage(FileStorageConfig)
    }

    struct Pipeline: Sendable {
        let id: PipelineID
        let receivers: [ComponentID]
        let processors: [ComponentID]
        let exporters: [ComponentID]
    }

    private(set) var receivers: [ComponentID: Receiver] = [:]
    private(set) var processors: [ComponentID: Processor] = [:]
    private(set) var exporters: [ComponentID: Exporter] = [:]
    /// Those that `service::extensions` names, in its order.
    private(set) var extensions: [(id: ComponentID, config: Extension)] = []
    let pipelines: [Pipeline]
    /// `service::telemetry`.
    package let telemetry: TelemetryConfig

    /// The types that can be named, built or known from the Collector.
    package static let catalogue: ComponentCatalogue = {
        var catalogue = ComponentCatalogue()
        catalogue.add(.receiver, "otlp")
        catalogue.add(.receiver, "prometheus", signals: [.metrics])
        catalogue.add(.processor, "memory_limiter")
        catalogue.add(.processor, "batch")
        catalogue.add(.exporter, "otlp_grpc")
        catalogue.addAlias(.exporter, "otlp", of: "otlp_grpc")
        catalogue.add(.exporter, "otlp_http")
        catalogue.addAlias(.exporter, "otlphttp", of: "otlp_http")
        catalogue.add(.exporter, "loadbalancing")
        catalogue.addAlias(.exporter, "load_balancing", of: "loadbalancing")
        catalogue.add(.exporter, "loki", signals: [.logs])
        catalogue.add(.exporter, "debug")
        catalogue.addAlias(.exporter, "logging", of: "debug", deprecation: "debug")
        catalogue.add(.exporter, "file")
        catalogue.add(.exporter, "prometheus", signals: [.metrics])
        catalogue.add(.exporter, "nop")
        catalogue.add(.extension, "health_check")
        catalogue.add(.extension, "file_storage")
        catalogue.addUpstream()
        return catalogue
    }()

    /// Reads and checks a configuration, components in use or not. Problems go to `diagnostics`, all of them.
    /// - Returns: nil when there was an error.
    package static func load(
        sources: [ConfigSource], overrides: [String], diagnostics: Diagnostics
    ) -> (plan: GatewayPlan, config: GatewayConfig)? {
        guard
            let config = GatewayConfig.load(
                sources: sources, overrides: overrides, catalogue: catalogue, diagnostics: diagnostics)
        else { return nil }
        let plan = GatewayPlan(config)
        return diagnostics.hasErrors ? nil : (plan, config)
    }

    private init(_ config: GatewayConfig) {
        telemetry = config.telemetry
        pipelines = config.pipelines.map {
            Pipeline(id: $0.id, receivers: $0.receivers, processors: $0.processors, exporters: $0.exporters)
        }
        var extensions: [ComponentID: Extension] = [:]
        let components = config.receivers + config.processors + config.exporters + config.extensions
        for component in components {
            let section = component.section
            switch (component.kind, component.type) {
            case (.receiver, "otlp"): receivers[component.id] = .otlp(OTLPReceiverConfig(section))
            case (.receiver, "prometheus"):
                receivers[component.id] = .prometheus(PrometheusReceiverConfig(section))
            case (.processor, "memory_limiter"):
                processors[component.id] = .memoryLimiter(MemoryLimiterConfig(section))
            case (.processor, "batch"): processors[component.id] = .batch(BatchConfig(section))
            case (.exporter, "otlp_grpc"): exporters[component.id] = .otlpGRPC(OTLPExporterConfig(section))
            case (.exporter, "otlp_http"): exporters[component.id] = .otlpHTTP(OTLPHTTPConfig(section))
            case (.exporter, "loadbalancing"):
                exporters[component.id] = Self.loadBalancing(section)
            case (.exporter, "loki"): exporters[component.id] = .loki(LokiConfig(section))
            case (.exporter, "debug"):
                exporters[component.id] = .debug(
                    DebugConfig(section, isLogging: component.id.type == "logging"))
            case (.exporter, "file"): exporters[component.id] = .file(FileExporterConfig(section))
            case (.exporter, "prometheus"):
                exporters[component.id] = .prometheus(PrometheusExporterConfig(section))
            case (.exporter, "nop"):
                _ = NopConfig(section)
                exporters[component.id] = .nop
            case (.extension, "health_check"):
                extensions[component.id] = .healthCheck(HealthCheckConfig(section))
            case (.extension, "file_storage"):
                extensions[component.id] = .fileStorage(FileStorageConfig(section))
            default:
                preconditionFailure("\(component.kind) \(component.type) is in the catalogue and not built")
            }
        }
        self.extensions = config.serviceExtensions.compactMap { id in extensions[id].map { (id, $0) } }
        for component in config.exporters { checkReferences(of: component) }
    }

    /// The `sending_queue` of an exporter; nil for those that have none.
    func queue(of id: ComponentID) -> SendingQueueConfig? {
        switch exporters[id] {
        case .otlpGRPC(let config): config.sendingQueue
        case .otlpHTTP(let config): config.sendingQueue
        case .loadBalancing(_, let otlp): otlp.sendingQueue
        case .loki(let config): config.sendingQueue
        case .file(let config): config.sendingQueue
        case .debug, .prometheus, .nop, nil: nil
        }
    }

    private static func loadBalancing(_ section: ConfigSection) -> Exporter {
        var otlp = OTLPExporterConfig()
        let config = LoadBalancingConfig(section) { section in
            otlp = OTLPExporterConfig(section, endpoint: false)
            if otlp.sendingQueue.storage != nil {
                section.section("sending_queue")?.report(
                    "storage", error: "is not supported under loadbalancing: backends come and go",
                    help: "remove it; what a backend that goes has not delivered goes to the others")
            }
        }
        return .loadBalancing(config, otlp)
    }

    /// Checks that no pipeline of metrics goes by trace ids.
    private func checkRouting(of component: GatewayConfig.Component) {
        guard case .loadBalancing(let config, _) = exporters[component.id], config.routingKey == .traceID,
            pipelines.contains(where: { $0.id.signal == .metrics && $0.exporters.contains(component.id) })
        else { return }
        component.section.report(
            "routing_key",
            error: "\"traceID\" is none for metrics, and a pipeline of metrics uses the exporter",
            help: "write routing_key: service, or an exporter of its own for metrics")
    }

    /// Checks that what a queue names is there: `storage`, `on_permanent_failure`.
    private func checkReferences(of component: GatewayConfig.Component) {
        checkRouting(of: component)
        guard let queue = queue(of: component.id) else { return }
        if let storage = queue.storage, component.type != "loadbalancing" {
            let isStorage = extensions.contains { id, config in
                if case .fileStorage = config { id == storage } else { false }
            }
            if !isStorage {
                component.section.section("sending_queue")?.report(
                    "storage", error: "references extension \"\(storage)\", which is no started file_storage",
                    help: "add \"\(storage)\" to extensions and to service::extensions")
            }
        }
        var seen = [component.id]
        var next = queue.onPermanentFailure
        while let id = next {
            if exporters[id] == nil {
                component.section.report(
                    "on_permanent_failure",
                    error: "references exporter \"\(id)\" which is not configured")
                return
            }
            if seen.contains(id) {
                let circle = (seen + [id]).map { "\($0)" }.joined(separator: " → ")
                component.section.report("on_permanent_failure", error: "leads back: \(circle)")
                return
            }
            seen.append(id)
            next = self.queue(of: id)?.onPermanentFailure
        }
    }
}
