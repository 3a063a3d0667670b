internal import MetricBuilding
package import NIOCore
package import OTLP
package import Pipeline

/// Joins spans to edges between services and counts them. One thread. Times are nanoseconds since 1970.
package final class ServiceGraph {
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
    private var names: NameFinder
    private var store: EdgeStore
    private var series: GraphSeries
    package private(set) var counts = Counts()

    package init(_ config: ServiceGraphConfig, ledger: MemoryLedger?, now: UInt64) {
        self.config = config
        start = now
        waitNanoseconds = UInt64(clamping: TimeAmount(config.wait).nanoseconds)
        clientKeys = config.dimensions.map { Array("client_\($0)".utf8) }
        serverKeys = config.dimensions.map { Array("server_\($0)".utf8) }
        names = NameFinder(config.peerAttributes + config.databaseAttributes)
        store = EdgeStore(most: config.edgesMax, ledger: ledger)
        series = GraphSeries(config, ledger: ledger)
    }

    package var waiting: Int { store.count }
    package var seriesCount: Int { series.count }

    /// Takes the spans of a request.
    package func count(_ request: WireBytes, now: UInt64) {
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

    private func take(_ span: SpanFields, _ resource: WireBytes, _ service: [UInt8], _ now: UInt64) {
        switch span.kind {
        case 3, 4:
            join(span, span.spanID, now) { edge in
                edge.client = service
                edge.clientSeconds = Double(span.duration) / 1e9
                edge.isFailed = edge.isFailed || span.status == 2
                if span.kind == 4 { edge.connection = .messaging }
                if !clientKeys.isEmpty { edge.clientLabels = labels(span, resource, clientKeys) }
                names.find(in: span.message)
                edge.peer = names.text(0..<config.peerAttributes.count)?.array ?? []
                if let database = names.text(config.peerAttributes.count..<names.count) {
                    edge.connection = .database
                    edge.server = database.array
                    edge.serverSeconds = edge.clientSeconds
                }
            }
        case 2, 5:
            join(span, span.parentSpanID, now) { edge in
                edge.server = service
                edge.serverSeconds = Double(span.duration) / 1e9
                edge.isFailed = edge.isFailed || span.status == 2
                edge.isRoot = span.isRoot
                if span.kind == 5 { edge.connection = .messaging }
                if !serverKeys.isEmpty { edge.serverLabels = labels(span, resource, serverKeys) }
            }
        default: break
        }
    }

    /// Finds the edge of a span, or begins one; a whole one is counted.
    private func join(_ span: SpanFields, _ id: WireBytes, _ now: UInt64, _ change: (inout Edge) -> Void) {
        let hash = hasher.hash(id, from: hasher.hash(span.traceID, from: WireHash(low: 0, high: 0)))
        let key = HashKey(low: hash.low, high: hash.high)
        if let index = store.find(key) {
            if store.update(index, change) { complete(store.remove(index), now) }
            return
        }
        var edge = Edge()
        change(&edge)
        if edge.isComplete { return complete(edge, now) }
        if !store.add(key, edge, due: now &+ waitNanoseconds) { counts.droppedSpans += 1 }
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

    private func complete(_ edge: Edge, _ now: UInt64) {
        counts.edges += 1
        if !series.count(edge, now) { counts.overflowed += 1 }
    }

    /// Ends the wait of edges whose time is over: what is missing of them is made up, where that makes sense.
    package func expire(now: UInt64) {
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
    package func forget(now: UInt64) { series.forget(unusedSince: now &- 900_000_000_000) }

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
