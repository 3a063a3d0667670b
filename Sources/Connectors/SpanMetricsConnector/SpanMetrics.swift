internal import MetricBuilding
package import NIOCore
package import OTLP
package import Pipeline

/// Counts spans and makes metrics of the counts. One thread.
///
/// A structure: what is stored in a class is checked for overlapping changes at each of several steps of each span.
package struct SpanMetrics {
    private let config: SpanMetricsConfig
    private let hasher = WireHasher()
    private var reader: LabelReader
    private let ledger: MemoryLedger?
    /// Spans that were not counted for want of a `service.name`.
    package private(set) var skipped = 0
    /// Spans counted in a series of too many.
    package private(set) var overflowed = 0
    /// Resources forgotten before they were flushed, because too many came between two flushes.
    package private(set) var lostResources = 0
    private var table: SeriesTable
    /// Whether calls and durations have the same labels and so share their series.
    private let isShared: Bool
    private let exponentialSize: Int?
    private var now: UInt64 = 0

    /// - Parameter instance: the value of `collector.instance.id`.
    package init(_ config: SpanMetricsConfig, instance: String, ledger: MemoryLedger?) {
        self.config = config
        self.ledger = ledger
        reader = LabelReader(config, hasher: hasher, instance: instance)
        isShared = config.callsDimensions == config.histogramDimensions
        switch config.histogram {
        case .off:
            table = SeriesTable(bounds: [], ledger: ledger)
            exponentialSize = nil
        case .explicit(let bounds):
            table = SeriesTable(bounds: bounds, ledger: ledger)
            exponentialSize = nil
        case .exponential(let size):
            table = SeriesTable(bounds: [], ledger: ledger)
            exponentialSize = size
        }
    }

    package var seriesCount: Int { table.seriesCount }
    package var resourceCount: Int { table.resourceCount }
    private var hasDurations: Bool { config.histogram != .off }

    // MARK: - Counting

    /// Counts the spans of a request.
    /// - Parameter now: nanoseconds since 1970.
    package mutating func count(_ request: WireBytes, now: UInt64) {
        self.now = now
        for entry in request.fields where entry.number == Field.Request.resources && entry.isBytes {
            let resource = entry.bytes.message(Field.ResourceEntry.resource)
            let found = find(resource)
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                for span in scope.bytes.fields where span.number == Field.ScopeEntry.entries && span.isBytes {
                    guard let found else {
                        skipped += 1
                        continue
                    }
                    count(
                        LabelReader.Source(
                            resource: resource, scope: scope.bytes, span: SpanFields(span.bytes)),
                        found.index, found.hash)
                }
            }
        }
    }

    /// The resource's place; nil when it has no service name.
    private mutating func find(_ resource: WireBytes) -> (index: Int32, hash: WireHash)? {
        guard let name = resource.attribute("service.name", in: Field.Resource.attributes) else { return nil }
        var hash = WireHash(low: 0, high: 0)
        if config.resourceKeys.isEmpty {
            hash = hasher.hash(resource, from: hash)
        } else {
            for (place, key) in config.resourceKeys.enumerated() {
                guard let value = resource.attribute(key, in: Field.Resource.attributes) else { continue }
                hash = hasher.hash(UInt64(place), from: hash)
                var bytes = AttributeList()
                bytes.add(key.bytes, value)
                hash = unsafe bytes.bytes.withUnsafeBytes { unsafe hasher.hash(WireBytes($0), from: hash) }
            }
        }
        let key = SeriesTable.Key(hash)
        if let index = table.findResource(key) {
            table.touch(resource: index, now: now)
            return (index, hash)
        }
        makeRoom()
        var attributes = AttributeList()
        attributes.add(allOf: resource, Field.Resource.attributes)
        var service: [UInt8] = []
        if case .string(let text) = name { service = text.array }
        return (table.addResource(key, attributes, service: service, now: now), hash)
    }

    private mutating func makeRoom() {
        guard table.resourceCount >= config.resourcesMax, let oldest = table.oldestResource() else { return }
        // What was evicted waits for the next flush; a flood of resources must not pile up until then.
        if table.evicted.count < config.resourcesMax {
            table.evict(resource: oldest)
        } else {
            lostResources += 1
            table.remove(resource: oldest)
        }
    }

    private mutating func count(_ source: LabelReader.Source, _ resource: Int32, _ start: WireHash) {
        let unit = config.isSeconds ? 1e9 : 1e6
        let duration = Double(source.span.duration) / unit
        let calls = series(.calls, source, resource, start)
        table.count(calls, duration: isShared && hasDurations ? duration : nil, now: now)
        addExemplar(source, duration, to: calls)
        if !isShared, hasDurations {
            let durations = series(.durations, source, resource, start)
            table.count(durations, duration: duration, now: now)
            addExemplar(source, duration, to: durations)
        }
        guard config.eventDimensions != nil else { return }
        for field in source.span.message.fields where field.number == Field.Span.events && field.isBytes {
            var event = source
            event.event = field.bytes
            let events = series(.events, event, resource, start)
            table.count(events, duration: nil, now: now)
        }
    }

    private mutating func addExemplar(_ source: LabelReader.Source, _ duration: Double, to index: Int32) {
        guard config.exemplarsMax > 0, source.span.traceID.count > 0,
            table.wantsExemplar(index, most: config.exemplarsMax)
        else { return }
        let exemplar = MetricExemplar(
            value: duration, time: now, traceID: source.span.traceID.array,
            spanID: source.span.spanID.array)
        table.add(exemplar, to: index)
    }

    private mutating func series(
        _ metric: SeriesTable.Metric, _ source: LabelReader.Source, _ resource: Int32, _ start: WireHash
    ) -> Int32 {
        let from = WireHash(low: start.low ^ UInt64(metric.rawValue), high: start.high)
        let key = SeriesTable.Key(reader.hash(source, metric, from: from))
        if let index = table.findSeries(key) { return index }
        let most = config.seriesPerResourceMax
        let isTooMany =
            most > 0 && table.resources[Int(resource)].counts[Int(metric.rawValue)] >= most
            || table.seriesCount >= config.seriesMax
        guard isTooMany else {
            let labels = reader.labels(source, metric, service: table.resources[Int(resource)].service)
            return add(key, metric, resource, labels, isOverflow: false)
        }
        overflowed += 1
        let overflow = SeriesTable.Key(hasher.hash(UInt64.max, from: from))
        if let index = table.findSeries(overflow) { return index }
        var labels = AttributeList()
        labels.add("otel.metric.overflow", true)
        return add(overflow, metric, resource, labels, isOverflow: true)
    }

    private mutating func add(
        _ key: SeriesTable.Key, _ metric: SeriesTable.Metric, _ resource: Int32, _ labels: AttributeList,
        isOverflow: Bool
    ) -> Int32 {
        let hasBuckets = metric == .durations || metric == .calls && isShared
        return table.addSeries(
            key, metric, of: resource, labels, exponentialSize: hasBuckets ? exponentialSize : nil,
            isOverflow: isOverflow, now: now)
    }

    // MARK: - Flushing

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
                    counts: table.buckets(index), bounds: table.bounds, sum: table.sum(index), series.labels,
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
