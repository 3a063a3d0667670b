internal import Configuration
internal import MetricBuilding
package import NIOCore
internal import OTLP

extension SpanMetrics {
    /// A flush that is under way: what of it is still to be made.
    struct Flush {
        /// Those that were known when it began, the next one last.
        fileprivate var resources: [(index: Int32, key: SeriesTable.Key)]
        /// Of the resource at hand: its series, and how many of them were sent.
        fileprivate var series: [Int32] = []
        fileprivate var sent = 0
        /// Whether it was evicted before any of them was: then it is forgotten behind the last.
        fileprivate var isEvicted = false
        /// Those of them that are forgotten, and how many only wait for their next delta.
        fileprivate var forgotten: Set<Int32> = []
        fileprivate var idle = 0
    }

    /// The metrics as they are now, or a part of them; `emit` gets a request, if there is any, and its points. Forgets what is
    /// over. Spans may be counted between two parts.
    /// - Returns: whether more is to be sent.
    package mutating func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) -> Bool {
        self.now = now
        var flush = flushing.take() ?? beginFlush()
        var request = MetricRequest()
        // What is over of a resource goes in one part, which takes less.
        var part = FlushPart()
        while part.hasRoom, let resource = flush.resources.last {
            sendSome(of: resource, &part, &flush, into: &request)
        }
        if request.points > 0 {
            let points = request.points
            emit(request.finish(), points)
        }
        guard flush.resources.isEmpty else {
            flushing = flush
            return true
        }
        return false
    }

    private func beginFlush() -> Flush {
        var resources: [(index: Int32, key: SeriesTable.Key)] = []
        for place in table.resources.indices.reversed() where table.resources[place].isInUse {
            resources.append((Int32(place), table.resources[place].key))
        }
        return Flush(resources: resources)
    }

    private func isKnown(_ index: Int32, _ key: SeriesTable.Key) -> Bool {
        table.resources[Int(index)].isInUse && table.resources[Int(index)].key == key
    }

    /// Sends series of a resource, as many as the part has room for.
    private mutating func sendSome(
        of resource: (index: Int32, key: SeriesTable.Key), _ part: inout FlushPart, _ flush: inout Flush,
        into request: inout MetricRequest
    ) {
        let index = resource.index
        if !isKnown(index, resource.key) || table.resources[Int(index)].series.isEmpty { part.add(0) }
        if isKnown(index, resource.key) {
            if flush.sent == 0 {
                flush.series = table.resources[Int(index)].series
                flush.isEvicted = table.resources[Int(index)].isEvicted
            }
            part.add(others: table.resources[Int(index)].attributes.bytes.count)
            var end = flush.sent
            while end < flush.series.count, end == flush.sent || part.hasRoom {
                part.add(table.writtenBytes(flush.series[end]))
                end += 1
            }
            let sending = flush.series[flush.sent..<end]
            flush.sent = end
            // Others may have gone since the flush began.
            let series = sending.filter { table.series[Int($0)].resource == index }
            write(series, of: index, into: &request)
            for series in series { finish(series, &flush) }
            if flush.sent < flush.series.count { return }
            finish(resource: index, flush)
        }
        flush.resources.removeLast()
        (flush.series, flush.sent, flush.forgotten, flush.idle) = ([], 0, [], 0)
    }

    private var isDelta: Bool { config.temporality == .delta }

    private func write(_ part: [Int32], of resource: Int32, into request: inout MetricRequest) {
        let shown = part.filter { !isDelta || table.isChanged($0) }
        guard !shown.isEmpty else { return }
        request.beginResource(table.resources[Int(resource)].attributes)
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

    /// What a flush leaves of a series.
    private mutating func finish(_ series: Int32, _ flush: inout Flush) {
        if isDelta, !table.isChanged(series) {
            // Kept for the start of its next delta, as long as there are not too many of them.
            flush.idle += 1
            if flush.idle > config.startsMax { flush.forgotten.insert(series) }
            return
        }
        let isOver =
            config.seriesExpiration > .zero
            && now &- table.used(series) > UInt64(clamping: config.seriesExpiration.wholeNanoseconds)
        table.flushed(series, isDelta: isDelta, now: now)
        if isOver { flush.forgotten.insert(series) }
    }

    /// What a flush leaves of a resource.
    private mutating func finish(resource index: Int32, _ flush: Flush) {
        let resource = table.resources[Int(index)]
        let isExpired =
            config.expiration > .zero && !resource.isEvicted
            && now &- resource.used > UInt64(clamping: config.expiration.wholeNanoseconds)
        if flush.isEvicted || isExpired { return table.remove(resource: index) }
        // A span may have come since its part was sent.
        let over = flush.forgotten.filter { table.series[Int($0)].resource == index && !table.isChanged($0) }
        table.remove(series: over, of: index)
    }
}
