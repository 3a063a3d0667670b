internal import MetricBuilding
package import OTLP
package import Pipeline

/// Counts spans and makes metrics of the counts. One thread.
///
/// A structure: what is stored in a class is checked for overlapping changes at each of several steps of each span.
package struct SpanMetrics: ~Copyable {
    let config: SpanMetricsConfig
    private let hasher = WireHasher()
    private var reader: LabelReader
    private let ledger: MemoryLedger?
    /// Spans that were not counted for want of a `service.name`.
    package private(set) var skipped = 0
    /// Resources forgotten before they were flushed, because too many came between two flushes.
    package private(set) var lostResources = 0
    var table: SeriesTable
    /// Whether calls and durations have the same labels and so share their series.
    let isShared: Bool
    let exponentialSize: Int?
    var now: UInt64 = 0
    /// What of a flush is still to be sent.
    var flushing: Flush?
    private var spans = SpanReader()
    /// Of the spans at hand: where they are counted.
    private var counted = [SeriesTable.Counted](repeating: SeriesTable.Counted(), count: SpanReader.most)

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
    var hasDurations: Bool { config.histogram != .off }

    // MARK: - Counting

    /// Counts the spans of a request.
    /// - Parameter now: nanoseconds since 1970.
    package mutating func count(_ request: WireBytes, now: UInt64) {
        self.now = now
        for entry in request.fields where entry.number == Field.Request.resources && entry.isBytes {
            let resource = entry.bytes.message(Field.ResourceEntry.resource)
            let found = find(resource)
            reader.begin(resource: resource)
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                spans.begin(scope.bytes)
                reader.begin(scope: scope.bytes)
                while spans.next() {
                    guard let found else {
                        skipped += spans.count
                        continue
                    }
                    countSpans(found.index, found.hash)
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
        var service = WireBytes.none
        if case .string(let text) = name { service = text }
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

    /// Counts the spans at hand.
    private mutating func countSpans(_ resource: Int32, _ start: WireHash) {
        count(.calls, resource, start, durations: isShared && hasDurations)
        if !isShared, hasDurations { count(.durations, resource, start, durations: true) }
        guard config.eventDimensions != nil else { return }
        spans.hash(reader.hashedFields, hasher, from: Self.start(of: .events, start))
        for index in 0..<spans.count {
            let span = spans[index]
            reader.show(span.attributes, .events)
            for field in span.message.fields where field.number == Field.Span.events && field.isBytes {
                reader.show(event: field.bytes)
                let key = SeriesTable.Key(reader.hash(.events, spans.hash(index)))
                counted[0].series = series(.events, key, span, resource, start)
                table.count(counted, 1, durations: false, now: now)
            }
        }
    }

    /// Counts the spans at hand in one kind of series. Three times over them: what one step looks for in memory comes while the
    /// others' are looked at.
    private mutating func count(
        _ metric: SeriesTable.Metric, _ resource: Int32, _ start: WireHash, durations: Bool
    ) {
        spans.hash(reader.hashedFields, hasher, from: Self.start(of: metric, start))
        let isPlain = reader.isPlain(metric)
        let unit = config.isSeconds ? 1e9 : 1e6
        if !isPlain {
            for index in 0..<spans.count {
                reader.show(spans.attributes(index), metric)
                spans.setHash(index, reader.hash(metric, spans.hash(index)))
            }
        }
        table.prefetchSeries(spans)
        // Taken out: what is a part of this structure is looked at for other owners with each change.
        var counted = exchange(&self.counted, with: [])
        defer { self.counted = counted }
        for index in 0..<spans.count {
            let key = SeriesTable.Key(spans.hash(index))
            var found = table.findSeries(key) ?? -1
            if found < 0 {
                reader.show(spans.attributes(index), metric)
                found = series(metric, key, spans[index], resource, start)
            }
            counted[index] = table.place(found, Double(spans.duration(index)) / unit)
        }
        table.count(counted, spans.count, durations: durations, now: now)
        guard config.exemplarsMax > 0 else { return }
        for index in 0..<spans.count {
            addExemplar(index, counted[index].duration, to: counted[index].series)
        }
    }

    /// Keeps a span at hand as an exemplar of its series, if that has too few.
    private mutating func addExemplar(_ index: Int, _ duration: Double, to series: Int32) {
        guard table.wantsExemplar(series, most: config.exemplarsMax), spans.traceID(index).count > 0 else {
            return
        }
        let span = spans[index]
        let exemplar = MetricExemplar(
            value: duration, time: now, traceID: span.traceID.array, spanID: span.spanID.array)
        table.add(exemplar, to: series)
    }

    private static func start(of metric: SeriesTable.Metric, _ resource: WireHash) -> WireHash {
        WireHash(low: resource.low ^ UInt64(metric.rawValue), high: resource.high)
    }

    /// The series of a key, for what the reader was shown; a new one, or that of too many, if it is not known.
    private mutating func series(
        _ metric: SeriesTable.Metric, _ key: SeriesTable.Key, _ span: SpanFields, _ resource: Int32,
        _ start: WireHash
    ) -> Int32 {
        if let index = table.findSeries(key) { return index }
        guard let lack = lack(metric, span, resource) else {
            let labels = reader.labels(span, metric, service: table.resources[Int(resource)].service)
            return add(key, metric, resource, labels, isOverflow: false)
        }
        table.room.overflow(lack)
        let from = Self.start(of: metric, start)
        let overflow = SeriesTable.Key(hasher.hash(UInt64.max, from: from))
        if let index = table.findSeries(overflow) { return index }
        var labels = AttributeList()
        labels.add("otel.metric.overflow", true)
        return add(overflow, metric, resource, labels, isOverflow: true)
    }

    /// Why there is no series for what the reader was shown.
    private func lack(_ metric: SeriesTable.Metric, _ span: SpanFields, _ resource: Int32) -> SeriesLack? {
        let most = config.seriesPerResourceMax
        if most > 0 && table.resources[Int(resource)].counts[Int(metric.rawValue)] >= most
            || table.seriesCount >= config.seriesMax
        {
            return .count
        }
        let labels = reader.labelBytes(
            span, metric, serviceBytes: table.resources[Int(resource)].serviceBytes)
        if labels > SeriesRoom.labelBytesMax { return .labels }
        return table.room.isShort(of: table.seriesBytes(labels: labels, exponentialSize)) ? .memory : nil
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
}
