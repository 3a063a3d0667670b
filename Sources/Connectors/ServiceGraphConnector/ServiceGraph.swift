internal import MetricBuilding
package import NIOCore
package import OTLP
package import Pipeline

/// Joins spans to edges between services and counts them. One thread. Times are nanoseconds since 1970.
///
/// A structure: what is stored in a class is checked for overlapping changes at each of several steps of each span.
package struct ServiceGraph {
    /// What the owner shows.
    package struct Counts: Sendable, Equatable {
        package var edges = 0
        package var expired = 0
        package var droppedSpans = 0
        package var overflowed = 0
    }

    private let config: ServiceGraphConfig
    private let hasher = WireHasher()
    private let start: UInt64
    private let waitNanoseconds: UInt64
    private let clientKeys: [[UInt8]]
    private let serverKeys: [[UInt8]]
    /// Of the peer and, behind them, of databases.
    private var names: AttributeFinder
    /// Names of peers that came lately, each at the place that its length and its end give it.
    private var peers = [[UInt8]](repeating: [], count: recentPeers)
    private var store: EdgeStore
    private var series: GraphSeries
    package private(set) var counts = Counts()

    package init(_ config: ServiceGraphConfig, ledger: MemoryLedger?, now: UInt64) {
        self.config = config
        start = now
        waitNanoseconds = UInt64(clamping: TimeAmount(config.wait).nanoseconds)
        clientKeys = config.dimensions.map { Array("client_\($0)".utf8) }
        serverKeys = config.dimensions.map { Array("server_\($0)".utf8) }
        names = AttributeFinder(config.peerAttributes + config.databaseAttributes)
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
            let service = name.array
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                for span in scope.bytes.fields where span.number == Field.ScopeEntry.entries && span.isBytes {
                    // Of the other kinds no edges are made.
                    guard let span = SpanFields(span.bytes, kinds: 2...5) else { continue }
                    take(span, resource, service, now)
                }
            }
        }
        store.settle()
    }

    private mutating func take(
        _ span: SpanFields, _ resource: WireBytes, _ service: [UInt8], _ now: UInt64
    ) {
        let isClient = span.kind == 3 || span.kind == 4
        var half = EdgeHalf(
            isClient: isClient, service: service, seconds: Double(span.duration) / 1e9,
            isFailed: span.status == 2, isMessaging: span.kind == 4 || span.kind == 5,
            isRoot: !isClient && span.isRoot)
        if !config.dimensions.isEmpty {
            half.labels = labels(span, resource, isClient ? clientKeys : serverKeys)
        }
        if isClient {
            names.clear()
            names.find(in: span.attributes, Field.Span.attributes)
            if let peer = names.text(0..<config.peerAttributes.count) { half.peer = shared(peer) }
            half.database = names.text(config.peerAttributes.count..<names.count)
        }
        join(half, span.traceID, isClient ? span.spanID : span.parentSpanID, now)
    }

    /// A text as bytes: those of an edge before, when it had the same one, as nearly all have.
    private mutating func shared(_ text: WireBytes) -> [UInt8] {
        let place = (text.count &+ Int(text[text.count - 1])) % Self.recentPeers
        if !text.isEqual(to: peers[place]) { peers[place] = text.array }
        return peers[place]
    }

    private static let recentPeers = 32

    /// Finds the edge of a span, or begins one; a whole one is counted.
    private mutating func join(_ half: EdgeHalf, _ trace: WireBytes, _ id: WireBytes, _ now: UInt64) {
        // Both are hashed as bytes: an id as what the hash of the trace starts from gave equal hashes for ids that repeat a byte.
        let hash = hasher.hash(id, from: hasher.hash(trace, from: WireHash(low: 0, high: 0)))
        let key = HashKey(low: hash.low, high: hash.high)
        if let index = store.find(key) {
            if store.add(half, to: index) { complete(store.remove(index), now) }
            return
        }
        var edge = Edge()
        edge.add(half)
        if edge.isComplete { return complete(edge, now) }
        if !store.insert(key, edge, due: now &+ waitNanoseconds) { counts.droppedSpans += 1 }
    }

    private func labels(_ span: SpanFields, _ resource: WireBytes, _ names: [[UInt8]]) -> AttributeList {
        var labels = AttributeList()
        for (index, key) in config.dimensions.enumerated() {
            let value =
                resource.attribute(key, in: Field.Resource.attributes)
                ?? span.message.attribute(key, in: Field.Span.attributes)
            if let value { labels.add(names[index], value.labelText) }
        }
        return labels
    }

    private mutating func complete(_ edge: Edge, _ now: UInt64) {
        counts.edges += 1
        if !series.count(edge, now) { counts.overflowed += 1 }
    }

    /// Ends the wait of edges whose time is over: what is missing of them is made up, where that makes sense.
    package mutating func expire(now: UInt64) {
        defer { store.settle() }
        while var edge = store.popExpired(now) {
            counts.expired += 1
            guard !config.peerAttributes.isEmpty else { continue }
            edge.connection = .virtual
            if edge.client.isEmpty {
                // A server without a parent was called by somebody who sends no spans; one with a parent, by a span that
                // got lost.
                guard edge.isRoot else { continue }
                edge.client = Array("user".utf8)
                edge.virtualSide = .client
            } else {
                edge.server = edge.peer.isEmpty ? Array("unknown".utf8) : edge.peer
                edge.virtualSide = .server
            }
            complete(edge, now)
        }
    }

    /// Forgets series that nobody has used for a quarter of an hour.
    package mutating func forget(now: UInt64) { series.forget(unusedSince: now &- 900_000_000_000) }

    /// The metrics as they are now; `emit` gets the request and its points, if there are any.
    package func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) {
        guard series.count > 0 else { return }
        let offset = UInt64(clamping: TimeAmount(config.timestampOffset).nanoseconds)
        var request = MetricRequest()
        request.beginResource()
        request.beginScope("traces_service_graph")
        series.write(into: &request, start: start, time: now &- offset)
        let points = request.points
        emit(request.finish(), points)
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
