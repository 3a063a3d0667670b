internal import Configuration
internal import HTTP
internal import Logging
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
package final class PrometheusReceiver: Component {
    private let config: PrometheusReceiverConfig
    private let context: ComponentContext
    private let output: PipelineOutput
    private let counters: ScrapeCounters
    private let jobs = Mutex<[(ScrapeJob, any EventLoop)]>([])

    /// - Parameter output: where metrics go.
    package init(_ config: PrometheusReceiverConfig, _ context: ComponentContext, output: PipelineOutput) {
        self.config = config
        self.context = context
        self.output = output
        counters = ScrapeCounters(
            registry: context.registry, source: output.account, receiver: context.name)
    }

    /// Begins to look for targets and to scrape them. Reads certificates; blocks for that.
    /// - Throws: a certificate cannot be used, or there is no cluster to look for pods in.
    package func start() async throws {
        let tools = context.gateway.group.makeIterator().map { loop in
            ScrapeTools(eventLoop: loop, ledger: context.ledger, version: context.gateway.version)
        }
        for config in config.jobs {
            let clusters = try clusters(config)
            let files = config.fileDiscovery
            let groups = config.staticGroups
            let logger = context.logger
            let job = ScrapeJob(
                ScrapeJobParts(
                    config: config, rules: SeriesRules(config), input: output.input, counters: counters,
                    tls: try tls(config), userAgent: "sluice/\(context.gateway.version)", logger: logger),
                eventLoop: context.gateway.group.next(), tools: tools
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
    package func stop(until deadline: NIODeadline) async -> Remainder {
        let jobs = jobs.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
        for (job, eventLoop) in jobs {
            // Fails only when the loop is shut down, and then nothing runs there.
            try? await eventLoop.submit { job.stop() }.get()
        }
        // The targets were told to stop on their own loops; what they still hand on comes before this returns.
        for loop in context.gateway.group.makeIterator() { try? await loop.submit {}.get() }
        return Remainder()
    }

    /// TLS of a job's targets; nil when nothing asks for it.
    private func tls(_ job: ScrapeConfig) throws(PrometheusReceiverError) -> ClientTLS? {
        let isWanted =
            job.scheme == .https || job.client.tls != ClientTLSConfig()
            || job.targetRelabelling.contains { $0.targetLabel.constant == "__scheme__" }
        guard isWanted else { return nil }
        return try Self.tls(job.client, "job \(job.name): tls_config", context.logger)
    }

    private func clusters(_ job: ScrapeConfig) throws(PrometheusReceiverError) -> [KubernetesCluster] {
        var clusters: [KubernetesCluster] = []
        for config in job.kubernetesDiscovery {
            var cluster = try KubernetesCluster.find(config, job: job.name)
            if cluster.server.origin.scheme == .https {
                cluster.tls = try Self.tls(
                    cluster.client, "job \(job.name): kubernetes_sd_configs::tls_config", context.logger)
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
