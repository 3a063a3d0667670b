internal import AuditExporter
internal import Configuration
internal import HTTP
internal import HealthCheck
package import Logging
package import NIOCore
internal import NIOPosix
internal import Pipeline
import Synchronization

/// Why the gateway could not be made or started.
package struct GatewayError: Error, CustomStringConvertible {
    package let description: String
}

/// What was left when the gateway stopped.
package struct Leftover: Sendable, Equatable {
    /// Items that no destination took before the deadline, by component.
    package var items: [String: Int] = [:]
    /// Client connections that were cut.
    package var connections = 0
}

/// The pipelines and extensions of one configuration, running. `start` and `stop` once each, from any thread.
package final class Gateway: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let health: HealthState
    private let graph: Graph
    /// In the order in which they start: before the pipelines; they stop after them.
    private let extensions: [any Component]
    private let startedExtensions = Mutex(0)
    /// Nil unless `service::audit` is configured.
    private let audit: OwnAudit?

    /// Makes everything; nothing listens yet.
    /// - Parameters:
    ///   - probes: where `/health/live` and `/health/ready` are served; nil for nowhere.
    ///   - loopCount: event loops; one a core by default.
    /// - Throws: a component cannot be made, or the process's memory cannot be measured.
    package init(
        _ plan: GatewayPlan, version: String, probes: Probes?, loops loopCount: Int = System.coreCount,
        logger: Logger
    ) throws(GatewayError) {
        ResidentSize.giveBackLargeBlocksAtOnce()
        let isDetailed = plan.telemetry.metrics.level == .detailed
        let registry = MetricRegistry()
        group =
            isDetailed
            ? MultiThreadedEventLoopGroup(numberOfThreads: loopCount, metricsDelegate: LoopWatch(registry))
            : MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
        var context = GatewayContext(
            version: version, group: group, registry: registry, residentSize: try Self.residentSize(),
            isDetailed: isDetailed, logger: logger)
        for problem in ProxyEnvironment.process.problems {
            logger.warning(
                "A proxy of the environment is not used; its destinations are asked directly.",
                metadata: ["error": "\(problem)"])
        }
        health = context.health
        context.overview = plan.overview
        let telemetry = try OwnTelemetry(
            plan.telemetry, &context, wantsTraceLog: plan.extensions.contains { $0.type == "zpages" })
        var configured: [ComponentID: any Component] = [:]
        for id in plan.extensions {
            guard case .extension(let make) = plan.part(.extension, id).setup.make else { continue }
            let node = NodeID(kind: .extension, id: id)
            configured[id] = try GraphBuilder.naming(node) {
                try make(ComponentContext(id: id, kind: .extension, gateway: context))
            }
        }
        extensions =
            telemetry.senders + telemetry.pages(probes, context)
            + plan.extensions.compactMap { configured[$0] }
        graph = Graph(try GraphBuilder.nodes(of: plan, context, extensions: configured))
        let exporter = graph.nodes.first { $0.id.kind == .exporter && $0.id.id == plan.auditExporter }?
            .component
        audit = (exporter as? AuditExporter).map {
            OwnAudit(
                $0, version: version, configuration: plan.configuration, refused: context.refusedClients)
        }
        PendingItems.register(graph.nodes, in: context.registry)
    }

    private static func residentSize() throws(GatewayError) -> ResidentSize {
        do {
            return try ResidentSize()
        } catch {
            throw GatewayError(description: "\(error)")
        }
    }

    /// Starts extensions, then the pipelines, receivers last.
    /// - Throws: a component cannot start. Call `stop` then, too.
    package func start() async throws(GatewayError) {
        audit?.started()
        do {
            for component in extensions {
                startedExtensions.withLock { $0 += 1 }
                try await component.start()
            }
            try await graph.start()
        } catch {
            throw GatewayError(description: "\(error)")
        }
        health.isListening = true
    }

    /// Says in the audit log that a changed configuration was asked for and not taken.
    /// - Parameter plan: of what is in the files now; nil when that is no configuration.
    package func refuseReload(_ plan: GatewayPlan?) { audit?.reloadRefused(plan?.configuration) }

    /// Stops in the order of the data: receivers, processors, exporters, extensions. What has not left by `deadline`
    /// is given up, counted, and returned.
    package func stop(until deadline: NIODeadline) async -> Leftover {
        health.isDraining = true
        audit?.stopping()
        var leftover = Leftover()
        for (node, remainder) in await graph.stop(until: deadline) {
            if remainder.items > 0 { leftover.items["\(node.id)", default: 0] += remainder.items }
            leftover.connections += remainder.connections
        }
        for component in extensions.prefix(startedExtensions.withLock { $0 }).reversed() {
            _ = await component.stop(until: deadline)
        }
        // Fails only when it was shut down before.
        try? await group.shutdownGracefully()
        return leftover
    }
}
