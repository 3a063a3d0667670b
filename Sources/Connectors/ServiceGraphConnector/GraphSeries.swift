internal import MetricBuilding
internal import OTLP
internal import Pipeline

/// What was counted of edges, by their labels. One thread.
struct GraphSeries {
    fileprivate struct Latency {
        var sum = 0.0
        var counts: [UInt64] = []
        var exponential: ExponentialHistogram?

        /// Of a series that is not in use.
        init() {}

        init(_ histogram: ServiceGraphConfig.Histogram) {
            switch histogram {
            case .explicit(let bounds): counts = Array(repeating: 0, count: bounds.count + 1)
            case .exponential(let size):
                exponential = ExponentialHistogram(sizeMax: size)
            }
        }

        mutating func add(_ seconds: Double, _ bounds: [Double]) {
            sum += seconds
            exponential?.add(seconds)
            guard !counts.isEmpty else { return }
            var bucket = 0
            for bound in bounds where !(seconds <= bound) { bucket &+= 1 }
            counts[bucket] &+= 1
        }
    }

    fileprivate struct Series {
        let key: HashKey
        var labels = AttributeList()
        var total: UInt64 = 0
        var failed: UInt64 = 0
        var client = Latency()
        var server = Latency()
        var used: UInt64 = 0
        var bytes = 0
        var isInUse = false
    }

    private let config: ServiceGraphConfig
    private let ledger: MemoryLedger?
    private let bounds: [Double]
    private let hasher = WireHasher()
    private var series: ContiguousArray<Series> = []
    private var free: [Int] = []
    private var indices = HashIndex()

    init(_ config: ServiceGraphConfig, ledger: MemoryLedger?) {
        self.config = config
        self.ledger = ledger
        if case .explicit(let bounds) = config.histogram { self.bounds = bounds } else { bounds = [] }
    }

    var count: Int { indices.count }

    /// Counts an edge; false when it is one of too many.
    mutating func count(_ edge: Edge, _ now: UInt64) -> Bool {
        let key = key(edge)
        var index = Int(indices.find(key.low, key.high))
        let isOwn = index >= 0 || indices.count < config.seriesMax
        if index < 0 { index = isOwn ? add(edge, key, isOwn, now) : overflowIndex(edge, now) }
        series[index].count(edge, bounds, now)
        return isOwn
    }

    private mutating func overflowIndex(_ edge: Edge, _ now: UInt64) -> Int {
        let key = HashKey(low: 0, high: 0)
        let index = Int(indices.find(key.low, key.high))
        return index < 0 ? add(edge, key, false, now) : index
    }

    private mutating func add(_ edge: Edge, _ key: HashKey, _ isOwn: Bool, _ now: UInt64) -> Int {
        let index = free.popLast() ?? series.count
        let made = make(edge, key, isOwn, now)
        if index < series.count { series[index] = made } else { series.append(made) }
        indices.set(key.low, key.high, to: Int32(index))
        return index
    }

    private func make(_ edge: Edge, _ key: HashKey, _ isOwn: Bool, _ now: UInt64) -> Series {
        let labels = isOwn ? labels(edge) : Self.overflow
        var bytes = labels.bytes.count + 300
        switch config.histogram {
        case .explicit(let bounds): bytes += (bounds.count + 5) * 16
        case .exponential(let size): bytes += size * 16
        }
        ledger?.charge(bytes)
        return Series(
            key: key, labels: labels, client: Latency(config.histogram), server: Latency(config.histogram),
            used: now, bytes: bytes, isInUse: true)
    }

    private static let overflow: AttributeList = {
        var labels = AttributeList()
        labels.add("otel.metric.overflow", true)
        return labels
    }()

    private func key(_ edge: Edge) -> HashKey {
        let side = config.hasVirtualLabel ? edge.virtualSide.rawValue : 0
        var hash = WireHash(low: edge.connection.rawValue, high: side << 1 | (edge.isFailed ? 1 : 0))
        func add(_ bytes: [UInt8]) {
            hash = unsafe bytes.withUnsafeBytes { unsafe hasher.hash(WireBytes($0), from: hash) }
        }
        add(edge.client)
        add(edge.server)
        if !config.dimensions.isEmpty {
            add(edge.clientLabels?.bytes ?? [])
            add(edge.serverLabels?.bytes ?? [])
        }
        return HashKey(low: hash.low, high: hash.high)
    }

    private func labels(_ edge: Edge) -> AttributeList {
        var labels = AttributeList()
        labels.add(Array("client".utf8), edge.client)
        labels.add(Array("server".utf8), edge.server)
        labels.add("connection_type", edge.connection.label)
        labels.add("failed", edge.isFailed)
        if config.hasVirtualLabel, edge.virtualSide != .none {
            labels.add("virtual_node", edge.virtualSide.label)
        }
        if let client = edge.clientLabels { labels.add(client) }
        if let server = edge.serverLabels { labels.add(server) }
        return labels
    }

    mutating func forget(unusedSince time: UInt64) {
        for index in series.indices where series[index].isInUse && series[index].used < time {
            let key = series[index].key
            ledger?.release(series[index].bytes)
            indices.remove(key.low, key.high)
            // Labels and buckets go with it.
            series[index] = Series(key: key)
            free.append(index)
        }
    }

    /// Writes all series; needs at least one.
    func write(into request: inout MetricRequest, start: UInt64, time: UInt64) {
        let prefix = "traces_service_graph_request"
        let all = series.filter(\.isInUse)
        request.beginMetric(prefix + "_total", .sum(.cumulative, isMonotonic: true))
        for series in all {
            request.number(.int(Int64(clamping: series.total)), series.labels, start: start, time: time)
        }
        let failed = all.filter { $0.failed > 0 }
        if !failed.isEmpty {
            request.beginMetric(prefix + "_failed_total", .sum(.cumulative, isMonotonic: true))
            for series in failed {
                request.number(.int(Int64(clamping: series.failed)), series.labels, start: start, time: time)
            }
        }
        for (name, latency) in [("_server", \Series.server), ("_client", \Series.client)] {
            let isExponential = bounds.isEmpty && all[0].client.exponential != nil
            request.beginMetric(
                prefix + name, unit: "s",
                isExponential ? .exponentialHistogram(.cumulative) : .histogram(.cumulative))
            for series in all {
                let found = series[keyPath: latency]
                if let exponential = found.exponential {
                    request.exponential(exponential, series.labels, start: start, time: time)
                } else {
                    request.histogram(
                        counts: found.counts, bounds: bounds, sum: found.sum, series.labels, start: start,
                        time: time)
                }
            }
        }
    }
}

extension GraphSeries.Series {
    fileprivate mutating func count(_ edge: Edge, _ bounds: [Double], _ now: UInt64) {
        total &+= 1
        if edge.isFailed { failed &+= 1 }
        client.add(edge.clientSeconds, bounds)
        server.add(edge.serverSeconds, bounds)
        used = now
    }
}
