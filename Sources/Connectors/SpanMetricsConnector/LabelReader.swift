internal import MetricBuilding
internal import OTLP

/// Finds the labels of spans: hashes them, to find a series, and writes them, for a new one. One thread.
final class LabelReader {
    /// Where a label is looked for.
    struct Source {
        let resource: WireBytes
        let scope: WireBytes
        let span: SpanFields
        /// An event of the span; nothing for the span itself.
        var event: WireBytes?
    }

    private let hasher: WireHasher
    private let excluded: Set<String>
    private let scopes: Set<[UInt8]>
    private let serviceLabel: String
    private let instance: String
    private let hashesName: Bool
    private let hashesKind: Bool
    private let hashesStatus: Bool
    /// Values of the dimensions of the span at hand.
    private var values: [WireBytes?] = []

    init(_ config: SpanMetricsConfig, hasher: WireHasher, instance: String) {
        self.hasher = hasher
        self.instance = instance
        excluded = config.excluded
        scopes = Set(config.scopes.map { Array($0.utf8) })
        serviceLabel = config.naming == .tempo ? "service" : "service.name"
        hashesName = !excluded.contains("span.name")
        hashesKind = !excluded.contains("span.kind")
        hashesStatus = !excluded.contains("status.code")
    }

    /// The hash of the labels of a span, or of an event of one, behind that of its resource.
    func hash(
        _ source: Source, _ dimensions: [SpanMetricsConfig.Dimension], from start: WireHash
    ) -> WireHash {
        var hash = start
        // Numbers that mean nothing have the label of 0. What comes before is a hash with a secret, so that no two sums
        // of it and a few bits can be made equal.
        if hashesKind, source.span.kind <= 5 { hash.high ^= source.span.kind }
        if hashesStatus, source.span.status <= 2 { hash.low ^= source.span.status << 8 }
        if hashesName { hash = hasher.hash(source.span.name, from: hash) }
        if !scopes.isEmpty, let scope = includedScope(source.scope) {
            hash = hasher.hash(scope.message(Field.Scope.name), from: hash)
            hash = hasher.hash(scope.message(Field.Scope.version), from: hash)
        }
        guard !dimensions.isEmpty else { return hash }
        find(dimensions, source)
        for index in values.indices {
            // Names are told apart by their places: a value of one is never taken for the same value of another.
            guard let value = values[index] else { continue }
            hash = hasher.hash(UInt64(index + 1), from: hash)
            hash = hasher.hash(value, from: hash)
        }
        return hash
    }

    /// The labels that `hash` stands for.
    func labels(_ source: Source, _ dimensions: [SpanMetricsConfig.Dimension], service: [UInt8])
        -> AttributeList
    {
        var labels = AttributeList()
        if !excluded.contains("service.name") { labels.add(Array(serviceLabel.utf8), service) }
        if hashesName { labels.add(Array("span.name".utf8), source.span.name.array) }
        if hashesKind { labels.add("span.kind", source.span.kindName) }
        if hashesStatus { labels.add("status.code", source.span.statusName) }
        if !excluded.contains("collector.instance.id") { labels.add("collector.instance.id", instance) }
        if !scopes.isEmpty, let scope = includedScope(source.scope) {
            labels.add(Array("span.instrumentation.scope.name".utf8), scope.message(Field.Scope.name).array)
            labels.add(
                Array("span.instrumentation.scope.version".utf8), scope.message(Field.Scope.version).array)
        }
        find(dimensions, source)
        for (index, dimension) in dimensions.enumerated() {
            if let value = values[index] {
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
    private func find(_ dimensions: [SpanMetricsConfig.Dimension], _ source: Source) {
        values.removeAll(keepingCapacity: true)
        for _ in dimensions { values.append(nil) }
        var missing = dimensions.count
        find(dimensions, in: source.span.message, Field.Span.attributes, &missing)
        if let event = source.event { find(dimensions, in: event, Field.SpanEvent.attributes, &missing) }
        find(dimensions, in: source.resource, Field.Resource.attributes, &missing)
    }

    private func find(
        _ dimensions: [SpanMetricsConfig.Dimension], in message: WireBytes, _ number: UInt32,
        _ missing: inout Int
    ) {
        guard missing > 0 else { return }
        for field in message.fields where field.number == number && field.isBytes {
            let key = field.bytes.attributeKey
            for index in dimensions.indices
            where values[index] == nil && key.isEqual(to: dimensions[index].key.bytes) {
                values[index] = field.bytes.message(Field.KeyValue.value)
                missing -= 1
            }
            if missing == 0 { return }
        }
    }
}
