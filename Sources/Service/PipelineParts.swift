internal import BatchProcessor
internal import Configuration
internal import DebugExporter
internal import FileExporter
internal import FileStorage
internal import HTTP
internal import LoadBalancingExporter
internal import Logging
internal import LokiExporter
internal import MemoryLimiter
internal import NIOCore
internal import NopExporter
internal import OTLP
internal import OTLPExporter
internal import OTLPReceiver
internal import Pipeline
internal import PrometheusExporter
internal import PrometheusReceiver

/// The components of a configuration, connected: exporters first, receivers last.
struct PipelineParts: Sendable {
    private(set) var receivers: [(String, OTLPReceiver)] = []
    private(set) var scrapers: [PrometheusReceiver] = []
    private(set) var limiters: [MemoryLimiter] = []
    private(set) var batchers: [BatchProcessor] = []
    /// In the order in which they must end: who hands on what fails before who gets it.
    private(set) var queues: [(String, any ExporterQueue)] = []
    /// What `prometheus` exporters serve.
    private(set) var pages: [(String, PageServer)] = []
    /// Where queues are on disk.
    private(set) var storeFolders: Set<String> = []
    private var queueOf: [ExporterKey: any ExporterQueue] = [:]
    /// What must add up on the page of metrics.
    private(set) var balances: [Balance] = []
    /// One for each `file` exporter, shared by its signals.
    private var fileWriters: [ComponentID: FileWriter] = [:]

    /// An exporter's consumer for one signal.
    private struct Destination {
        let consumer: any Consumer
        let answersLater: Bool
        /// Stops the reading of sockets while the destination is full.
        var gate: (any AdmissionControl)?
        var keepsGzip = false

        init(consumer: any Consumer, answersLater: Bool) {
            self.consumer = consumer
            self.answersLater = answersLater
        }

        init(_ balancer: LoadBalancer, keepsGzip: Bool) {
            consumer = balancer
            answersLater = balancer.answersLater
            gate = balancer.stopsReading ? balancer : nil
            self.keepsGzip = keepsGzip
        }

        init(_ queue: SendingQueue, keepsGzip: Bool) {
            consumer = queue
            answersLater = queue.answersLater
            gate = queue.stopsReading ? queue : nil
            self.keepsGzip = keepsGzip
        }
    }

    struct ExporterKey: Hashable {
        let id: ComponentID
        let signal: Signal
    }

