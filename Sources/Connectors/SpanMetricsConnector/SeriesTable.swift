internal import MetricBuilding
internal import OTLP
internal import Pipeline

/// The series of spans: counts, durations and exemplars, by resource. One thread.
struct SeriesTable {
    /// 128 bits that stand for a resource, or for a resource and labels.
    struct Key: Equatable {
        let low: UInt64
        let high: UInt64

        init(_ hash: WireHash) { (low, high) = (hash.low, hash.high) }
    }

    /// What a series counts.
    enum Metric: UInt8, CaseIterable {
        /// With the same labels as durations, which are in the same series then.
        case calls
        case durations
        case events
    }

    struct Series {
        var key: Key
        var metric: Metric
        var resource: Int32
        var labels = AttributeList()
        var exponential: ExponentialHistogram?
        var exemplars: [MetricExemplar] = []
        /// Nanoseconds since 1970: when the series began, or, of deltas, when it was flushed last.
        var start: UInt64 = 0
        /// Whether it was never flushed.
        var isNew = true
        var isInUse = true
        /// Whether it holds what the limit left no series for.
        var isOverflow = false
        /// What it is charged with, but for exemplars.
        var bytes = 0
    }

    struct Resource {
        var key: Key
        var attributes = AttributeList()
        /// The text of `service.name`, and its length; not the text when it is too long for a label.
        var service: [UInt8] = []
        var serviceBytes = 0
        var series: [Int32] = []
        /// Series by metric, those of too many not counted.
        var counts: [Int] = [0, 0, 0]
        var used: UInt64 = 0
        var isInUse = true
        /// Flushed once more, then forgotten.
        var isEvicted = false
    }

    let bounds: BucketBounds
    private let stride: Int
    private let ledger: MemoryLedger?
    /// Knows what series take, and what went to those of too many.
    var room: SeriesRoom
    private(set) var series = BlockArray<Series>()
    /// What a span changes, of one series behind the other: a span touches one or two lines of the cache.
    ///
    ///     | count | sum (bits of a Double) | when a span came last | since the flush | buckets … |
    ///
    /// Since the flush: 1 if a span came, and 2 for each exemplar.
    private var tallies: BlockArray<UInt64>
    private(set) var resources: ContiguousArray<Resource> = []
    private var freeSeries: [Int32] = []
    private var freeResources: [Int32] = []
    private var seriesByKey = HashIndex()
    private var resourceByKey = HashIndex()
    private(set) var evicted: [Int32] = []

    /// - Parameter bounds: upper bounds of the buckets; none without an explicit histogram.
    init(bounds: [Double], ledger: MemoryLedger?) {
        self.bounds = BucketBounds(bounds)
        stride = Self.tallyHead + (bounds.isEmpty ? 0 : bounds.count + 1)
        tallies = BlockArray(stride: stride)
        self.ledger = ledger
        room = SeriesRoom(ledger)
    }

    var seriesCount: Int { seriesByKey.count }
    var resourceCount: Int { resourceByKey.count }

    private static let tallyHead = 4

    /// Counts of the buckets of a series, `bounds.count + 1`.
    func buckets(_ index: Int32) -> ArraySlice<UInt64> {
        tallies[values: Int(index)].dropFirst(Self.tallyHead)
    }

    func count(_ index: Int32) -> UInt64 { tallies[Int(index)] }
    func sum(_ index: Int32) -> Double { Double(bitPattern: tallies[Int(index), 1]) }
    /// When a span of a series came last.
    func used(_ index: Int32) -> UInt64 { tallies[Int(index), 2] }
    /// Whether something came since the last flush.
    func isChanged(_ index: Int32) -> Bool { tallies[Int(index), 3] & 1 != 0 }

    func findResource(_ key: Key) -> Int32? {
        let index = resourceByKey.find(key.low, key.high)
        return index < 0 ? nil : index
    }

    /// Asks for what `findSeries` will look at to be brought into the cache, by the hashes of the spans at hand.
    func prefetchSeries(_ spans: borrowing SpanReader) { seriesByKey.prefetch(hashesOf: spans) }

