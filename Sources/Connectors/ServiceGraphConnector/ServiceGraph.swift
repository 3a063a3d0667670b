internal import MetricBuilding
package import NIOCore
package import OTLP
package import Pipeline

/// Joins spans to edges between services and counts them. One thread. Times are nanoseconds since 1970.
///
/// A structure: what is stored in a class is checked for overlapping changes at each of several steps of each span.
package struct ServiceGraph: ~Copyable {
    /// What the owner shows.
    package struct Counts: Sendable, Equatable {
        package var edges = 0
        package var expired = 0
        package var droppedSpans = 0
        /// Spans of which no edges are made: their service or labels are too long.
        package var oversized = 0
    }

    private let config: ServiceGraphConfig
    private let hasher = WireHasher()
    private let start: UInt64
    private let waitNanoseconds: UInt64
    private let clientKeys: [[UInt8]]
    private let serverKeys: [[UInt8]]
    /// Of the peer and, behind them, of databases.
    private var finder: AttributeFinder
    /// Of the dimensions: what the resource at hand has, looked up once for all its spans, and what the span has.
    private var ofResource: AttributeFinder
    private var ofSpan: AttributeFinder
    private var names: NameTable
    /// Of the other kinds no edges are made.
    private var spans = SpanReader(kinds: 2...5)
    private var store: EdgeStore
    private(set) var series: GraphSeries
    /// Of a flush that is under way: where its next part begins.
    private var nextPart: Int?
    package private(set) var counts = Counts()

    package init(_ config: ServiceGraphConfig, ledger: MemoryLedger?, now: UInt64) {
        self.config = config
        start = now
        waitNanoseconds = UInt64(clamping: TimeAmount(config.wait).nanoseconds)
        clientKeys = config.dimensions.map { Array("client_\($0)".utf8) }
        serverKeys = config.dimensions.map { Array("server_\($0)".utf8) }
        finder = AttributeFinder(config.peerAttributes + config.databaseAttributes)
        ofResource = AttributeFinder(config.dimensions)
        ofSpan = ofResource
        names = NameTable(ledger: ledger)
        store = EdgeStore(most: config.edgesMax, ledger: ledger)
        series = GraphSeries(config, ledger: ledger)
    }

    package var waiting: Int { store.count }
    package var seriesCount: Int { series.count }

    /// Takes the spans of a request.
    package mutating func count(_ request: WireBytes, now: UInt64) {
        for entry in request.fields where entry.number == Field.Request.resources && entry.isBytes {
            let resource = entry.bytes.message(Field.ResourceEntry.resource)
            guard case .string(let name)? = resource.attribute("service.name", in: Field.Resource.attributes),
                name.count > 0
            else { continue }
            // Kept for each edge that waits, and then a label: one of 1 MB is no name.
            let isTooLong = name.count > SeriesRoom.labelBytesMax
            let service = isTooLong ? 0 : names.acquire(name)
            ofResource.clear()
            ofResource.find(in: resource, Field.Resource.attributes)
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                spans.begin(scope.bytes)
                while spans.next() {
                    guard !isTooLong else {
                        counts.oversized += spans.count
                        continue
                    }
                    takeSpans(service, name.count, now)
                }
            }
            names.release(service)
        }
        store.settle()
    }

    /// Takes the spans at hand. Three times over them: what one step looks for in memory comes while the others' are looked at.
    private mutating func takeSpans(_ service: NameTable.ID, _ serviceBytes: Int, _ now: UInt64) {
        spans.hashEdges(callers: Self.clients, hasher)
        store.prefetch(spans)
        for index in 0..<spans.count { store.prefetchEdge(key(index)) }
        for index in 0..<spans.count {
            guard let half = read(index, service, serviceBytes) else {
                counts.oversized += 1
                continue
            }
            join(half, key(index), now)
        }
    }

    /// Names the edge of a span at hand.
    private func key(_ index: Int) -> HashKey {
        let hash = spans.hash(index)
        return HashKey(low: hash.low, high: hash.high)
    }

    /// Kinds of those who call: client and producer.
    private static let clients: ClosedRange<UInt64> = 3...4

    /// What a span at hand tells of an edge; nil when that would be too long for labels.
    private mutating func read(_ index: Int, _ service: NameTable.ID, _ serviceBytes: Int) -> EdgeHalf? {
        let kind = spans.kind(index)
        let isClient = Self.clients.contains(kind)
        var (database, peer) = (WireBytes?.none, WireBytes?.none)
        if isClient {
            finder.clear()
            finder.find(in: spans.attributes(index), Field.Span.attributes)
            let peers = config.peerAttributes.count
            database = finder.text(peers..<finder.count)
            // Only an edge that stays without its other side asks for it.
            if database == nil { peer = finder.text(0..<peers) }
        }
        var bytes = serviceBytes + ((database ?? peer)?.count ?? 0)
        if !config.dimensions.isEmpty {
            ofSpan.clear()
            ofSpan.find(in: spans.attributes(index), Field.Span.attributes)
            for index in config.dimensions.indices { bytes += dimension(index)?.count ?? 0 }
        }
        guard bytes <= SeriesRoom.labelBytesMax else { return nil }
        names.retain(service)
        var half = EdgeHalf(
            isClient: isClient, service: service, seconds: Double(spans.duration(index)) / 1e9,
            isFailed: spans.status(index) == 2, isMessaging: kind == 4 || kind == 5,
            isRoot: !isClient && spans[index].isRoot)
        if !config.dimensions.isEmpty {
            half.labels = names.acquire(labels(isClient ? clientKeys : serverKeys).bytes)
        }
        if let database { half.database = names.acquire(database) }
        if let peer { half.peer = names.acquire(peer) }
        return half
    }

    /// Finds the edge of a span, or begins one; a whole one is counted.
    private mutating func join(_ half: EdgeHalf, _ key: HashKey, _ now: UInt64) {
        if let index = store.find(key) {
            if store.add(half, to: index, &names) { complete(store.remove(index), now) }
            return
        }
        var edge = Edge()
        edge.add(half, &names)
        if edge.isComplete { return complete(edge, now) }
        guard !store.insert(key, edge, due: now &+ waitNanoseconds) else { return }
        counts.droppedSpans += 1
        edge.release(&names)
    }

    /// The value of a dimension: of the resource, else the span.
    private func dimension(_ index: Int) -> WireBytes? { ofResource.values[index] ?? ofSpan.values[index] }

    private func labels(_ names: [[UInt8]]) -> AttributeList {
        var labels = AttributeList()
        for index in config.dimensions.indices {
            if let value = dimension(index) { labels.add(names[index], AttributeValue(value).labelText) }
        }
        return labels
    }

    private mutating func complete(_ edge: Edge, _ now: UInt64) {
        counts.edges += 1
        series.count(edge, &names, now)
        edge.release(&names)
    }

    /// Ends the wait of edges whose time is over: what is missing of them is made up, where that makes sense.
    package mutating func expire(now: UInt64) {
        defer { store.settle() }
        while var edge = store.popExpired(now) {
            counts.expired += 1
            // A server without a parent was called by somebody who sends no spans; one with a parent, by a span that got lost.
            guard !config.peerAttributes.isEmpty, edge.client != 0 || edge.isRoot else {
                edge.release(&names)
                continue
            }
            edge.connection = .virtual
            if edge.client == 0 {
                edge.client = names.acquire(Array("user".utf8))
                edge.virtualSide = .client
            } else {
                names.retain(edge.peer)
                edge.server = edge.peer == 0 ? names.acquire(Array("unknown".utf8)) : edge.peer
                edge.virtualSide = .server
            }
            complete(edge, now)
        }
    }

    /// Forgets series that nobody has used for a quarter of an hour.
    package mutating func forget(now: UInt64) { series.forget(unusedSince: now &- 900_000_000_000, &names) }

    /// A part of the metrics as they are now; `emit` gets the request and its points, if there are any. Edges may be counted
    /// between two parts.
    /// - Returns: whether there is more.
    package mutating func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) -> Bool {
        guard series.count > 0 || nextPart != nil else { return false }
        let offset = UInt64(clamping: TimeAmount(config.timestampOffset).nanoseconds)
        var request = MetricRequest()
        request.beginResource()
        request.beginScope("traces_service_graph")
        nextPart = series.write(
            from: nextPart ?? 0, into: &request, start: start, time: now &- offset)
        let points = request.points
        if points > 0 { emit(request.finish(), points) }
        return nextPart != nil
    }
}

extension AttributeValue {
    /// What a label says of the value: text, numbers and booleans as they are written; nothing of lists and maps.
    fileprivate var labelText: [UInt8] {
        switch self {
        case .string(let text): text.array
        case .bool(let flag): Array((flag ? "true" : "false").utf8)
        case .int(let number): Array("\(number)".utf8)
        case .double(let number): Array("\(number)".utf8)
        case .empty, .array, .keyValueList, .bytes: []
        }
    }
}
