internal import Configuration
internal import Logging
internal import MetricStreams
package import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `deltatocumulative`.
    package static let deltaToCumulative = processor(
        "deltatocumulative", aliases: ["delta_to_cumulative"], signals: [.metrics],
        DeltaToCumulativeConfig.self
    ) {
        EditingProcessor(DeltaToCumulative($0, $1), $1, next: $2, dropReason: .invalid)
    }
}

/// Adds deltas up: `deltatocumulative`. Any thread.
package final class DeltaToCumulative: RequestTransform {
    private struct Streams: ~Copyable {
        var table: StreamTable<CumulativeState>
        var isFull = false
    }

    private let config: DeltaToCumulativeConfig
    private let hasher = StreamHasher()
    private let streams: Mutex<Streams>
    private let now: @Sendable () -> UInt64
    private let counters: CumulativeCounters
    private let logger: Logger

    /// - Parameter now: nanoseconds since 1970.
    package init(
        _ config: DeltaToCumulativeConfig, _ context: ComponentContext,
        now: @escaping @Sendable () -> UInt64 = { UInt64(SystemClock.unixNanoseconds()) }
    ) {
        self.config = config
        streams = Mutex(
            Streams(
                table: StreamTable(
                    limit: config.maxStreams, age: UInt64(clamping: config.maxStale.wholeNanoseconds),
                    sweepInterval: 60_000_000_000, now: now(),
                    ledger: context.ledger)))
        self.now = now
        counters = CumulativeCounters(context, config)
        logger = context.logger
    }

    package var remembers: Bool { true }

    package func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        sweep()
        request.forEachResource { resource in
            lazy var resourceHash = hasher.resource(resource, of: request)
            request.forEachScope(of: resource) { scope in
                lazy var scopeHash = hasher.scope(scope, of: request, from: resourceHash)
                request.forEachItem(of: scope) { item in
                    guard let kind = deltaKind(item.item, request) else { return .keep }
                    return convert(item.item, kind, request, from: scopeHash)
                }
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    /// The kind of a metric of deltas; nil for all others.
    private func deltaKind(_ metric: MessageID, _ request: RequestEditor) -> UInt32? {
        guard let kind = request.metricKind(metric), kind != Field.Metric.gauge,
            kind != Field.Metric.summary
        else { return nil }
        let data = request.child(metric, kind)
        defer { request.close(data) }
        return request.bits(data, Field.MetricData.temporality) == Temporality.delta ? kind : nil
    }

    private func convert(
        _ metric: MessageID, _ kind: UInt32, _ request: RequestEditor, from scope: WireHash
    ) -> Keep {
        guard let fields = PointFields(kind) else { return .keep }
        let data = request.child(metric, kind)
        let hash = hasher.metric(metric, data, kind: kind, of: request, from: scope)
        request.forEachChild(data, Field.MetricData.dataPoints) { point in
            convert(point, fields, request, from: hash)
        }
        request.setBits(data, Field.MetricData.temporality, .varint, Temporality.cumulative)
        let isEmpty = request.count(data, Field.MetricData.dataPoints) == 0
        request.close(data)
        return isEmpty ? .remove : .keep
    }

    private func convert(
        _ point: MessageID, _ fields: PointFields, _ request: RequestEditor, from metric: WireHash
    ) -> Keep {
        let start = request.bits(point, fields.startTime)
        let time = request.bits(point, fields.time)
        let delta = PointValue(request, point, kind: fields.kind)
        let key = StreamKey(
            hasher.add(request.attributes(point, fields.attributes), of: request, to: metric))
        let first = CumulativeState(
            start: start, time: time, flags: request.bits(point, fields.flags), value: delta)
        switch take(delta, key, first: first) {
        case .refused(let reason):
            counters.refused(reason)
            return .remove
        case .full:
            counters.full.add(1)
            return .remove
        case .sum(let state):
            counters.added.add(1)
            write(state, to: point, fields, request)
            return .keep
        }
    }

    private func write(
        _ state: CumulativeState, to point: MessageID, _ fields: PointFields, _ request: RequestEditor
    ) {
        request.setNumber(point, fields.startTime, .fixed64, state.start)
        request.setNumber(point, fields.flags, .varint, state.flags)
        state.value.write(to: request, point)
    }

    // MARK: - Streams

    private enum Taken: Sendable {
        case sum(CumulativeState)
        case refused(CumulativeState.Refused)
        case full
    }

    private func take(_ delta: PointValue, _ key: StreamKey, first: CumulativeState) -> Taken {
        let (taken, isNewlyFull) = streams.withLock { streams -> (Taken, Bool) in
            let taken: Taken? = streams.table.update(key, now: now(), new: first) { state, isNew in
                if isNew { return .sum(state) }
                if let refused = state.add(delta, start: first.start, time: first.time) {
                    return .refused(refused)
                }
                return .sum(state)
            }
            counters.tracked.set(streams.table.count)
            let isNewlyFull = taken == nil && !streams.isFull
            if isNewlyFull { streams.isFull = true }
            return (taken ?? .full, isNewlyFull)
        }
        if isNewlyFull {
            logger.warning(
                "max_streams (\(config.maxStreams)) streams are known: points of further ones are dropped")
        }
        return taken
    }

    private func sweep() {
        let time = now()
        let forgotten = streams.withLock { streams in
            guard let forgotten = streams.table.sweep(at: time) else { return 0 }
            if forgotten > 0 { streams.isFull = false }
            counters.tracked.set(streams.table.count)
            return forgotten
        }
        counters.forgotten.add(forgotten)
    }
}
