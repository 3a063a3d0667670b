internal import Configuration
internal import Logging
package import NIOCore
package import OTLP
package import Pipeline
internal import Statements
internal import Synchronization

/// `log_dedup`: holds records for an interval, and sends one on in the place of all that are the same. Any thread; what is
/// held stands behind a lock.
package final class LogDeduplication: RequestTransform, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables below `Event loop only` are touched on `eventLoop` only.
    private struct State {
        var stores: [RecordStore] = []
        /// Places of stores, by the values of the metadata keys.
        var places: [[[String]]: Int] = [:]
        var records = 0
        /// How often what is held was taken out to be sent on.
        var generation = 0

        mutating func store(for key: [[String]]) -> Int {
            if let known = places[key] { return known }
            places[key] = stores.count
            stores.append(RecordStore())
            return stores.count - 1
        }
    }

    /// Where the records of a request go.
    private struct Place {
        var generation = -1
        var store = 0
        var resource: Int32?
        var scope: Int32?
    }

    private static let retryInterval = TimeAmount.milliseconds(200)

    private let config: LogDeduplicationConfig
    private let next: any Consumer
    private let ledger: MemoryLedger
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let now: @Sendable () -> Int64
    private let made: Counter
    private let left: Counter
    private let aggregated: Histogram
    private let state = Mutex(State())

    // Event loop only.
    private var timer: Scheduled<Void>?
    /// What was held and is being sent on, a part in each turn of the loop.
    private var leaving: [RecordStore] = []
    /// Batches that nobody has taken yet, oldest first.
    private var waiting: [Batch] = []
    private var isFailing = false
    /// Whether another attempt is scheduled.
    private var isRetrying = false

    /// - Parameter now: Unix nanoseconds.
    package init(
        _ config: LogDeduplicationConfig, _ context: ComponentContext, next: PipelineInput,
        now: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        self.config = config
        self.next = next.consumer
        self.now = now
        ledger = context.ledger
        eventLoop = context.eventLoop
        logger = context.logger
        made = context.account.counter(.made)
        left = context.account.counter(.left)
        aggregated = context.registry.histogram(
            "otelcol_dedup_processor_aggregated_logs",
            help: "Number of log records that were aggregated together.",
            bounds: [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000])
    }

    // MARK: - Taking

    package var remembers: Bool { true }

    package func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        let key = config.metadataKeys.map { context.metadata?.values($0) ?? [] }
        let moment = now()
        let isFull = state.withLock { state in
            state.records > 0 && state.records + context.items > config.recordsMax
        }
        if isFull {
            eventLoop.execute { if self.isIdle { self.flush() } }
            throw Refusal(
                .queueFull,
                "log_dedup holds nearly max_records (\(config.recordsMax)) records and sends them on now")
        }
        if let refusal = ledger.admit(bytes: request.content(request.root).count) { throw refusal }
        let isTooMany = state.withLock { state in
            state.places[key] == nil && config.metadataLimit > 0
                && state.places.count >= config.metadataLimit
        }
        if isTooMany {
            throw Refusal(
                .rejected, "too many combinations of metadata_keys (metadata_cardinality_limit)",
                isPermanent: true)
        }
        hold(request, key, at: moment)
    }

    private func hold(_ request: RequestEditor, _ key: [[String]], at moment: Int64) {
        let frame = config.conditions.isEmpty ? nil : Frame(request)
        var place = Place()
        request.forEachResource { resource in
            var resourceIdentity = AttributeIdentity()
            resourceIdentity.add(
                attributes: request.content(resource.resource), Field.Resource.attributes)
            place.resource = nil
            request.forEachScope(of: resource) { scope in
                let message = request.content(scope.scope)
                var scopeIdentity = AttributeIdentity()
                scopeIdentity.add(request.content(scope.scope, Field.Scope.name))
                scopeIdentity.add(request.content(scope.scope, Field.Scope.version))
                scopeIdentity.add(attributes: message, Field.Scope.attributes)
                place.scope = nil
                frame?.show(scope)
                request.forEachItem(of: scope) { item in
                    guard holds(item.item, frame) else { return .keep }
                    for field in config.excluded { field.remove(from: item.item, of: request) }
                    let identity = identity(of: item.item, request)
                    // One record at a time: loops do not wait for somebody's large request.
                    state.withLock { state in
                        if place.generation != state.generation {
                            place = Place(generation: state.generation, store: state.store(for: key))
                        }
                        let count = state.stores[place.store].count
                        let bytes = state.stores[place.store].bytes
                        let inResource =
                            place.resource
                            ?? state.stores[place.store].resource(
                                resourceIdentity, request.content(resource.resource))
                        let inScope =
                            place.scope
                            ?? state.stores[place.store].scope(scopeIdentity, message, in: inResource)
                        (place.resource, place.scope) = (inResource, inScope)
                        state.stores[place.store].add(
                            identity, request.content(item.item), in: inScope, at: moment)
                        state.records += state.stores[place.store].count - count
                        ledger.charge(state.stores[place.store].bytes - bytes)
                    }
                    return .remove
                }
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    /// Whether a record is held: one of the conditions holds. One that cannot be evaluated does not.
    private func holds(_ record: MessageID, _ frame: Frame?) -> Bool {
        guard let frame else { return true }
        frame.show(item: record)
        for condition in config.conditions {
            do throws(EvaluationError) {
                if try condition.holds(frame) { return true }
            } catch {
                logger.debug("A condition cannot be evaluated.", metadata: ["error": "\(error)"])
            }
        }
        return false
    }

    /// What makes records the same: attributes, body and severity, or the fields that are listed, where there are any.
    private func identity(of record: MessageID, _ request: RequestEditor) -> AttributeIdentity {
        var identity = AttributeIdentity()
        var isAny = false
        for (index, field) in config.included.enumerated() {
            guard let value = field.value(in: record, of: request) else { continue }
            identity.add(UInt64(index))
            identity.add(value)
            isAny = true
        }
        if isAny { return identity }
        identity.add(attributes: request.content(record), Field.LogRecord.attributes)
        identity.add(AttributeValue(request.content(record, Field.LogRecord.body)))
        identity.add(request.bits(record, Field.LogRecord.severityNumber))
        identity.add(request.content(record, Field.LogRecord.severityText))
        return identity
    }

    // MARK: - Sending on

    package func start() {
        eventLoop.execute { self.schedule() }
    }

    private func schedule() {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: TimeAmount(config.interval)) {
            // What was not taken yet comes first: meanwhile the store fills, and then refuses.
            if bound.value.isIdle { bound.value.flush() }
            bound.value.schedule()
        }
    }

    /// Sends everything on that is held. Event loop only.
    package func flush() {
        eventLoop.preconditionInEventLoop()
        let held = state.withLock { state in
            let held = state.stores
            state = State(generation: state.generation + 1)
            return held
        }
        leaving += held
        sendOn()
    }

    /// Whether everything was taken that was sent on.
    private var isIdle: Bool { leaving.isEmpty && waiting.isEmpty }

    /// Sends a part of what is leaving; the next one in another turn of the loop, when somebody has taken this one.
    private func sendOn() {
        var (records, bytes) = (0, 0)
        while waiting.isEmpty, records < RequestTree.requestItems, bytes < RequestTree.requestBytes,
            let batch = nextBatch()
        {
            records += batch.items
            bytes += batch.bytes
            waiting.append(batch)
            send()
        }
        guard waiting.isEmpty, !leaving.isEmpty else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.executeInTurn { bound.value.sendOn() }
    }

    private func nextBatch() -> Batch? {
        let style = RecordStore.Style(
            countAttribute: config.countAttribute, zone: config.zone,
            timestamp: config.timestampMode == .observed ? now() : nil)
        while !leaving.isEmpty {
            let held = leaving[0].bytes
            let part = leaving[0].takeRequest(style)
            ledger.release(held - (part == nil ? 0 : leaving[0].bytes))
            guard let (bytes, counts) = part else {
                leaving.removeFirst()
                continue
            }
            for count in counts { aggregated.observe(Double(count)) }
            made.add(counts.count)
            return Batch(
                .logs, payload: Payload(ByteBuffer(bytes: bytes), ledger: ledger), items: counts.count)
        }
        return nil
    }

    private func send() {
        while let batch = waiting.first {
            let items = batch.items
            if let refusal = next.consume(batch) {
                guard refusal.isPermanent || refusal.reason == .shuttingDown else {
                    if !isFailing {
                        isFailing = true
                        logger.warning(
                            "Records cannot be sent on. They are kept.",
                            metadata: ["reason": "\(refusal.message)"])
                    }
                    return retry()
                }
                logger.error("failed to consume logs", metadata: ["error": "\(refusal.message)"])
                next.drop(batch, because: refusal)
            }
            isFailing = false
            left.add(items)
            waiting.removeFirst()
        }
    }

    private func retry() {
        guard !isRetrying else { return }
        isRetrying = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.retryInterval) {
            bound.value.isRetrying = false
            bound.value.send()
            bound.value.sendOn()
        }
    }

    /// Sends everything on; what nobody takes until the deadline is dropped.
    package func stop(until deadline: NIODeadline) async -> Remainder {
        // The future never fails: `finish` only succeeds it.
        _ = try? await eventLoop.flatSubmit {
            self.timer?.cancel()
            self.flush()
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.finish(deadline, promise)
            return promise.futureResult
        }.get()
        return Remainder()
    }

    private func finish(_ deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        guard !isIdle else { return promise.succeed() }
        guard eventLoop.now < deadline else {
            let refusal = Refusal(.shuttingDown, "the gateway stopped before the records were sent on")
            while let batch = waiting.popLast() ?? nextBatch() {
                left.add(batch.items)
                next.drop(batch, because: refusal)
            }
            return promise.succeed()
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .milliseconds(20)) { bound.value.finish(deadline, promise) }
    }
}
