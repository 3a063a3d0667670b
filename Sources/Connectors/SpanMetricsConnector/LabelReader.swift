internal import MetricBuilding
internal import OTLP

/// Finds the labels of spans: hashes them, to find a series, and writes them, for a new one. One thread.
///
/// What resources and scopes have is looked up once for all their spans, and what spans have, once for all their events: looked
/// up with each, 40 000 attributes and as many spans would hold the loop for seconds.
struct LabelReader {
    private let hasher: WireHasher
    private let excluded: Set<String>
    private let scopes: Set<[UInt8]>
    private let serviceLabel: String
    private let instance: String
    /// Of these the hash of a span's own labels is made.
    let hashedFields: SpanReader.HashedFields
    /// By metric.
    private let dimensions: [[SpanMetricsConfig.Dimension]]
    /// By metric: the values that the span at hand has of the dimensions, and its resource.
    private var finders: [AttributeFinder]
    private var ofResource: [AttributeFinder]
    /// What the event at hand has of those of events.
    private var ofEvent: AttributeFinder
    /// That of the spans at hand, if it becomes labels.
    private var scope: WireBytes?

    init(_ config: SpanMetricsConfig, hasher: WireHasher, instance: String) {
        self.hasher = hasher
        self.instance = instance
        dimensions = [
            config.dimensions + config.callsDimensions, config.dimensions + config.histogramDimensions,
            config.dimensions + (config.eventDimensions ?? []),
        ]
        finders = dimensions.map { AttributeFinder($0.map(\.key)) }
        ofResource = finders
        ofEvent = finders[Int(SeriesTable.Metric.events.rawValue)]
        excluded = config.excluded
        scopes = Set(config.scopes.map { Array($0.utf8) })
        serviceLabel = config.naming == .tempo ? "service" : "service.name"
        var hashed: SpanReader.HashedFields = []
        if !excluded.contains("span.name") { hashed.insert(.name) }
        if !excluded.contains("span.kind") { hashed.insert(.kind) }
        if !excluded.contains("status.code") { hashed.insert(.status) }
        hashedFields = hashed
    }

    /// Whether spans have no labels beside those of `hashedFields`.
    func isPlain(_ metric: SeriesTable.Metric) -> Bool {
        scopes.isEmpty && finders[Int(metric.rawValue)].count == 0
    }

    // MARK: - What is at hand

    /// Turns to the spans of a `Resource`.
    mutating func begin(resource: WireBytes) {
        for finder in ofResource.indices where ofResource[finder].count > 0 {
            ofResource[finder].clear()
            ofResource[finder].find(in: resource, Field.Resource.attributes)
        }
    }

    /// Turns to the spans of a `ScopeSpans`.
    mutating func begin(scope entry: WireBytes) {
        if scopes.isEmpty { return }
        let found = entry.message(Field.ScopeEntry.scope)
        scope = scopes.contains(found.message(Field.Scope.name).array) ? found : nil
    }

    /// Turns to a span, by its attributes, for labels of this metric.
    mutating func show(_ attributes: WireBytes, _ metric: SeriesTable.Metric) {
        let finder = Int(metric.rawValue)
        finders[finder].clear()
        finders[finder].find(in: attributes, Field.Span.attributes)
    }

    /// Turns to an event of the span that was shown for events.
    mutating func show(event: WireBytes) {
        ofEvent.clear()
        ofEvent.find(in: event, Field.SpanEvent.attributes)
    }

    /// The value of a dimension: of the span, else the event, else the resource.
    private func value(_ index: Int, _ metric: SeriesTable.Metric) -> WireBytes? {
        let finder = Int(metric.rawValue)
        if let value = finders[finder].values[index] { return value }
        if metric == .events, let value = ofEvent.values[index] { return value }
        return ofResource[finder].values[index]
    }

    // MARK: - Labels

    /// The hash of the labels of what is at hand.
    /// - Parameter own: the hash of the span's `hashedFields`, behind that of its resource.
    func hash(_ metric: SeriesTable.Metric, _ own: WireHash) -> WireHash {
        var hash = own
        if let scope {
            hash = hasher.hash(scope.message(Field.Scope.name), from: hash)
            hash = hasher.hash(scope.message(Field.Scope.version), from: hash)
        }
        for index in 0..<finders[Int(metric.rawValue)].count {
            // Names are told apart by their places: a value of one is never taken for the same value of another.
            guard let value = value(index, metric) else { continue }
            hash = hasher.hash(UInt64(index + 1), from: hash)
            if value.count <= SeriesRoom.labelBytesMax {
                hash = hasher.hash(value, from: hash)
            } else {
                // Never one of a series: a value of the resource would be read with each of its spans.
                hash = hasher.hash(UInt64(value.count), from: hash)
            }
        }
        return hash
    }

    /// About what the labels of what is at hand take, not below what is copied into them.
    func labelBytes(_ span: SpanFields, _ metric: SeriesTable.Metric, serviceBytes: Int) -> Int {
        var bytes = excluded.contains("service.name") ? 0 : serviceBytes
        if hashedFields.contains(.name) { bytes += span.name.count }
        if let scope { bytes += scope.count }
        for (index, dimension) in dimensions[Int(metric.rawValue)].enumerated() {
            bytes += value(index, metric)?.count ?? dimension.value?.utf8.count ?? 0
        }
        return bytes
    }

    /// The labels that the hash of what is at hand stands for.
    func labels(_ span: SpanFields, _ metric: SeriesTable.Metric, service: [UInt8]) -> AttributeList {
        var labels = AttributeList()
        if !excluded.contains("service.name") { labels.add(Array(serviceLabel.utf8), service) }
        if hashedFields.contains(.name) { labels.add(Array("span.name".utf8), span.name.array) }
        if hashedFields.contains(.kind) { labels.add("span.kind", span.kindName) }
        if hashedFields.contains(.status) { labels.add("status.code", span.statusName) }
        if !excluded.contains("collector.instance.id") { labels.add("collector.instance.id", instance) }
        if let scope {
            labels.add(Array("span.instrumentation.scope.name".utf8), scope.message(Field.Scope.name).array)
            labels.add(
                Array("span.instrumentation.scope.version".utf8), scope.message(Field.Scope.version).array)
        }
        for (index, dimension) in dimensions[Int(metric.rawValue)].enumerated() {
            if let value = value(index, metric) {
                labels.add(dimension.key.bytes, AttributeValue(value))
            } else if let value = dimension.value {
                labels.add(dimension.key.description, value)
            }
        }
        return labels
    }
}