    init(
        _ plan: GatewayPlan, version: String, group: any EventLoopGroup, registry: MetricRegistry,
        residentSize: ResidentSize, health: HealthState, logger: Logger
    ) throws(GatewayError) {
        let ledger = MemoryLedger()
        registry.observeGauge(
            "sluice_memory_ledger_bytes", help: "Bytes of request bodies admitted and not yet released."
        ) { Double(ledger.bytes) }
        let limiters = try Self.limiters(plan, group, ledger, residentSize, health, registry, logger)
        self.limiters = Array(limiters.values)
        var destinations: [ExporterKey: Destination] = [:]
        var entrances: [ComponentID: [Signal: [Entrance]]] = [:]
        var takers: [ExporterKey: Set<ComponentID>] = [:]
        var limited: Set<String> = []
        for pipeline in plan.pipelines {
            let signal = Signal(pipeline.id.signal)
            var outs: [Destination] = []
            for id in pipeline.exporters {
                let key = ExporterKey(id: id, signal: signal)
                if destinations[key] == nil {
                    destinations[key] = try destination(
                        plan, key, version, group, registry, ledger, logger)
                }
                outs.append(destinations[key]!)
                takers[key, default: []].formUnion(pipeline.receivers)
            }
            var head = FanOut.joining(outs.map { $0.consumer })
            var stageLimiters: [any AdmissionControl] = []
            for id in pipeline.processors.reversed() {
                switch plan.processors[id]! {
                case .memoryLimiter:
                    let accepted = registry.counter(
                        "otelcol_processor_memory_limiter_accepted_\(signal.itemNoun)",
                        help: "Items that passed the memory limiter.", labels: ["processor": "\(id)"],
                        read: .late)
                    // It takes nothing that it does not hand on.
                    let isFirst = limited.insert("\(id) \(signal.name)").inserted
                    for name in isFirst ? ["incoming", "outgoing"] : [] {
                        registry.observeCounter(
                            "otelcol_processor_\(name)_items",
                            help: "Items that the processor \(name == "incoming" ? "took" : "sent on").",
                            labels: ["processor": "\(id)", "otel_signal": signal.name]
                        ) { Double(accepted.value) }
                    }
                    head = MemoryLimiterStage(accepted: accepted, next: head)
                    stageLimiters.append(limiters[id]!)
                case .batch(let config):
                    let batcher = BatchProcessor(
                        name: "\(id)", config: config, signal: signal, next: head, eventLoop: group.next(),
                        registry: registry, detailed: plan.telemetry.metrics.level == .detailed,
                        logger: logger.of("processor", "\(id)", pipeline.id))
                    batchers.append(batcher)
                    head = batcher
                }
            }
            let entrance = Entrance(
                consumer: head, limiters: stageLimiters + outs.compactMap { $0.gate },
                answersLater: outs.contains { $0.answersLater }, keepsGzip: outs.contains { $0.keepsGzip })
            for id in pipeline.receivers { entrances[id, default: [:]][signal, default: []].append(entrance) }
        }
        for (id, bySignal) in entrances {
            let logger = logger.of("receiver", "\(id)", nil)
            switch plan.receivers[id]! {
            case .otlp(let config):
                let parts = OTLPReceiver.Parts(
                    name: "\(id)", entrances: bySignal.mapValues(Entrance.joining), ledger: ledger,
                    registry: registry, logger: logger)
                receivers.append(("\(id)", OTLPReceiver(config, parts: parts, group: group)))
            case .prometheus(let config):
                guard let metrics = bySignal[.metrics] else { continue }
                let parts = PrometheusReceiver.Parts(
                    name: "\(id)", version: version, entrance: Entrance.joining(metrics), ledger: ledger,
                    registry: registry, logger: logger)
                scrapers.append(PrometheusReceiver(config, parts: parts, group: group))
            }
        }
        try connectDeadLetters(plan, &destinations, version, group, registry, ledger, logger)
        balances = takers.map { key, receivers in
            Balance(
                exporter: "\(key.id)", signal: key.signal, receivers: receivers.map { "\($0)" },
                registry: registry,
                copies: plan.pipelines.filter {
                    Signal($0.id.signal) == key.signal && $0.exporters.contains(key.id)
                }
                .map { $0.receivers.map { "\($0)" } })
        }
    }

    private static func limiters(
        _ plan: GatewayPlan, _ group: any EventLoopGroup, _ ledger: MemoryLedger,
        _ residentSize: ResidentSize,
        _ health: HealthState, _ registry: MetricRegistry, _ logger: Logger
    ) throws(GatewayError) -> [ComponentID: MemoryLimiter] {
        var limiters: [ComponentID: MemoryLimiter] = [:]
        for id in Set(plan.pipelines.flatMap { $0.processors }) {
            guard case .memoryLimiter(let config)? = plan.processors[id] else { continue }
            let total = TotalMemory.find()?.bytes ?? 0
            guard config.limitMib > 0 || total > 0 else {
                throw GatewayError(
                    description:
                        "processors::\(id)::limit_percentage needs the size of the memory, which neither the"
                        + " control group nor /proc/meminfo tells; write limit_mib")
            }
            let limits = config.limits(totalMemory: total)
            let idle = (try? residentSize.read()) ?? 0
            let loops = group.makeIterator().reduce(0) { count, _ in count + 1 }
            let overhead = idle + loops * BufferPool.retainedBytesMax
            limiters[id] = MemoryLimiter(
                limits: MemoryLimiter.Limits(hardBytes: limits.hard, softBytes: limits.soft),
                overheadBytes: overhead,
                checkInterval: config.checkInterval, ledger: ledger,
                measureResident: { try? residentSize.read() }, health: health,
                refusedRequests: registry.counter(
                    "sluice_processor_memory_limiter_refused_requests",
                    help: "Requests refused before their body was read.", labels: ["processor": "\(id)"]),
                logger: logger.of("processor", "\(id)", nil))
        }
        return limiters
    }