    /// A span of a series that has `duration` in the series' unit. Asks for what `count` will change to be brought into the
    /// cache.
    func place(_ index: Int32, _ duration: Double) -> Counted {
        let bucket = bounds.values.isEmpty ? 0 : bounds.bucket(of: duration)
        // SAFETY: a series that was found or made has `stride` tallies; nothing is read.
        unsafe tallies.withValues(of: Int(index)) { tally in
            unsafe OTLP.prefetch(UnsafeRawBufferPointer(start: tally, count: Self.tallyHead * 8))
            unsafe OTLP.prefetch(
                UnsafeRawBufferPointer(start: tally + (Self.tallyHead &+ bucket), count: 1))
        }
        return Counted(series: index, bucket: Int32(truncatingIfNeeded: bucket), duration: duration)
    }

    func findSeries(_ key: Key) -> Int32? {
        let index = seriesByKey.find(key.low, key.high)
        return index < 0 ? nil : index
    }

    // MARK: - Resources

    mutating func addResource(
        _ key: Key, _ attributes: AttributeList, service: WireBytes, now: UInt64
    ) -> Int32 {
        let resource = Resource(
            key: key, attributes: attributes,
            service: service.count > SeriesRoom.labelBytesMax ? [] : service.array,
            serviceBytes: service.count, used: now)
        let index: Int32
        if let reused = freeResources.popLast() {
            index = reused
            resources[Int(index)] = resource
        } else {
            index = Int32(resources.count)
            resources.append(resource)
        }
        resourceByKey.set(key.low, key.high, to: index)
        ledger?.charge(resource.attributes.bytes.count + Self.resourceBytes)
        return index
    }

    mutating func touch(resource index: Int32, now: UInt64) { resources[Int(index)].used = now }

    /// The resource whose spans came longest ago.
    func oldestResource() -> Int32? {
        var oldest: Int32?
        for (place, resource) in resources.enumerated() where resource.isInUse && !resource.isEvicted {
            if oldest.map({ resource.used < resources[Int($0)].used }) ?? true { oldest = Int32(place) }
        }
        return oldest
    }

    /// Hides a resource: it is flushed once more, then it goes. A new one of the same key begins anew.
    mutating func evict(resource index: Int32) {
        let key = resources[Int(index)].key
        resourceByKey.remove(key.low, key.high)
        for series in resources[Int(index)].series {
            let key = self.series[Int(series)].key
            seriesByKey.remove(key.low, key.high)
        }
        resources[Int(index)].isEvicted = true
        evicted.append(index)
    }

    mutating func remove(resource index: Int32) {
        for series in resources[Int(index)].series { free(series) }
        let resource = resources[Int(index)]
        if resource.isEvicted {
            evicted.removeAll { $0 == index }
        } else {
            resourceByKey.remove(resource.key.low, resource.key.high)
        }
        ledger?.release(resource.attributes.bytes.count + Self.resourceBytes)
        resources[Int(index)] = Resource(key: resource.key, isInUse: false)
        freeResources.append(index)
    }

    private static let resourceBytes = 250

    // MARK: - Series

    mutating func addSeries(
        _ key: Key, _ metric: Metric, of resource: Int32, _ labels: AttributeList,
        exponentialSize: Int?, isOverflow: Bool, now: UInt64
    ) -> Int32 {
        var added = Series(
            key: key, metric: metric, resource: resource, labels: labels, start: now)
        if let exponentialSize { added.exponential = ExponentialHistogram(sizeMax: exponentialSize) }
        added.bytes = seriesBytes(labels: labels.bytes.capacity, exponentialSize)
        room.add(added.bytes)
        let index: Int32
        if let reused = freeSeries.popLast() {
            index = reused
            series[Int(index)] = added
            clear(index)
        } else {
            index = Int32(series.count)
            series.append(added)
            tallies.append(0)
        }
        tallies[Int(index), 2] = now
        seriesByKey.set(key.low, key.high, to: index)
        resources[Int(resource)].series.append(index)
        series[Int(index)].isOverflow = isOverflow
        if !isOverflow { resources[Int(resource)].counts[Int(metric.rawValue)] += 1 }
        return index
    }

