internal import Configuration
internal import Logging
internal import MetricStreams
package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `interval`.
    package static let interval = processor(
        "interval", stability: .alpha, signals: [.metrics], IntervalConfig.self
    ) {
        Interval.processor($0, $1, next: $2)
    }
}

/// Holds the newest point of each cumulative stream and sends it on once an interval: `interval`. Any thread.
package final class Interval: RequestTransform {
    /// Streams whose metrics have their turn in the same second.
    private struct State: ~Copyable {
        var buckets: [Bucket]
        /// Streams held, of all buckets.
        var count = 0
    }

    private final class Bucket: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): touched under the lock, or by the one thread that has taken it out.
        var held: HeldPoints

        init(ledger: MemoryLedger) { held = HeldPoints(ledger: ledger) }
    }

    /// Each has the resources of its metrics.
    private static let bucketsMax = 60
    private static let largeResourceBytes = 4 << 10

    private let config: IntervalConfig
    private let hasher = StreamHasher()
    private let state: Mutex<State>
    private let ledger: MemoryLedger
    private let held: Gauge
    private let passed: Counter
    private let sender: IntervalSender
    private let bucketCount: Int

    /// The node around it.
    package static func processor(
        _ config: IntervalConfig, _ context: ComponentContext, next: PipelineInput
    ) -> EditingProcessor {
        let interval = Interval(config, context, next: next)
        let loop = context.eventLoop
        return EditingProcessor(
            interval, context, next: next, dropReason: .merged,
            start: {
                loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { task in
                    if !interval.tick() { task.cancel() }
                }
            },
            // On the loop, so that nothing is sent by two.
            stop: { deadline in
                // The future never fails.
                (try? await loop.flatSubmit { interval.finish(until: deadline) }.get()) ?? Remainder()
            })
    }

    package init(_ config: IntervalConfig, _ context: ComponentContext, next: PipelineInput) {
        self.config = config
        let seconds = max(1, Int(clamping: config.interval.components.seconds))
        bucketCount = min(seconds, Self.bucketsMax)
        let ledger = context.ledger
        self.ledger = ledger
        state = Mutex(State(buckets: (0..<bucketCount).map { _ in Bucket(ledger: ledger) }))
        held = context.registry.gauge(
            "sluice_interval_streams_held", help: "Streams whose newest point waits for its turn.",
            labels: ["processor": context.name])
        passed = context.registry.counter(
            "sluice_interval_points_passed",
            help: "Points that passed at once because max_streams streams were held.",
            labels: ["processor": context.name])
        sender = IntervalSender(context, next: next, buckets: (bucketCount, seconds))
    }

    package func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        request.forEachResource { resource in
            lazy var resourceHash = hasher.resource(resource, of: request)
            // By what its hash is made of: the same resource is never held in two shares.
            lazy var isLarge = attributesBytes(resource, request) > Self.largeResourceBytes
            // Made once for all buckets: what is open and has changed is written anew to be read.
            lazy var resourceShell = request.content(resource.entry).fields(
                without: Field.ResourceEntry.scopes)
            request.forEachScope(of: resource) { scope in
                lazy var scopeHash = hasher.scope(scope, of: request, from: resourceHash)
                lazy var scopeShell = request.content(scope.entry).fields(without: Field.ScopeEntry.entries)
                request.forEachItem(of: scope) { item in
                    guard let kind = heldKind(item.item, request), let fields = PointFields(kind)
                    else { return .keep }
                    return hold(item, fields, request, in: (resourceHash, isLarge, scopeHash)) {
                        $0 == .resource ? resourceShell : scopeShell
                    }
                }
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    private func attributesBytes(_ place: ResourcePlace, _ request: RequestEditor) -> Int {
        let resource = place.resource
        return (0..<request.fieldCount(resource)).reduce(0) { bytes, position in
            guard request.number(resource, at: position) == Field.Resource.attributes else { return bytes }
            return bytes + request.content(resource, at: position).count
        }
    }

    /// The kind of a metric whose points are held; nil for all others.
    private func heldKind(_ metric: MessageID, _ request: RequestEditor) -> UInt32? {
        guard let kind = request.metricKind(metric) else { return nil }
        if kind == Field.Metric.gauge { return config.passesGauges ? nil : kind }
        if kind == Field.Metric.summary { return config.passesSummaries ? nil : kind }
        let data = request.child(metric, kind)
        defer { request.close(data) }
        guard request.bits(data, Field.MetricData.temporality) == Temporality.cumulative else { return nil }
        let mayFall = kind == Field.Metric.sum && request.bits(data, Field.MetricData.isMonotonic) == 0
        return mayFall ? nil : kind
    }

    private func hold(
        _ item: ItemPlace, _ fields: PointFields, _ request: RequestEditor,
        in around: (resource: WireHash, isLarge: Bool, scope: WireHash), shell: (HeldPoints.Level) -> [UInt8]
    ) -> Keep {
        let data = request.child(item.item, fields.kind)
        let hash = hasher.metric(item.item, data, kind: fields.kind, of: request, from: around.scope)
        let place = HeldPoints.Place(
            resource: around.resource, scope: around.scope, metric: hash,
            data: hasher.add(UInt64(fields.kind), to: hash), kind: fields.kind)
        // Of a large resource all metrics have their turn together: it is held once.
        let bucket = Int((around.isLarge ? around.resource : hash).low % UInt64(bucketCount))
        request.forEachChild(data, Field.MetricData.dataPoints) { point in
            let attributes = request.attributes(point, fields.attributes)
            let stream = hasher.add(attributes, of: request, to: hash)
            let time = request.bits(point, fields.time)
            let isHeld = state.withLock { state in
                let points = state.buckets[bucket]
                let before = points.held.count
                let isHeld = points.held.keep(
                    request.content(point), stream, time: time, at: place,
                    mayAdd: state.count < config.maxStreams
                ) { level in
                    switch level {
                    case .resource, .scope: shell(level)
                    case .metric: request.content(item.item).fields(without: fields.kind)
                    case .data: request.content(data).fields(without: Field.MetricData.dataPoints)
                    }
                }
                state.count += points.held.count - before
                held.set(state.count)
                return isHeld
            }
            if !isHeld { passed.add(1) }
            return isHeld ? .remove : .keep
        }
        let isEmpty = request.count(data, Field.MetricData.dataPoints) == 0
        request.close(data)
        return isEmpty ? .remove : .keep
    }

    // MARK: - Sending

    /// Sends what has its turn; false after `finish`. Once a second, by one thread at a time, as `finish`.
    package func tick() -> Bool {
        guard let turn = sender.nextTurn() else { return false }
        if turn.isDue { sender.send(take(turn.bucket)) }
        return true
    }

    /// Sends everything, and whatever waits; gives up what nobody has taken at the deadline. Event loop only.
    package func finish(until deadline: NIODeadline) -> EventLoopFuture<Remainder> {
        sender.finish((0..<bucketCount).compactMap(take), until: deadline)
    }

    private func take(_ bucket: Int) -> LeavingPoints? {
        let fresh = Bucket(ledger: ledger)
        let taken: Bucket? = state.withLock { state in
            let points = state.buckets[bucket]
            guard points.held.count > 0 else { return nil }
            state.count -= points.held.count
            held.set(state.count)
            state.buckets[bucket] = fresh
            return points
        }
        return taken?.held.takeAll()
    }
}
