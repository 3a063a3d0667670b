internal import BatchProcessor
internal import Configuration
internal import DebugExporter
internal import FileStorage
internal import HTTP
internal import HealthCheck
package import Logging
internal import MemoryLimiter
package import NIOCore
internal import NIOPosix
internal import NopExporter
internal import OTLP
internal import OTLPExporter
internal import OTLPReceiver
internal import Pipeline
internal import PrometheusExporter
internal import PrometheusReceiver

/// Why the gateway could not start.
package struct GatewayError: Error, CustomStringConvertible {
    package let description: String
}

/// What was left when the gateway stopped.
package struct Leftover: Sendable, Equatable {
    /// Items that no destination took before the deadline, by exporter.
    package var items: [String: Int] = [:]
    /// Client connections that were cut.
    package var connections = 0
}

/// The pipelines of one configuration, running. `start` and `stop` once each, from any thread.
package final class Gateway: Sendable {
    /// Addresses that the system chose or the configuration gave, for tests and for the log.
    package struct Addresses: Sendable {
        /// gRPC and HTTP of each `otlp` receiver, by id.
        package var otlp: [String: (grpc: SocketAddress?, http: SocketAddress?)] = [:]
        /// The page of the gateway's own metrics.
        package var metrics: SocketAddress?
        /// The page of each `prometheus` exporter, by id.
        package var pages: [String: SocketAddress] = [:]
        /// `/health/live` and `/health/ready`.
        package var health: SocketAddress?
    }

    private let group: MultiThreadedEventLoopGroup
    private let plan: GatewayPlan
    private let health: HealthState
    private let logger: Logger
    private let parts: PipelineParts
    private let servers: [(server: AdminServer, isMetrics: Bool, isOptional: Bool)]
    private let healthChecks: [HealthCheck]

    /// Builds everything; nothing listens yet.
    /// - Parameters:
    ///   - probes: where `/health/live` and `/health/ready` are served; nil for nowhere.
    ///   - loopCount: event loops; one a core by default.
    /// - Throws: the resident size or the size of the memory cannot be read.
    package init(
        _ plan: GatewayPlan, version: String, probes: Probes?, loops loopCount: Int = System.coreCount,
        logger: Logger
    ) throws(GatewayError) {
        self.plan = plan
        self.logger = logger
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
        group = loops
        let health = HealthState()
        let registry = MetricRegistry()
        ResidentSize.giveBackLargeBlocksAtOnce()
        let residentSize = try Self.residentSize()
        self.health = health
        ProcessMetrics.register(in: registry, residentSize: residentSize)
        ProcessMetrics.registerTargetInfo(
            in: registry, serviceName: "sluice", serviceVersion: version, instanceID: Self.instanceID(),
            resource: plan.telemetry.resource.map { ($0.name, $0.value) })
        parts = try PipelineParts(
            plan, version: version, group: loops, registry: registry, residentSize: residentSize,
            health: health,
            logger: logger)
        let balances = parts.balances
        var servers: [(server: AdminServer, isMetrics: Bool, isOptional: Bool)] = []
        if let endpoint = plan.telemetry.metrics.endpoint, plan.telemetry.metrics.level != .none {
            let page = MetricsPage(registry: registry, balances: balances)
            let server = AdminServer(
                group: loops, host: endpoint.host, port: endpoint.port,
                key: "service::telemetry::metrics::readers",
                routes: ["/metrics": { _ in page.response() }])
            servers.append((server, true, false))
        }
        if let probes {
            let server = AdminServer(
                group: loops, host: probes.host, port: probes.port, key: "--health-endpoint",
                routes: HealthCheck.kubernetesRoutes(health))
            servers.append((server, false, !probes.isRequired))
        }
        self.servers = servers
        healthChecks = plan.extensions.compactMap { id, config in
            switch config {
            case .fileStorage: nil
            case .healthCheck(let config):
                HealthCheck(
                    group: loops, host: config.endpoint.host, port: config.endpoint.port, path: config.path,
                    healthyBody: config.responseBody?.healthy ?? "",
                    unhealthyBody: config.responseBody?.unhealthy ?? "",
                    key: "extensions::\(id)::endpoint", state: health)
            }
        }
    }

    /// A random UUID (RFC 9562, version 4).
    private static func instanceID() -> String {
        let (high, low) = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))
        let digits = hex(high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000) + hex(low & 0x3FFF_FFFF_FFFF_FFFF | 1 << 63)
        let cuts = [0, 8, 12, 16, 20, 32]
        let parts = zip(cuts, cuts.dropFirst()).map { digits.dropFirst($0).prefix($1 - $0) }
        return parts.joined(separator: "-")
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func residentSize() throws(GatewayError) -> ResidentSize {
        do {
            return try ResidentSize()
        } catch {
            throw GatewayError(description: "\(error)")
        }
    }

    /// Starts everything, receivers last.
    /// - Throws: an address cannot be had. Call `stop` then, too.
    package func start() async throws(GatewayError) -> Addresses {
        var addresses = Addresses()
        do {
            for check in healthChecks { _ = try await check.start() }
            for entry in servers {
                let address = try await start(entry.server, isOptional: entry.isOptional)
                if entry.isMetrics { addresses.metrics = address } else { addresses.health = address }
            }
            // Who gets what others cannot deliver is open before they begin.
            for (name, queue) in parts.queues.reversed() {
                let found = try await queue.start().get()
                guard found > 0 else { continue }
                logger.info(
                    "Sending what an earlier process left in the store.",
                    metadata: ["exporter": "\(name)", "batches": "\(found)"])
            }
            await reportStrays()
            for (name, page) in parts.pages { addresses.pages[name] = try await page.start() }
            for limiter in parts.limiters { limiter.start(on: group.next()) }
            for (name, receiver) in parts.receivers {
                let bound = try await receiver.start()
                addresses.otlp[name] = bound
                for (transport, address) in [("GRPC", bound.grpc), ("HTTP", bound.http)] {
                    guard let address else { continue }
                    logger.info(
                        "Starting \(transport) server",
                        metadata: [
                            "receiver": "\(name)",
                            "endpoint": "\(address.ipAddress ?? ""):\(address.port ?? 0)",
                        ])
                }
            }
            for scraper in parts.scrapers { try scraper.start() }
        } catch {
            throw GatewayError(description: "\(error)")
        }
        health.isListening = true
        return addresses
    }

    /// Says what the stores hold of exporters that are gone or have another name.
    private func reportStrays() async {
        for case (_, .fileStorage(let config)) in plan.extensions {
            let used = parts.storeFolders
            // Fails only when the pool is shut down, which is never.
            let strays = try? await NIOThreadPool.singleton.runIfActive {
                StrayQueue.find(in: config.directory, except: used)
            }
            for stray in strays ?? [] {
                logger.warning(
                    "The store holds data that no exporter sends: its exporter is gone, has another name, or no storage.",
                    metadata: [
                        "folder": "\(stray.folder)", "batches": "\(stray.batches)", "items": "\(stray.items)",
                    ])
            }
        }
    }

    private func start(_ server: AdminServer, isOptional: Bool) async throws -> SocketAddress? {
        do {
            return try await server.start()
        } catch {
            guard isOptional else { throw error }
            logger.warning(
                "No health page for Kubernetes.",
                metadata: ["error": "\(error)", "remedy": "give --health-endpoint another port, or \"\""])
            return nil
        }
    }

    private func drain(
        _ queues: [(String, any ExporterQueue)], until deadline: NIODeadline
    ) async -> [(String, Int)] {
        await withTaskGroup(of: (String, Int).self) { group in
            for (name, queue) in queues { group.addTask { (name, await queue.drain(until: deadline)) } }
            return await group.reduce(into: []) { all, one in if one.1 > 0 { all.append(one) } }
        }
    }

    /// Stops in the order of the data: receivers, processors, exporters, extensions. What has not left by `deadline`
    /// is given up, counted, and returned.
    package func stop(until deadline: NIODeadline) async -> Leftover {
        health.isDraining = true
        var leftover = Leftover()
        // The later stages need their share of the time even when a client holds on to the end.
        let now = NIODeadline.now()
        let receiversDeadline = now + .nanoseconds((deadline - now).nanoseconds / 3)
        for (_, receiver) in parts.receivers {
            leftover.connections += await receiver.stop(until: receiversDeadline)
        }
        for scraper in parts.scrapers { await scraper.stop() }
        for limiter in parts.limiters { limiter.stop() }
        for batcher in parts.batchers { await batcher.drain(until: deadline - .milliseconds(100)) }
        // All at once, but for those that get what others cannot deliver.
        let getters = Set(parts.queues.compactMap { $0.1.onPermanentFailure.map { "\($0)" } })
        let givers = parts.queues.filter { !getters.contains($0.0) }
        for (name, items) in await drain(givers, until: deadline - .milliseconds(getters.isEmpty ? 0 : 100)) {
            leftover.items[name, default: 0] += items
        }
        for queue in parts.queues where getters.contains(queue.0) {
            for (name, items) in await drain([queue], until: deadline) {
                leftover.items[name, default: 0] += items
            }
        }
        for (_, page) in parts.pages { await page.stop() }
        for (server, _, _) in servers { await server.stop() }
        for check in healthChecks { await check.stop() }
        // Fails only when it was shut down before.
        try? await group.shutdownGracefully()
        return leftover
    }
}

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
