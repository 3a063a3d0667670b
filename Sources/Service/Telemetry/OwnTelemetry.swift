internal import Configuration
internal import HTTP
internal import HealthCheck
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What the gateway says of itself: `service::telemetry`, and the pages for probes.
///
/// `init` comes before any component is made, `pages` after.
struct OwnTelemetry {
    /// What starts first and stops last: what the others say while they stop is sent, too.
    private(set) var senders: [any Component] = []
    private let config: TelemetryConfig
    private let resource: OwnResource

    /// Registers the metrics of the process; has lines and spans sent, and the context make spans, if that is configured.
    /// - Parameter wantsTraceLog: whether there is a page with the last spans.
    /// - Throws: certificates cannot be used.
    init(_ config: TelemetryConfig, _ context: inout GatewayContext, wantsTraceLog: Bool) throws(GatewayError)
    {
        self.config = config
        resource = OwnResource(config, version: context.version)
        context.resource = resource.attributes
        let registry = context.registry
        ProcessMetrics.register(in: registry, residentSize: context.residentSize)
        ProcessMetrics.registerTargetInfo(in: registry, attributes: resource.attributes)
        if config.metrics.level == .basic { registry.hide(Self.aboveBasic) }
        registry.hide(config.metrics.dropped)
        let ledger = context.ledger
        registry.observeGauge(
            "sluice_memory_ledger_bytes", help: "Bytes of request bodies admitted and not yet released."
        ) { Double(ledger.bytes) }
        let request = OwnRequest(resource, version: context.version)
        let quiet = context.logger.notForwarded
        try addMetrics(request, context, quiet)
        let lines = try add(config.logs.processors, .logs, "logs::processors", request, context, quiet)
        if !lines.isEmpty {
            context.logger.forward { record in
                let item = OwnRequest.record(record)
                for sender in lines { sender.add(item) }
            }
        }
        let spans = try add(config.traces.processors, .traces, "traces::processors", request, context, quiet)
        addTracer(spans, &context, wantsTraceLog: wantsTraceLog)
    }

    /// What is counted from `level: normal` on; what `detailed` adds is not made before.
    private static let aboveBasic = [
        "otelcol_processor_batch_*", "otelcol_processor_memory_limiter_*",
        "otelcol_processor_internal_duration",
    ]

    private mutating func addMetrics(
        _ request: OwnRequest, _ context: GatewayContext, _ quiet: Logger
    ) throws(GatewayError) {
        for (index, reader) in config.metrics.periodic.enumerated() {
            let exporter = try exporter(reader.exporter, .metrics, "metrics::readers", index, context, quiet)
            senders.append(
                OwnMetrics(
                    reader, exporter, request, context.registry, eventLoop: context.group.next()))
        }
    }

    private mutating func add(
        _ processors: [TelemetryProcessorConfig], _ signal: Signal, _ key: String, _ request: OwnRequest,
        _ context: GatewayContext, _ quiet: Logger
    ) throws(GatewayError) -> [OwnRecords] {
        var made: [OwnRecords] = []
        for (index, processor) in processors.enumerated() {
            let exporter = try exporter(processor.exporter, signal, key, index, context, quiet)
            let overflow = context.registry.counter(
                "sluice_telemetry_overflow_items",
                help: "Items about the gateway itself for which max_queue_size left no room.",
                labels: ["data_type": signal.name])
            made.append(
                OwnRecords(
                    processor, exporter, request, eventLoop: context.group.next(), overflow: overflow))
        }
        senders += made
        return made
    }

    private func exporter(
        _ config: TelemetryExporterConfig, _ signal: Signal, _ key: String, _ index: Int,
        _ context: GatewayContext, _ quiet: Logger
    ) throws(GatewayError) -> OwnExporter {
        do {
            return try OwnExporter(
                config, signal, name: "\(signal.name)/\(index)", instance: resource.instanceID, context,
                quiet: quiet)
        } catch {
            throw GatewayError(description: "service::telemetry::\(key)::\(index): \(error)")
        }
    }

    /// For a page alone, a hundredth of the spans is enough.
    private func addTracer(_ spans: [OwnRecords], _ context: inout GatewayContext, wantsTraceLog: Bool) {
        let log = wantsTraceLog ? TraceLog() : nil
        context.traceLog = log
        guard log != nil || !spans.isEmpty else { return }
        let traces = config.traces
        context.tracer = Tracer(
            ratio: spans.isEmpty ? 0.01 : traces.sampler.ratio,
            followsParent: traces.sampler.followsParent, continuesTraces: traces.continuesTraces,
            always: spans.isEmpty ? 1000 : 0, instance: resource.instanceID
        ) { span in
            log?.add(span)
            guard !spans.isEmpty else { return }
            let item = OwnRequest.span(span)
            for sender in spans { sender.add(item) }
        }
    }

    /// The pages that are to be served.
    func pages(_ probes: Probes?, _ context: GatewayContext) -> [any Component] {
        var pages: [any Component] = []
        if let endpoint = config.metrics.endpoint, config.metrics.level != .none {
            let registry = context.registry
            var style = MetricPageStyle()
            style.hasTypeSuffix = !config.metrics.withoutTypeSuffix
            style.hasUnits = !config.metrics.withoutUnits
            style.constantLabels = resource.constantLabels(config.metrics.resourceLabels).map {
                (name: ProcessMetrics.labelName($0.name), value: $0.value)
            }
            let server = AdminServer(
                group: context.group, host: endpoint.host, port: endpoint.port,
                key: "service::telemetry::metrics::readers",
                routes: [
                    "/metrics": { [style] _ in
                        AdminResponse(contentType: MetricPage.contentType, body: registry.render(style))
                    }
                ])
            pages.append(OwnPage(server, context))
        }
        if let probes {
            let server = AdminServer(
                group: context.group, host: probes.host, port: probes.port, key: "--health-endpoint",
                routes: HealthCheck.kubernetesRoutes(context.health))
            pages.append(OwnPage(server, isOptional: !probes.isRequired, context))
        }
        return pages
    }
}

/// A server of own pages as a component.
private final class OwnPage: Component {
    private let server: AdminServer
    /// Whether the gateway runs without it when its port is taken.
    private let isOptional: Bool
    private let context: GatewayContext

    init(_ server: AdminServer, isOptional: Bool = false, _ context: GatewayContext) {
        self.server = server
        self.isOptional = isOptional
        self.context = context
    }

    func start() async throws {
        do {
            _ = try await server.start()
        } catch {
            guard isOptional else { throw error }
            context.logger.warning(
                "No health page for Kubernetes.",
                metadata: ["error": "\(error)", "remedy": "give --health-endpoint another port, or \"\""])
        }
    }

    func stop(until deadline: NIODeadline) async -> Remainder {
        await server.stop()
        return Remainder()
    }
}