    private mutating func destination(
        _ plan: GatewayPlan, _ key: ExporterKey, _ version: String, _ group: any EventLoopGroup,
        _ registry: MetricRegistry, _ ledger: MemoryLedger, _ logger: Logger
    ) throws(GatewayError) -> Destination {
        guard let config = plan.exporters[key.id] else {
            preconditionFailure("a plan holds the exporters that it names")
        }
        let name = "\(key.id)"
        let eventLoop = group.next()
        let counters = SendingQueue.Counters(
            registry, exporter: name, signal: key.signal,
            detailed: plan.telemetry.metrics.level == .detailed)
        let logger = logger.of("exporter", name, PipelineID(signal: PipelineSignal(key.signal)))
        let queue: SendingQueue
        var keepsGzip = false
        switch config {
        case .nop:
            return Destination(
                consumer: NopExporter(name: name, signal: key.signal, registry: registry), answersLater: false
            )
        case .prometheus(let config):
            let exporter = PrometheusExporter(
                config, name: name, counters: counters, eventLoop: eventLoop, registry: registry,
                logger: logger)
            try serve(exporter, config, name, group, logger)
            return Destination(consumer: exporter, answersLater: false)
        case .debug(let config):
            let sender: DebugSender
            do throws(DebugOutputError) {
                sender = try DebugSender(config, signal: key.signal, eventLoop: eventLoop, logger: logger)
            } catch {
                throw GatewayError(description: "exporters::\(name)::\(error)")
            }
            queue = SendingQueue(
                name: name, config: config.effectiveQueue, retry: RetryConfig(), timeout: .zero,
                sender: sender, counters: counters, eventLoop: eventLoop, logger: logger)
        case .file(let config):
            let writer = try fileWriter(key.id, config, registry, logger)
            queue = SendingQueue(
                name: name, config: config.sendingQueue, retry: config.retryOnFailure, timeout: .zero,
                sender: FileSender(writer, eventLoop: eventLoop), counters: counters, eventLoop: eventLoop,
                logger: logger)
        case .otlpGRPC(let config):
            let sender: OTLPGRPCSender
            do throws(TLSProblem) {
                sender = try OTLPGRPCSender(
                    config, signal: key.signal, version: version, eventLoop: eventLoop, logger: logger)
            } catch {
                throw GatewayError(description: "exporters::\(name)::\(error)")
            }
            queue = SendingQueue(
                name: name, config: config.sendingQueue, retry: config.retryOnFailure,
                timeout: TimeAmount(config.timeout), sender: sender,
                maxRequestBytes: config.maxRequestBytes == 0 ? .max : config.maxRequestBytes,
                counters: counters, eventLoop: eventLoop, logger: logger)
            keepsGzip = config.keepsGzip
        case .otlpHTTP(let config):
            let sender: OTLPHTTPSender
            do throws(OTLPHTTPSenderError) {
                sender = try OTLPHTTPSender(
                    config, signal: key.signal, version: version, eventLoop: eventLoop, logger: logger)
            } catch {
                throw GatewayError(description: "exporters::\(name)::\(error)")
            }
            queue = SendingQueue(
                name: name, config: config.sendingQueue, retry: config.retryOnFailure,
                timeout: TimeAmount(config.timeout), sender: sender,
                maxRequestBytes: config.maxRequestBytes == 0 ? .max : config.maxRequestBytes,
                counters: counters, eventLoop: eventLoop, logger: logger)
            keepsGzip = config.keepsGzip
        case .loadBalancing(let config, let otlp):
            let balancer = try Self.loadBalancer(
                config, otlp, key, version, eventLoop, group, registry, logger)
            queueOf[key] = balancer
            // Divided requests are compressed anew; a service's mostly are whole.
            let isWhole = config.key(for: key.signal) == .service
            return Destination(balancer, keepsGzip: isWhole && otlp.keepsGzip)
        case .loki(let config):
            let sender: LokiSender
            do throws(TLSProblem) {
                sender = try LokiSender(
                    config, name: name, version: version, registry: registry, eventLoop: eventLoop,
                    logger: logger)
            } catch {
                throw GatewayError(description: "exporters::\(name)::\(error)")
            }
            // A batch is several pushes, each with the timeout of its own.
            queue = SendingQueue(
                name: name, config: config.sendingQueue, retry: config.retryOnFailure, timeout: .zero,
                sender: sender, counters: counters, eventLoop: eventLoop, logger: logger)
        }
        queueOf[key] = queue
        useStore(of: queue, key, plan, eventLoop, registry, ledger, logger)
        let labels: MetricLabels = ["exporter": name, "data_type": "\(key.signal)"]
        registry.observeGauge(
            "otelcol_exporter_queue_size", help: "What the queue holds, in the unit of its sizer.",
            labels: labels
        ) { Double(queue.currentSize) }
        registry.observeGauge(
            "otelcol_exporter_queue_capacity", help: "What the queue may hold, in the unit of its sizer.",
            labels: labels
        ) { Double(queue.capacity) }
        return Destination(queue, keepsGzip: keepsGzip)
    }
}

