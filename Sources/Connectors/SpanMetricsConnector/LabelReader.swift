internal import MetricBuilding
internal import OTLP

/// Finds the labels of spans: hashes them, to find a series, and writes them, for a new one. One thread.
struct LabelReader {
    /// What spans stand in: a `Resource` and a `ScopeSpans`.
    struct Place {
        let resource: WireBytes
        let scope: WireBytes
    }

    /// Where a label is looked for.
    struct Source {
        let place: Place
        let span: SpanFields
        /// An event of the span; nothing for the span itself.
        let event: WireBytes?

        init(_ place: Place, _ span: SpanFields, event: WireBytes? = nil) {
            self.place = place
            self.span = span
            self.event = event
        }
    }

    private let hasher: WireHasher
    private let excluded: Set<String>
    private let scopes: Set<[UInt8]>
    private let serviceLabel: String
    private let instance: String
    /// Of these the hash of a span's own labels is made.
    let hashedFields: SpanReader.HashedFields
    /// By metric.
    private let dimensions: [[SpanMetricsConfig.Dimension]]
    /// By metric: the values of the dimensions of the span at hand.
    private var finders: [AttributeFinder]

    init(_ config: SpanMetricsConfig, hasher: WireHasher, instance: String) {
        self.hasher = hasher
        self.instance = instance
        dimensions = [
            config.dimensions + config.callsDimensions, config.dimensions + config.histogramDimensions,
            config.dimensions + (config.eventDimensions ?? []),
        ]
        finders = dimensions.map { AttributeFinder($0.map(\.key)) }
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

    /// The hash of the labels of a span, or of an event of one.
    /// - Parameters:
    ///   - attributes: the span's.
    ///   - own: the hash of the span's `hashedFields`, behind that of its resource.
    mutating func hash(
        _ place: Place, _ attributes: WireBytes, event: WireBytes? = nil, _ metric: SeriesTable.Metric,
        _ own: WireHash
    ) -> WireHash {
        var hash = own
        if !scopes.isEmpty, let scope = includedScope(place.scope) {
            hash = hasher.hash(scope.message(Field.Scope.name), from: hash)
            hash = hasher.hash(scope.message(Field.Scope.version), from: hash)
        }
        let finder = Int(metric.rawValue)
        guard finders[finder].count > 0 else { return hash }
        find(place, attributes, event, finder)
        for index in 0..<finders[finder].count {
            // Names are told apart by their places: a value of one is never taken for the same value of another.
            guard let value = finders[finder].values[index] else { continue }
            hash = hasher.hash(UInt64(index + 1), from: hash)
            hash = hasher.hash(value, from: hash)
        }
        return hash
    }

    /// The labels that `hash` stands for.
    mutating func labels(_ source: Source, _ metric: SeriesTable.Metric, service: [UInt8]) -> AttributeList {
        var labels = AttributeList()
        if !excluded.contains("service.name") { labels.add(Array(serviceLabel.utf8), service) }
        if hashedFields.contains(.name) { labels.add(Array("span.name".utf8), source.span.name.array) }
        if hashedFields.contains(.kind) { labels.add("span.kind", source.span.kindName) }
        if hashedFields.contains(.status) { labels.add("status.code", source.span.statusName) }
        if !excluded.contains("collector.instance.id") { labels.add("collector.instance.id", instance) }
        if !scopes.isEmpty, let scope = includedScope(source.place.scope) {
            labels.add(Array("span.instrumentation.scope.name".utf8), scope.message(Field.Scope.name).array)
            labels.add(
                Array("span.instrumentation.scope.version".utf8), scope.message(Field.Scope.version).array)
        }
        let finder = Int(metric.rawValue)
        find(source.place, source.span.attributes, source.event, finder)
        for (index, dimension) in dimensions[finder].enumerated() {
            if let value = finders[finder].values[index] {
                labels.add(dimension.key.bytes, AttributeValue(value))
            } else if let value = dimension.value {
                labels.add(dimension.key.description, value)
            }
        }
        return labels
    }

    private func includedScope(_ entry: WireBytes) -> WireBytes? {
        let scope = entry.message(Field.ScopeEntry.scope)
        return scopes.contains(scope.message(Field.Scope.name).array) ? scope : nil
    }

    /// Notes the values of dimensions: of the span, else the event, else the resource.
    private mutating func find(
        _ place: Place, _ attributes: WireBytes, _ event: WireBytes?, _ finder: Int
    ) {
        finders[finder].clear()
        finders[finder].find(in: attributes, Field.Span.attributes)
        if let event { finders[finder].find(in: event, Field.SpanEvent.attributes) }
        finders[finder].find(in: place.resource, Field.Resource.attributes)
    }
}
