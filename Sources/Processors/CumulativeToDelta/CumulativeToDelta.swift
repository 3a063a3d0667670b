internal import Configuration
internal import Logging
internal import MetricStreams
package import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `cumulativetodelta`.
    package static let cumulativeToDelta = processor(
        "cumulativetodelta", aliases: ["cumulative_to_delta"], signals: [.metrics],
        CumulativeToDeltaConfig.self
    ) {
        EditingProcessor(CumulativeToDelta($0, $1), $1, next: $2, dropReason: .merged)
    }
}

/// Makes differences of cumulative sums and histograms: `cumulativetodelta`. Any thread.
package final class CumulativeToDelta: RequestTransform {
    private struct Streams: ~Copyable {
        var table: StreamTable<DeltaState>
        var isFull = false
    }

    private let config: CumulativeToDeltaConfig
    private let choice: MetricChoice
    private let hasher = StreamHasher()
    private let streams: Mutex<Streams>
    private let startTime: UInt64
    private let now: @Sendable () -> UInt64
    private let counters: DeltaCounters
    private let logger: Logger

    /// - Parameter now: nanoseconds since 1970.
    package init(
        _ config: CumulativeToDeltaConfig, _ context: ComponentContext,
        now: @escaping @Sendable () -> UInt64 = { UInt64(SystemClock.unixNanoseconds()) }
    ) {
        self.config = config
        choice = MetricChoice(config)
        startTime = now()
        streams = Mutex(
            Streams(
                table: StreamTable(
                    limit: config.maxStreams, age: UInt64(clamping: config.maxStaleness.wholeNanoseconds),
                    now: startTime, ledger: context.ledger
                )))
        self.now = now
        counters = DeltaCounters(context)
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
                    guard let kind = convertedKind(item.item, request) else { return .keep }
                    return convert(item.item, kind, request, from: scopeHash)
                }
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    /// The kind of a metric that is to be converted; nil for all others.
    private func convertedKind(_ metric: MessageID, _ request: RequestEditor) -> UInt32? {
        guard let kind = request.metricKind(metric), kind != Field.Metric.gauge,
            kind != Field.Metric.summary,
            choice.converts(request.content(metric, Field.Metric.name), kind: kind)
        else { return nil }
        let data = request.child(metric, kind)
        defer { request.close(data) }
        guard request.bits(data, Field.MetricData.temporality) == Temporality.cumulative else { return nil }
        if kind == Field.Metric.sum {
            return request.bits(data, Field.MetricData.isMonotonic) != 0 ? kind : nil
        }
        return request.count(data, Field.MetricData.dataPoints) > 0 ? kind : nil
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
        request.setBits(data, Field.MetricData.temporality, .varint, Temporality.delta)
        let isEmpty = request.count(data, Field.MetricData.dataPoints) == 0
        request.close(data)
        return isEmpty ? .remove : .keep
    }

    private func convert(
        _ point: MessageID, _ fields: PointFields, _ request: RequestEditor, from metric: WireHash
    ) -> Keep {
        counters.converted(fields.kind)
        // The end of a stream says nothing about a difference.
        if request.bits(point, fields.flags) & noRecordedValueFlag != 0 { return .remove }
        let value = PointValue(request, point, kind: fields.kind)
        if case .number(.double(let number)) = value, number.isNaN { return .keep }
        let start = request.bits(point, fields.startTime)
        var hash = hasher.add(request.attributes(point, fields.attributes), of: request, to: metric)
        hash = hasher.add(start, to: hash)
        if case .number(.double) = value { hash = hasher.add(1, to: hash) }
        let time = request.bits(point, fields.time)
        switch take(value, StreamKey(hash), start: start, time: time) {
        case .dropped(let reason):
            counters.dropped(fields.kind, reason)
            return .remove
        case .delta(let delta, let start):
            request.setNumber(point, fields.startTime, .fixed64, start)
            delta.write(to: request, point)
            return .keep
        }
    }

    // MARK: - Streams

    private func take(
        _ value: PointValue, _ key: StreamKey, start: UInt64, time: UInt64
    ) -> DeltaResult {
        let (result, isNewlyFull) = streams.withLock { streams in
            let result = streams.table.update(key, now: now(), new: DeltaState(time: time, value: value)) {
                state, isNew in
                isNew ? first(value, start: start, time: time) : state.advance(to: value, at: time)
            }
            counters.tracked.set(streams.table.count)
            let isNewlyFull = result == nil && !streams.isFull
            if isNewlyFull { streams.isFull = true }
            return (result, isNewlyFull)
        }
        if isNewlyFull {
            logger.warning(
                "max_streams (\(config.maxStreams)) streams are known: points of further ones are dropped")
        }
        return result ?? .dropped(.maxStreams)
    }

    private func first(_ value: PointValue, start: UInt64, time: UInt64) -> DeltaResult {
        switch config.initialValue {
        case .auto where start >= startTime && start != time:
            .delta(Self.withoutExtremes(value), start: start)
        case .keep: .delta(Self.withoutExtremes(value), start: 0)
        case .auto, .drop: .dropped(.initial)
        }
    }

    private static func withoutExtremes(_ value: PointValue) -> PointValue {
        switch value {
        case .histogram(var value):
            value.sums.min = nil
            value.sums.max = nil
            return .histogram(value)
        case .exponential(var value):
            value.sums.min = nil
            value.sums.max = nil
            return .exponential(value)
        default: return value
        }
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