extension PipelineParts {
    /// Gives a queue with `storage` its store.
    private mutating func useStore(
        of queue: SendingQueue, _ key: ExporterKey, _ plan: GatewayPlan, _ eventLoop: any EventLoop,
        _ registry: MetricRegistry, _ ledger: MemoryLedger, _ logger: Logger
    ) {
        guard let id = queue.storage else { return }
        for case (id, .fileStorage(let config)) in plan.extensions {
            let settings = SegmentStore.Settings(config, exporter: "\(key.id)", signal: key.signal)
            storeFolders.insert(settings.folder)
            queue.use(
                SegmentStore(settings, ledger: ledger, eventLoop: eventLoop, logger: logger),
                recovered: Balance.recovered(registry, exporter: "\(key.id)", signal: key.signal))
        }
    }

    /// Connects exporters with those that get what they cannot deliver, which may be in no pipeline.
    private mutating func connectDeadLetters(
        _ plan: GatewayPlan, _ destinations: inout [ExporterKey: Destination], _ version: String,
        _ group: any EventLoopGroup, _ registry: MetricRegistry, _ ledger: MemoryLedger, _ logger: Logger
    ) throws(GatewayError) {
        // Grows while it is walked: a dead letter may have a dead letter of its own.
        var keys = Array(queueOf.keys)
        var index = 0
        while index < keys.count {
            let key = keys[index]
            index += 1
            guard let queue = queueOf[key], let id = queue.onPermanentFailure else { continue }
            let target = ExporterKey(id: id, signal: key.signal)
            if destinations[target] == nil {
                destinations[target] = try destination(
                    plan, target, version, group, registry, ledger, logger)
                keys.append(target)
            }
            queue.setDeadLetter(
                SendingQueue.DeadLetter(
                    name: "\(id)", consumer: destinations[target]!.consumer,
                    counter: Balance.deadLetters(registry, to: "\(id)", signal: key.signal)))
        }
        let ids = Array(queueOf.keys)
        let depths = Dictionary(
            uniqueKeysWithValues: ids.map { key in
                (key, ids.filter { Self.reaches($0.id, key.id, plan) }.count)
            })
        queues = queueOf.sorted { depths[$0.key]! < depths[$1.key]! }.map { ("\($0.key.id)", $0.value) }
    }

    /// Whether what one exporter cannot deliver may come to another one.
    private static func reaches(_ from: ComponentID, _ to: ComponentID, _ plan: GatewayPlan) -> Bool {
        var next = plan.queue(of: from)?.onPermanentFailure
        while let id = next {
            if id == to { return true }
            next = plan.queue(of: id)?.onPermanentFailure
        }
        return false
    }

    /// The one writer of a `file` exporter.
    private mutating func fileWriter(
        _ id: ComponentID, _ config: FileExporterConfig, _ registry: MetricRegistry, _ logger: Logger
    ) throws(GatewayError) -> FileWriter {
        if let writer = fileWriters[id] { return writer }
        do throws(FileError) {
            let writer = try FileWriter(config, name: "\(id)", registry: registry, logger: logger)
            fileWriters[id] = writer
            return writer
        } catch {
            throw GatewayError(description: "exporters::\(id)::path: \(error)")
        }
    }

    /// Adds the page of a `prometheus` exporter.
    private mutating func serve(
        _ exporter: PrometheusExporter, _ config: PrometheusExporterConfig, _ name: String,
        _ group: any EventLoopGroup, _ logger: Logger
    ) throws(GatewayError) {
        do throws(PageServerError) {
            let page = try PageServer(config, name: name, group: group, exporter: exporter, logger: logger)
            pages.append((name, page))
        } catch {
            throw GatewayError(description: "\(error)")
        }
    }
}
