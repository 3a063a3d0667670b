internal import Configuration
internal import HTTP
internal import HealthCheck
internal import Logging
internal import NIOCore
internal import Pipeline

/// Where the probes of Kubernetes are answered.
package struct Probes: Sendable, Equatable {
    /// Interface and port.
    package var host: String
    package var port: Int
    /// Whether the gateway fails to start when the port is taken.
    package var isRequired: Bool

    /// Describes the place.
    package init(host: String, port: Int, isRequired: Bool) {
        self.host = host
        self.port = port
        self.isRequired = isRequired
    }
}

/// What the gateway says of itself: `service::telemetry::metrics` and the pages for probes.
enum OwnTelemetry {
    /// Registers the metrics of the process.
    static func register(_ config: TelemetryConfig, _ context: GatewayContext) {
        let registry = context.registry
        ProcessMetrics.register(in: registry, residentSize: context.residentSize)
        ProcessMetrics.registerTargetInfo(
            in: registry, serviceName: "sluice", serviceVersion: context.version, instanceID: randomUUID(),
            resource: config.resource.map { ($0.name, $0.value) })
        let ledger = context.ledger
        registry.observeGauge(
            "sluice_memory_ledger_bytes", help: "Bytes of request bodies admitted and not yet released."
        ) { Double(ledger.bytes) }
    }

    /// The pages that are to be served.
    static func pages(
        _ config: TelemetryConfig, _ probes: Probes?, _ context: GatewayContext
    ) -> [any Component] {
        var pages: [any Component] = []
        if let endpoint = config.metrics.endpoint, config.metrics.level != .none {
            let registry = context.registry
            let server = AdminServer(
                group: context.group, host: endpoint.host, port: endpoint.port,
                key: "service::telemetry::metrics::readers",
                routes: [
                    "/metrics": { _ in
                        AdminResponse(contentType: MetricPage.contentType, body: registry.render())
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

    /// RFC 9562, version 4.
    private static func randomUUID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0 ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            let digits = String(byte, radix: 16)
            text += digits.count == 1 ? "0" + digits : digits
        }
        return text
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
