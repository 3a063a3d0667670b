internal import MetricBuilding
internal import OTLP
internal import Pipeline

/// What was counted of edges, by their labels. One thread.
struct GraphSeries {
    fileprivate struct Series {
        let key: HashKey
        /// Of which it has the references.
        var edge = Edge()
        var labels = AttributeList()
        /// Latencies, if their buckets are not in the tallies.
        var client: ExponentialHistogram?
        var server: ExponentialHistogram?
        var bytes = 0
        var isInUse = false
    }

    /// Where a series' latencies of one side are in its tallies: a sum (bits of a Double), then the buckets.
    private struct Side {
        let name: String
        let start: Int
        let exponential: KeyPath<Series, ExponentialHistogram?>
    }

    private let config: ServiceGraphConfig
    /// Knows what series take, and what went to the one of too many.
    private(set) var room: SeriesRoom
    private let bounds: BucketBounds
    private var series = BlockArray<Series>()
    /// What an edge changes, of one series behind the other.
    ///
    ///     | total | failed | when an edge came last | server's sum | buckets … | client's sum | buckets … |
    private var tallies: BlockArray<UInt64>
    private let stride: Int
    private let isExplicit: Bool
    private let sides: (server: Int, client: Int)
    private var free: [Int] = []
    private var indices = HashIndex()

    init(_ config: ServiceGraphConfig, ledger: MemoryLedger?) {
        self.config = config
        room = SeriesRoom(ledger)
        var buckets = 0
        if case .explicit(let bounds) = config.histogram {
            self.bounds = BucketBounds(bounds)
            buckets = bounds.count + 1
            isExplicit = true
        } else {
            bounds = BucketBounds([])
            isExplicit = false
        }
        sides = (server: 3, client: 4 + buckets)
        stride = 5 + 2 * buckets
        tallies = BlockArray(stride: stride)
    }

    var count: Int { indices.count }

    /// Counts an edge.
    mutating func count(_ edge: Edge, _ names: inout NameTable, _ now: UInt64) {
        let key = key(edge)
        var index = Int(indices.find(key.low, key.high))
        if index < 0 {
            if let lack = lack(edge, names) {
                room.overflow(lack)
                index = overflowIndex(&names)
            } else {
                index = add(edge, key, labels(edge, names), &names)
            }
        }
        tally(edge, index, now)
    }

    /// Why there is no series for an edge.
    private func lack(_ edge: Edge, _ names: NameTable) -> SeriesLack? {
        if indices.count >= config.seriesMax { return .count }
        let ids = [edge.client, edge.server, edge.clientLabels, edge.serverLabels]
        let labels = ids.reduce(0) { $0 + names[$1].count }
        if labels > SeriesRoom.labelBytesMax { return .labels }
        return room.isShort(of: bytes(labels: labels)) ? .memory : nil
    }

    /// What a series with labels of so many bytes is charged with.
    private func bytes(labels: Int) -> Int {
        var bytes = labels + 300 + stride * 8
        if case .exponential(let size) = config.histogram { bytes += size * 16 }
        return bytes
    }

    private mutating func tally(_ edge: Edge, _ index: Int, _ now: UInt64) {
        if !isExplicit {
            series[index].server?.add(edge.serverSeconds)
            series[index].client?.add(edge.clientSeconds)
        }
        let serverBucket = isExplicit ? bounds.bucket(of: edge.serverSeconds) : nil
        let clientBucket = isExplicit ? bounds.bucket(of: edge.clientSeconds) : nil
        let (server, client) = sides
        // SAFETY: a series has `stride` tallies, of which both sides' sums and buckets are some.
        unsafe tallies.withMutableValues(of: index) { tally in
            unsafe tally[0] &+= 1
            if edge.isFailed { unsafe tally[1] &+= 1 }
            unsafe tally[2] = now
            unsafe tally[server] = (Double(bitPattern: tally[server]) + edge.serverSeconds).bitPattern
            unsafe tally[client] = (Double(bitPattern: tally[client]) + edge.clientSeconds).bitPattern
            if let serverBucket { unsafe tally[server &+ 1 &+ serverBucket] &+= 1 }
            if let clientBucket { unsafe tally[client &+ 1 &+ clientBucket] &+= 1 }
        }
    }

    private mutating func overflowIndex(_ names: inout NameTable) -> Int {
        // No edge has this key: its services have names.
        let key = HashKey(low: 0, high: 0)
        let index = Int(indices.find(key.low, key.high))
        return index < 0 ? add(Edge(), key, Self.overflow, &names) : index
    }