    /// What a series with labels of so many bytes is charged with.
    func seriesBytes(labels: Int, _ exponentialSize: Int?) -> Int {
        labels + stride * 8 + Self.seriesBytes + (exponentialSize ?? 0) * 8
    }

    private static let seriesBytes = 280

    /// Forgets series of a resource, all at once: one by one a million takes minutes.
    mutating func remove(series indices: Set<Int32>, of resource: Int32) {
        guard !indices.isEmpty else { return }
        resources[Int(resource)].series.removeAll(where: indices.contains)
        for index in indices {
            let removed = series[Int(index)]
            if !removed.isOverflow { resources[Int(resource)].counts[Int(removed.metric.rawValue)] -= 1 }
            free(index)
        }
    }

    private mutating func free(_ index: Int32) {
        let removed = series[Int(index)]
        if findSeries(removed.key) == index { seriesByKey.remove(removed.key.low, removed.key.high) }
        room.remove(removed.bytes)
        ledger?.release(Self.bytes(of: removed.exemplars))
        series[Int(index)] = Series(key: removed.key, metric: removed.metric, resource: -1, isInUse: false)
        freeSeries.append(index)
    }

    /// A span, and the series that counts it.
    struct Counted: BitwiseCopyable {
        var series: Int32 = 0
        /// Where the duration falls among the bounds.
        var bucket: Int32 = 0
        var duration = 0.0
    }

    /// Counts the first so many spans.
    mutating func count(_ spans: [Counted], _ count: Int, durations: Bool, now: UInt64) {
        let hasBuckets = !bounds.values.isEmpty
        for span in spans[..<count] {
            // SAFETY: a series that was found or made has `stride` tallies, of which a bucket's is one.
            unsafe tallies.withMutableValues(of: Int(span.series)) { tally in
                unsafe tally[0] &+= 1
                unsafe tally[2] = now
                unsafe tally[3] |= 1
                guard durations else { return }
                unsafe tally[1] = (Double(bitPattern: tally[1]) + span.duration).bitPattern
                if hasBuckets { unsafe tally[Self.tallyHead &+ Int(span.bucket)] &+= 1 }
            }
        }
        guard durations, !hasBuckets else { return }
        for index in 0..<count {
            series[Int(spans[index].series)].exponential?.add(spans[index].duration)
        }
    }

    /// Whether a series has fewer exemplars than that.
    func wantsExemplar(_ index: Int32, most: Int) -> Bool {
        tallies[Int(index), 3] >> 1 < UInt64(most)
    }

    mutating func add(_ exemplar: MetricExemplar, to index: Int32) {
        ledger?.charge(Self.bytes(of: [exemplar]))
        series[Int(index)].exemplars.append(exemplar)
        tallies[Int(index), 3] += 2
    }

    /// What a series takes in a request, beside numbers.
    func writtenBytes(_ index: Int32) -> Int {
        2 * (series[Int(index)].labels.bytes.count + 64 * series[Int(index)].exemplars.count)
    }

    /// What exemplars are charged with: two identifiers are in memory of their own.
    private static func bytes(of exemplars: [MetricExemplar]) -> Int {
        exemplars.reduce(0) { $0 + $1.traceID.count + $1.spanID.count + exemplarBytes }
    }

    private static let exemplarBytes = 160

    /// What a flush leaves behind: deltas begin at 0, cumulative ones go on.
    mutating func flushed(_ index: Int32, isDelta: Bool, now: UInt64) {
        let place = Int(index)
        series[place].isNew = false
        tallies[place, 3] = 0
        ledger?.release(Self.bytes(of: series[place].exemplars))
        series[place].exemplars.removeAll()
        guard isDelta else { return }
        series[place].start = now
        let used = used(index)
        clear(index)
        tallies[place, 2] = used
        if let old = series[place].exponential {
            series[place].exponential = ExponentialHistogram(sizeMax: old.sizeMax)
        }
    }

    private mutating func clear(_ index: Int32) {
        for place in 0..<stride { tallies[Int(index), place] = 0 }
    }
}
