internal import NIOCore
internal import OTLP
package import Pipeline

extension PrometheusExporterConfig: ComponentConfig {}

extension ComponentType {
    /// `prometheus`, the exporter.
    package static let prometheusExporter = exporter(
        "prometheus", signals: [.metrics], PrometheusExporterConfig.self
    ) { try ServedPrometheusExporter($0, $1) }
}

/// The exporter and the server of its page.
private final class ServedPrometheusExporter: PipelineComponent {
    private let exporter: PrometheusExporter
    private let page: PageServer

    init(_ config: PrometheusExporterConfig, _ context: ComponentContext) throws {
        exporter = PrometheusExporter(
            config, name: context.name, counters: SendingQueue.Counters(context),
            eventLoop: context.eventLoop, ledger: context.ledger, registry: context.registry,
            logger: context.logger)
        page = try PageServer(
            config, name: context.name, group: context.gateway.group, exporter: exporter,
            ledger: context.ledger, logger: context.logger,
            refused: context.refusedClients(transport: "http"))
    }

    var input: PipelineInput { PipelineInput(exporter, admission: [exporter]) }

    func serve() async throws {
        _ = try await page.start()
    }

    /// Serves the page until everything that sends to it has stopped.
    func stop(until deadline: NIODeadline) async -> Remainder {
        await exporter.drain(until: deadline)
        await page.stop()
        return Remainder()
    }
}
