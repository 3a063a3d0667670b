internal import Configuration
internal import MetricStreams
internal import OTLP

/// One of `operations`, ready to run.
enum MetricOperation: Sendable {
    case addLabel(key: KeptText, value: KeptText)
    case updateLabel(key: KeptText, newKey: KeptText?, values: [(old: KeptText, new: KeptText)])
    case deleteLabelValue(key: KeptText, value: KeptText)
    case toggleScalarDataType
    case scaleValue(Double)
    case aggregateLabels([KeptText], PointAggregation)
    case aggregateLabelValues(key: KeptText, values: [KeptText], new: KeptText, PointAggregation)

    /// - Parameter version: what stands for `{{version}}`.
    init(_ config: MetricsTransformConfig.Operation, version: String) {
        func expanded(_ text: String) -> KeptText { KeptText(Self.expand(text, version: version)) }
        switch config {
        case .addLabel(let key, let value): self = .addLabel(key: KeptText(key), value: expanded(value))
        case .updateLabel(let key, let newKey, let values):
            // A label with its own name as the new one is not renamed.
            self = .updateLabel(
                key: KeptText(key), newKey: newKey.isEmpty || newKey == key ? nil : KeptText(newKey),
                // Of several actions for a value the last counts.
                values: values.reversed().map { (KeptText($0.name), expanded($0.value)) })
        case .deleteLabelValue(let key, let value):
            self = .deleteLabelValue(key: KeptText(key), value: KeptText(value))
        case .toggleScalarDataType: self = .toggleScalarDataType
        case .scaleValue(let factor): self = .scaleValue(factor)
        case .aggregateLabels(let keys, let aggregation):
            self = .aggregateLabels(keys.map(KeptText.init), aggregation)
        case .aggregateLabelValues(let key, let values, let new, let aggregation):
            self = .aggregateLabelValues(
                key: KeptText(key), values: values.map(KeptText.init), new: expanded(new), aggregation)
        }
    }

    private static func expand(_ text: String, version: String) -> String {
        let mark = Array("{{version}}".utf8)
        var rest = Array(text.utf8)[...]
        var result: [UInt8] = []
        while let byte = rest.first {
            if rest.starts(with: mark) {
                result += version.utf8
                rest = rest.dropFirst(mark.count)
            } else {
                result.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether, with `update`, all points of the metric must match for it to run. The others run on those that match.
    var needsWholeMetric: Bool {
        switch self {
        case .updateLabel, .toggleScalarDataType, .scaleValue: false
        case .addLabel, .deleteLabelValue, .aggregateLabels, .aggregateLabelValues: true
        }
    }

    func apply(
        to metric: MessageID, _ matcher: MetricMatcher, _ request: RequestEditor, _ hasher: StreamHasher
    ) {
        switch self {
        case .addLabel(let key, let value):
            forEachTable(metric, request) { table in
                guard request.find(key.bytes, in: table) == nil else { return .keep }
                request.set(key.bytes, to: .string(value.bytes), in: table)
                return .keep
            }
        case .updateLabel(let key, let newKey, let values):
            forEachTable(metric, request) { table in
                guard matcher.matches(table, of: request) else { return .keep }
                Self.update(key, newKey, values, in: table, request)
                return .keep
            }
        case .deleteLabelValue(let key, let value):
            forEachTable(metric, request) { table in
                guard case .string(let text) = request.value(key.bytes, in: table) else { return .keep }
                return text.isEqual(to: value.bytes) ? .remove : .keep
            }
        case .toggleScalarDataType: toggle(metric, matcher, request)
        case .scaleValue(let factor):
            request.forEachPoint(metric) { place in
                if matcher.matches(place, of: request) { Self.scale(place, by: factor, request) }
                return .keep
            }
        case .aggregateLabels(let keys, let aggregation):
            aggregate(metric, aggregation, request, hasher) { Self.keepOnly(keys, in: $0, request) }
        case .aggregateLabelValues(let key, let values, let new, let aggregation):
            aggregate(metric, aggregation, request, hasher) { table in
                guard case .string(let text) = request.value(key.bytes, in: table),
                    values.contains(where: { $0.bytes.isEqual(to: text) })
                else { return }
                request.set(key.bytes, to: .string(new.bytes), in: table)
            }
        }
    }

    private func forEachTable(
        _ metric: MessageID, _ request: RequestEditor, _ body: (AttributeTable) -> Keep
    ) {
        request.forEachPoint(metric) { place in
            guard let fields = PointFields(place.kind) else { return .keep }
            return body(request.attributes(place.point, fields.attributes))
        }
    }

    private static func update(
        _ key: KeptText, _ newKey: KeptText?, _ values: [(old: KeptText, new: KeptText)],
        in table: AttributeTable, _ request: RequestEditor
    ) {
        guard let value = request.value(key.bytes, in: table) else { return }
        if let newKey {
            request.set(newKey.bytes, to: value, in: table)
            request.remove(key.bytes, in: table)
        }
        var text = WireBytes.none
        if case .string(let string) = value { text = string }
        guard let action = values.first(where: { $0.old.bytes.isEqual(to: text) }) else { return }
        request.set((newKey ?? key).bytes, to: .string(action.new.bytes), in: table)
    }

    private static func keepOnly(_ keys: [KeptText], in table: AttributeTable, _ request: RequestEditor) {
        for position in 0..<request.fieldCount(table.message)
        where request.number(table.message, at: position) == table.number {
            let key = request.key(table, at: position)
            if !keys.contains(where: { $0.bytes.isEqual(to: key) }) {
                request.removeAttribute(table, at: position)
            }
        }
    }

    /// Changes the attributes of all points, then merges those that became alike. Summaries stay as they are: they cannot be
    /// merged.
    private func aggregate(
        _ metric: MessageID, _ aggregation: PointAggregation, _ request: RequestEditor,
        _ hasher: StreamHasher, _ change: (AttributeTable) -> Void
    ) {
        guard let kind = request.metricKind(metric), kind != Field.Metric.summary else { return }
        forEachTable(metric, request) { table in
            change(table)
            return .keep
        }
        let data = request.child(metric, kind)
        aggregation.merge(data, kind: kind, of: request, hasher)
        request.close(data)
    }
}
