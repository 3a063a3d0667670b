internal import Configuration
internal import HTTP
package import Logging
package import NIOCore
package import Pipeline
internal import RegularExpression
internal import Synchronization

/// Why a receiver could not start.
package struct PrometheusReceiverError: Error, CustomStringConvertible {
    package let description: String
}

/// Scrapes targets as Prometheus does and hands their series to the pipelines as OTLP (`prometheus`).
///
/// A target lives on one event loop: its timer, its connection, its series. Pages are parsed straight from their bytes,
/// and written straight as OTLP bytes; a series that was there before costs a look-up. `start` and `stop` from any
/// thread, once each.
package final class PrometheusReceiver: Sendable {
    /// What the receiver is made of.
    package struct Parts: Sendable {
        /// The receiver's id, for labels and messages.
        package var name: String
        /// The gateway's version, for requests and scopes.
        package var version: String
        /// Where metrics go.
        package var entrance: Entrance
        /// Charged for what is handed on.
        package var ledger: MemoryLedger
        /// Gets the receiver's counters.
        package var registry: MetricRegistry
        /// For targets' troubles.
        package var logger: Logger

        /// Describes the parts.
        package init(
            name: String, version: String, entrance: Entrance, ledger: MemoryLedger, registry: MetricRegistry,
            logger: Logger
        ) {
            self.name = name
            self.version = version
            self.entrance = entrance
            self.ledger = ledger
            self.registry = registry
            self.logger = logger
        }
    }

    private let config: PrometheusReceiverConfig
    private let group: any EventLoopGroup
    private let parts: Parts
    private let counters: ScrapeCounters
    private let jobs = Mutex<[(ScrapeJob, any EventLoop)]>([])

    /// - Parameter group: the loops that the targets are spread over.
    package init(_ config: PrometheusReceiverConfig, parts: Parts, group: any EventLoopGroup) {
        self.config = config
        self.parts = parts
        self.group = group
        counters = ScrapeCounters(registry: parts.registry, receiver: parts.name)
    }

    /// Begins to look for targets and to scrape them. Reads certificates; blocks for that.
    /// - Throws: a certificate cannot be used, or there is no cluster to look for pods in.
    package func start() throws(PrometheusReceiverError) {
        let tools = group.makeIterator().map { loop in
            ScrapeTools(eventLoop: loop, ledger: parts.ledger, version: parts.version)
        }
        for config in config.jobs {
            let clusters = try clusters(config)
            let files = config.fileDiscovery
            let groups = config.staticGroups
            let logger = parts.logger
            let job = ScrapeJob(
                ScrapeJobParts(
                    config: config, rules: SeriesRules(config), entrance: parts.entrance, counters: counters,
                    tls: try tls(config), userAgent: "sluice/\(parts.version)", logger: logger),
                eventLoop: group.next(), tools: tools
            ) { eventLoop in
                var discoveries: [any Discovery] = []
                if !groups.isEmpty { discoveries.append(StaticDiscovery(groups)) }
                discoveries += files.map { FileDiscovery($0, eventLoop: eventLoop, logger: logger) }
                discoveries += clusters.flatMap { $0.discoveries(eventLoop: eventLoop, logger: logger) }
                return discoveries
            }
            let eventLoop = job.eventLoop
            jobs.withLock { $0.append((job, eventLoop)) }
            eventLoop.execute { job.start() }
        }
    }

    /// Ends all scrapes; one that is under way is given up.
    package func stop() async {
        let jobs = jobs.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
        for (job, eventLoop) in jobs {
            // Fails only when the loop is shut down, and then nothing runs there.
            try? await eventLoop.submit { job.stop() }.get()
        }
        // The targets were told to stop on their own loops; what they still hand on comes before this returns.
        for loop in group.makeIterator() { try? await loop.submit {}.get() }
    }

    /// TLS of a job's targets; nil when nothing asks for it.
    private func tls(_ job: ScrapeConfig) throws(PrometheusReceiverError) -> ClientTLS? {
        let isWanted =
            job.scheme == .https || job.client.tls != ClientTLSConfig()
            || job.targetRelabelling.contains { $0.targetLabel.constant == "__scheme__" }
        guard isWanted else { return nil }
        return try Self.tls(job.client, "job \(job.name): tls_config", parts.logger)
    }

    private func clusters(_ job: ScrapeConfig) throws(PrometheusReceiverError) -> [KubernetesCluster] {
        var clusters: [KubernetesCluster] = []
        for config in job.kubernetesDiscovery {
            var cluster = try KubernetesCluster.find(config, job: job.name)
            if cluster.server.origin.scheme == .https {
                cluster.tls = try Self.tls(
                    cluster.client, "job \(job.name): kubernetes_sd_configs::tls_config", parts.logger)
            }
            clusters.append(cluster)
        }
        return clusters
    }

    private static func tls(
        _ client: ScrapeClientConfig, _ key: String, _ logger: Logger
    ) throws(PrometheusReceiverError) -> ClientTLS {
        do throws(TLSProblem) {
            return try ClientTLS(
                client.tls, protocols: HTTPClient.Options.protocols(http2: client.usesHTTP2), logger: logger)
        } catch {
            throw PrometheusReceiverError(description: "\(key): \(error)")
        }
    }
}
