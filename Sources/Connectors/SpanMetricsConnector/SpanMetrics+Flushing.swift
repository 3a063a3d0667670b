internal import MetricBuilding
package import NIOCore
internal import OTLP

extension SpanMetrics {
    /// The metrics as they are now, a few megabytes at a time; `emit` gets each request and its points. Forgets what is over.
    package mutating func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) {
        self.now = now
        var request = MetricRequest()
        for place in table.resources.indices where table.resources[place].isInUse {
            let index = Int32(place)
            write(index, into: &request)
            finish(index)
            if request.count >= Self.requestBytes { Self.send(&request, emit) }
        }
        Self.send(&request, emit)
        for index in table.evicted { table.remove(resource: index) }
    }

    private static let requestBytes = 1 << 20

    private static func send(_ request: inout MetricRequest, _ emit: (ByteBuffer, Int) -> Void) {
        let points = request.points
        guard points > 0 else { return }
        emit(request.finish(), points)
        request = MetricRequest()
    }

    private var isDelta: Bool { config.temporality == .delta }

    private func write(_ index: Int32, into request: inout MetricRequest) {
        let resource = table.resources[Int(index)]
        let shown = resource.series.filter { !isDelta || table.isChanged($0) }
        guard !shown.isEmpty else { return }
        request.beginResource(resource.attributes)
        request.beginScope("spanmetricsconnector")
        func name(_ last: String) -> String {
            config.namespace.isEmpty ? last : "\(config.namespace).\(last)"
        }
        func series(_ metric: SeriesTable.Metric) -> [Int32] {
            shown.filter { table.series[Int($0)].metric == metric }
        }
        let calls = series(.calls)
        writeSums(calls, name("calls"), zeroesNew: !isDelta, into: &request)
        if hasDurations {
            writeDurations(
                isShared ? calls : series(.durations),
                name(config.naming == .tempo ? "latency" : "duration"), into: &request)
        }
        let events = series(.events)
        if !events.isEmpty { writeSums(events, name("events"), zeroesNew: !isDelta, into: &request) }
    }

    private func writeSums(
        _ indices: [Int32], _ name: String, zeroesNew: Bool, into request: inout MetricRequest
    ) {
        guard !indices.isEmpty else { return }
        request.beginMetric(name, .sum(config.temporality, isMonotonic: true))
        for index in indices {
            let series = table.series[Int(index)]
            // A counter is seen at 0 first, so that its first spans are an increase.
            let value = zeroesNew && series.isNew ? 0 : Int64(clamping: table.count(index))
            request.number(
                .int(value), series.labels, start: series.start, time: now, exemplars: series.exemplars)
        }
    }

    private func writeDurations(_ indices: [Int32], _ name: String, into request: inout MetricRequest) {
        guard !indices.isEmpty else { return }
        let unit = config.naming == .tempo ? "" : config.isSeconds ? "s" : "ms"
        request.beginMetric(
            name, unit: unit,
            exponentialSize == nil
                ? .histogram(config.temporality) : .exponentialHistogram(config.temporality))
        for index in indices {
            let series = table.series[Int(index)]
            if let exponential = series.exponential {
                request.exponential(
                    exponential, series.labels, start: series.start, time: now, exemplars: series.exemplars)
            } else {
                request.histogram(
                    counts: table.buckets(index), bounds: table.bounds.values, sum: table.sum(index),
                    series.labels,
                    start: series.start, time: now, exemplars: series.exemplars)
            }
        }
    }

    /// What a flush leaves of a resource.
    private mutating func finish(_ index: Int32) {
        let resource = table.resources[Int(index)]
        if config.expiration > .zero, now &- resource.used > UInt64(clamping: config.expiration.nanoseconds),
            !resource.isEvicted
        {
            return table.remove(resource: index)
        }
        var idle = 0
        var forgotten: Set<Int32> = []
        for series in resource.series {
            if isDelta, !table.isChanged(series) {
                // Kept for the start of its next delta, as long as there are not too many of them.
                idle += 1
                if idle > config.startsMax { forgotten.insert(series) }
            } else if config.seriesExpiration > .zero,
                now &- table.used(series) > UInt64(clamping: config.seriesExpiration.nanoseconds)
            {
                forgotten.insert(series)
            } else {
                table.flushed(series, isDelta: isDelta, now: now)
            }
        }
        table.remove(series: forgotten, of: index)
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let parts = components
        let whole = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return whole.overflow ? .max : whole.partialValue + parts.attoseconds / 1_000_000_000
    }
}