    private mutating func add(
        _ edge: Edge, _ key: HashKey, _ labels: AttributeList, _ names: inout NameTable
    ) -> Int {
        var added = Series(key: key, edge: edge, labels: labels, isInUse: true)
        added.bytes = bytes(labels: labels.bytes.capacity)
        if case .exponential(let size) = config.histogram {
            added.client = ExponentialHistogram(sizeMax: size)
            added.server = ExponentialHistogram(sizeMax: size)
        }
        room.add(added.bytes)
        for id in [edge.client, edge.server, edge.clientLabels, edge.serverLabels] { names.retain(id) }
        let index = free.popLast() ?? series.count
        if index < series.count {
            series[index] = added
            for place in 0..<stride { tallies[index, place] = 0 }
        } else {
            series.append(added)
            tallies.append(0)
        }
        indices.set(key.low, key.high, to: Int32(index))
        return index
    }

    private static let overflow: AttributeList = {
        var labels = AttributeList()
        labels.add("otel.metric.overflow", true)
        return labels
    }()

    /// Names are kept once, so that their numbers tell edges apart as long as a series has their references.
    private func key(_ edge: Edge) -> HashKey {
        let side = config.hasVirtualLabel ? edge.virtualSide.rawValue : 0
        let kind = UInt64(edge.connection.rawValue << 3 | side << 1 | (edge.isFailed ? 1 : 0))
        return HashKey(
            low: UInt64(edge.client) << 32 | UInt64(edge.server),
            high: UInt64(edge.clientLabels) << 36 | UInt64(edge.serverLabels) << 8 | kind)
    }

    private func labels(_ edge: Edge, _ names: NameTable) -> AttributeList {
        var labels = AttributeList()
        labels.add(Array("client".utf8), names[edge.client])
        labels.add(Array("server".utf8), names[edge.server])
        labels.add("connection_type", edge.connection.label)
        labels.add("failed", edge.isFailed)
        if config.hasVirtualLabel, edge.virtualSide != .none {
            labels.add("virtual_node", edge.virtualSide.label)
        }
        labels.add(list: names[edge.clientLabels])
        labels.add(list: names[edge.serverLabels])
        return labels
    }

    mutating func forget(unusedSince time: UInt64, _ names: inout NameTable) {
        for index in 0..<series.count where series[index].isInUse && tallies[index, 2] < time {
            let gone = series[index]
            room.remove(gone.bytes)
            indices.remove(gone.key.low, gone.key.high)
            let edge = gone.edge
            for id in [edge.client, edge.server, edge.clientLabels, edge.serverLabels] { names.release(id) }
            // Labels and buckets go with it.
            series[index] = Series(key: gone.key)
            free.append(index)
        }
    }

    /// Series that are written in a part, each of them four times.
    private static let partSeries = 500

    /// Writes some of the series, from a place on.
    /// - Returns: where the next part begins; nil behind the last.
    func write(from place: Int, into request: inout MetricRequest, start: UInt64, time: UInt64) -> Int? {
        var part = FlushPart(series: Self.partSeries)
        var all: [Int] = []
        var place = place
        while part.hasRoom, place < series.count {
            if series[place].isInUse {
                all.append(place)
                part.add(4 * series[place].labels.bytes.count)
            }
            place += 1
        }
        if !all.isEmpty { write(all, into: &request, start: start, time: time) }
        return place < series.count ? place : nil
    }

    private func write(_ all: [Int], into request: inout MetricRequest, start: UInt64, time: UInt64) {
        let prefix = "traces_service_graph_request"
        func writeSum(_ name: String, _ indices: [Int], _ offset: Int) {
            request.beginMetric(prefix + name, .sum(.cumulative, isMonotonic: true))
            for index in indices {
                let value = Int64(clamping: tallies[index, offset])
                request.number(.int(value), series[index].labels, start: start, time: time)
            }
        }
        writeSum("_total", all, 0)
        let failed = all.filter { tallies[$0, 1] > 0 }
        if !failed.isEmpty { writeSum("_failed_total", failed, 1) }
        let sides = [
            Side(name: "_server", start: sides.server, exponential: \.server),
            Side(name: "_client", start: sides.client, exponential: \.client),
        ]
        for side in sides {
            request.beginMetric(
                prefix + side.name, unit: "s",
                isExplicit ? .histogram(.cumulative) : .exponentialHistogram(.cumulative))
            for index in all {
                let labels = series[index].labels
                if let exponential = series[index][keyPath: side.exponential] {
                    request.exponential(exponential, labels, start: start, time: time)
                } else {
                    let counts = tallies[values: index].dropFirst(side.start + 1)
                    request.histogram(
                        counts: counts.prefix(bounds.values.count + 1), bounds: bounds.values,
                        sum: Double(bitPattern: tallies[index, side.start]), labels, start: start, time: time)
                }
            }
        }
    }
}
