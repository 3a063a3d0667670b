internal import Configuration
internal import MetricStreams
package import OTLP
package import Pipeline
internal import RegularExpression
import Synchronization

extension ComponentType {
    /// `metricstarttime`.
    package static let metricStartTime = processor(
        "metricstarttime", aliases: ["metric_start_time"], stability: .alpha, signals: [.metrics],
        MetricStartTimeConfig.self
    ) {
        EditingProcessor(MetricStartTime($0, $1), $1, next: $2, dropReason: .merged)
    }
}

/// Gives cumulative points without a start time one: `metricstarttime`. Any thread.
package final class MetricStartTime: RequestTransform {
    private struct Streams: ~Copyable {
        var table: StreamTable<StartState>
    }

    /// A reset is taken to have been so long before the point that shows it, where the point may not start when it ends.
    private static let resetNanoseconds: UInt64 = 1_000_000

    private let config: MetricStartTimeConfig
    private let processorStart: UInt64
    private let hasher = StreamHasher()
    private let streams: Mutex<Streams>
    private let now: @Sendable () -> UInt64
    private let tracked: Gauge
    private let forgotten: Counter
    private let untracked: Counter

    /// - Parameter now: nanoseconds since 1970.
    package init(
        _ config: MetricStartTimeConfig, _ context: ComponentContext,
        now: @escaping @Sendable () -> UInt64 = { UInt64(SystemClock.unixNanoseconds()) }
    ) {
        self.config = config
        processorStart = now()
        streams = Mutex(
            Streams(
                table: StreamTable(
                    limit: config.maxStreams, age: UInt64(clamping: config.gcInterval.wholeNanoseconds),
                    now: processorStart,
                    ledger: context.ledger)))
        self.now = now
        let labels: MetricLabels = ["processor": context.name]
        tracked = context.registry.gauge(
            "sluice_metricstarttime_streams_tracked", help: "Streams whose start time is remembered.",
            labels: labels)
        forgotten = context.registry.counter(
            "sluice_metricstarttime_streams_forgotten", help: "Streams that had no point for gc_interval.",
            labels: labels)
        untracked = context.registry.counter(
            "sluice_metricstarttime_points_untracked",
            help: "Points that passed unchanged because there were max_streams streams.", labels: labels)
    }

    package func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        sweep()
        let known = config.strategy == .startTimeMetric ? startTimeMetric(request) ?? processorStart : 0
        request.forEachResource { resource in
            lazy var resourceHash = hasher.resource(resource, of: request)
            request.forEachScope(of: resource) { scope in
                lazy var scopeHash = hasher.scope(scope, of: request, from: resourceHash)
                request.forEachItem(of: scope) { item in
                    guard let kind = request.metricKind(item.item), kind != Field.Metric.gauge,
                        let fields = PointFields(kind)
                    else { return .keep }
                    return adjust(item.item, fields, request, from: scopeHash, known: known)
                }
                return isEmpty(scope.entry, Field.ScopeEntry.entries, request) ? .remove : .keep
            }
            return isEmpty(resource.entry, Field.ResourceEntry.scopes, request) ? .remove : .keep
        }
    }

    /// Only what this processor emptied is removed.
    private func isEmpty(_ message: MessageID, _ number: UInt32, _ request: RequestEditor) -> Bool {
        config.strategy == .subtractInitialPoint && request.count(message, number) == 0
    }

    private func adjust(
        _ metric: MessageID, _ fields: PointFields, _ request: RequestEditor, from scope: WireHash,
        known: UInt64
    ) -> Keep {
        let data = request.child(metric, fields.kind)
        defer { request.close(data) }
        let isSummary = fields.kind == Field.Metric.summary
        guard isSummary || request.bits(data, Field.MetricData.temporality) == Temporality.cumulative
        else { return .keep }
        // What may fall by itself shows no reset, and has no part that could be subtracted.
        let mayFall =
            fields.kind == Field.Metric.sum && request.bits(data, Field.MetricData.isMonotonic) == 0
        if mayFall, config.strategy == .subtractInitialPoint { return .keep }
        let hash = hasher.metric(metric, data, kind: fields.kind, of: request, from: scope)
        let before = request.count(data, Field.MetricData.dataPoints)
        request.forEachChild(data, Field.MetricData.dataPoints) { point in
            let start = request.bits(point, fields.startTime)
            let time = request.bits(point, fields.time)
            guard start == 0 || start == time else { return .keep }
            let key = StreamKey(
                hasher.add(request.attributes(point, fields.attributes), of: request, to: hash))
            let hasValue = request.bits(point, fields.flags) & noRecordedValueFlag == 0
            let value = hasValue ? PointValue(request, point, kind: fields.kind) : nil
            return adjust(point, value, fields, request, key, mayFall: mayFall, time: time, known: known)
        }
        return before > 0 && request.count(data, Field.MetricData.dataPoints) == 0 ? .remove : .keep
    }

    private func adjust(
        _ point: MessageID, _ value: PointValue?, _ fields: PointFields, _ request: RequestEditor,
        _ key: StreamKey, mayFall: Bool, time: UInt64, known: UInt64
    ) -> Keep {
        let first = StartState(
            start: config.strategy == .startTimeMetric ? known : time,
            last: value ?? .number(.none),
            reference: config.strategy == .subtractInitialPoint ? value : nil)
        let adjusted: Adjusted? = streams.withLock { streams in
            // The end of a stream that nobody knows begins none.
            if value == nil, !streams.table.contains(key, at: now()) { return .unchanged }
            let adjusted = streams.table.update(key, now: now(), new: first) { state, isNew in
                adjust(&state, isNew: isNew, value, mayFall: mayFall, time: time)
            }
            tracked.set(streams.table.count)
            return adjusted
        }
        switch adjusted {
        case .dropped: return .remove
        case .start(let start, let difference):
            request.setNumber(point, fields.startTime, .fixed64, start)
            difference?.write(to: request, point)
        case .unchanged: break
        case nil: untracked.add(1)
        }
        return .keep
    }

    private enum Adjusted: Sendable {
        case unchanged
        case dropped
        case start(UInt64, PointValue?)
    }

    private func adjust(
        _ state: inout StartState, isNew: Bool, _ value: PointValue?, mayFall: Bool, time: UInt64
    ) -> Adjusted {
        if isNew { return config.strategy == .subtractInitialPoint ? .dropped : .start(state.start, nil) }
        guard let value else { return .start(state.start, nil) }
        let isReset = !mayFall && value.isReset(since: state.last)
        state.last = value
        if !isReset {
            guard let reference = state.reference else { return .start(state.start, nil) }
            if let difference = value.difference(since: reference) {
                return .start(state.start, difference)
            }
        }
        // What a stream has after a reset it has counted since then.
        state.reference = nil
        state.start = config.strategy == .trueResetPoint ? time : time &- min(time, Self.resetNanoseconds)
        return .start(state.start, nil)
    }

    /// When the process started, as the first metric of the name says; nil when none does.
    private func startTimeMetric(_ request: RequestEditor) -> UInt64? {
        var seconds: Double?
        request.forEachItem { item in
            guard seconds == nil, isStartTimeMetric(request.content(item.item, Field.Metric.name))
            else { return .keep }
            request.forEachPoint(item.item) { place in
                if seconds == nil, place.kind == Field.Metric.gauge || place.kind == Field.Metric.sum {
                    seconds = NumberValue(request, place.point).double
                }
                return .keep
            }
            return .keep
        }
        guard let seconds, seconds > 0, seconds < 9e9 else { return nil }
        return UInt64(seconds * 1e9)
    }

    private func isStartTimeMetric(_ name: WireBytes) -> Bool {
        guard let expression = config.startTimeMetric else { return name == "process_start_time_seconds" }
        // SAFETY: the bytes are borrowed for the call.
        return unsafe name.unsafeBytes.withMemoryRebound(to: UInt8.self) {
            unsafe expression.occurs(in: $0)
        }
    }

    private func sweep() {
        let time = now()
        let count = streams.withLock { streams in
            guard let count = streams.table.sweep(at: time) else { return 0 }
            tracked.set(streams.table.count)
            return count
        }
        forgotten.add(count)
    }
}
