internal import Configuration
internal import Logging
package import NIOCore
internal import OTLP

extension SendingQueue: PipelineComponent {
    /// The sending queue of an exporter that is being made: with its store, its dead-letter target and its counters.
    ///
    /// - Parameters:
    ///   - timeout: of one attempt; zero: none.
    ///   - maxRequestBytes: larger batches are sent in parts; 0: no limit.
    ///   - keepsGzip: whether the sender passes gzip members on as they came.
    package convenience init(
        _ config: SendingQueueConfig, retry: RetryConfig = RetryConfig(), timeout: TimeAmount = .zero,
        sender: any BatchSender, maxRequestBytes: Int = 0, keepsGzip: Bool = false,
        _ context: ComponentContext
    ) {
        let counters = Counters(context)
        self.init(
            name: context.name, config: config, retry: retry, timeout: timeout, sender: sender,
            maxRequestBytes: maxRequestBytes == 0 ? .max : maxRequestBytes, counters: counters,
            eventLoop: context.eventLoop, logger: context.logger)
        self.keepsGzip = keepsGzip
        tracer = context.gateway.tracer
        signalName = context.signal.name
        if let storage = config.storage {
            use(context.storage(storage).makeStore(for: context), recovered: counters.recovered)
        }
        if let deadLetter = DeadLetter(config, context) { setDeadLetter(deadLetter) }
        let labels: MetricLabels = ["exporter": context.name, "data_type": context.signal.name]
        context.registry.observeGauge(
            "otelcol_exporter_queue_size", help: "What the queue holds, in the unit of its sizer.",
            labels: labels
        ) { [weak self] in Double(self?.currentSize ?? 0) }
        let capacity = Double(capacity)
        context.registry.observeGauge(
            "otelcol_exporter_queue_capacity", help: "What the queue may hold, in the unit of its sizer.",
            labels: labels
        ) { capacity }
    }

    package var input: PipelineInput {
        PipelineInput(
            self, admission: stopsReading ? [self] : [], answersLater: answersLater, keepsGzip: keepsGzip)
    }

    /// Opens the store.
    package func start() async throws {
        let found = try await openStore().get()
        guard found > 0 else { return }
        logger.info(
            "Sending what an earlier process left in the store.", metadata: ["batches": "\(found)"])
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        Remainder(items: await drain(until: deadline))
    }
}

extension SendingQueue.DeadLetter {
    /// The exporter that `on_permanent_failure` names; nil: none.
    package init?(_ config: SendingQueueConfig, _ context: ComponentContext) {
        guard let id = config.onPermanentFailure else { return nil }
        let target = context.exporter(id)
        self.init(
            name: "\(id)", consumer: target.input.consumer,
            counter: SendingQueue.Counters.deadLetters(
                of: target.account, exporter: "\(id)", signal: context.signal))
    }
}

extension SendingQueueConfig {
    /// The components that the queue's keys name.
    package var references: [ComponentReference] {
        var references: [ComponentReference] = []
        if let storage {
            references.append(
                ComponentReference(storage, .extension(.storage), in: ["sending_queue"], key: "storage"))
        }
        if let onPermanentFailure {
            references.append(ComponentReference(onPermanentFailure, .exporter, key: "on_permanent_failure"))
        }
        return references
    }
}
