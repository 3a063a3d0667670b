internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import Pipeline
internal import Statements

/// Counts the items of requests, and writes the counts. One thread at a time.
final class ItemCounts {
    private struct Key: Hashable {
        let metric: Int
        let attributes: AttributeList
    }

    private let metrics: [CountedMetric]
    private let scopeName: String
    private let charged: ChargedEditor
    private var editor: RequestEditor { charged.editor }
    /// Of the resource at hand, in the order in which they came up.
    private var order: [Key] = []
    private var values: [Key: Double] = [:]

    /// Attributes around an item: its own, its scope's, its resource's.
    private struct Place {
        var item: AttributeTable?
        let scope: AttributeTable
        let resource: AttributeTable
    }

    init(_ metrics: [CountedMetric], scope: String, ledger: MemoryLedger) {
        self.metrics = metrics
        charged = ChargedEditor(ledger: ledger)
        scopeName = scope
    }

    /// Writes what is counted of a request, resource by resource.
    /// - Parameter now: nanoseconds since 1970.
    /// - Throws: there is no memory for it.
    func count(
        _ request: WireBytes, _ signal: Signal, into output: inout MetricRequest, now: UInt64
    ) throws(Refusal) {
        editor.open(request)
        defer {
            charged.close()
            order.removeAll(keepingCapacity: true)
            values.removeAll(keepingCapacity: true)
        }
        let frame = Frame(editor)
        editor.forEachResource { resource in
            frame.show(resource)
            editor.forEachScope(of: resource) { scope in
                frame.show(scope)
                let place = Place(
                    item: nil, scope: editor.attributes(scope.scope, Field.Scope.attributes),
                    resource: editor.attributes(resource.resource, Field.Resource.attributes))
                editor.forEachItem(of: scope) { item in
                    frame.show(item: item.item)
                    count(item.item, signal, place, frame)
                    return .keep
                }
                return .keep
            }
            write(resource.resource, into: &output, now)
            return .keep
        }
        if let refusal = charged.refusal { throw refusal }
    }

    private func count(_ item: MessageID, _ signal: Signal, _ around: Place, _ frame: Frame) {
        var place = around
        switch signal {
        case .traces:
            place.item = editor.attributes(item, Field.Span.attributes)
            add(.spans, place, frame)
            guard metrics.contains(where: { $0.item == .spanEvents }) else { return }
            var index = 0
            editor.forEachChild(item, Field.Span.events) { event in
                frame.show(part: event, at: index)
                index += 1
                place.item = editor.attributes(event, Field.SpanEvent.attributes)
                add(.spanEvents, place, frame)
                return .keep
            }
        case .logs:
            place.item = editor.attributes(item, Field.LogRecord.attributes)
            add(.logs, place, frame)
        case .metrics:
            add(.metrics, place, frame)
            guard metrics.contains(where: { $0.item == .dataPoints }) else { return }
            var index = 0
            editor.forEachPoint(item) { point in
                frame.show(part: point.point, at: index)
                index += 1
                place.item = editor.attributes(point.point, Self.attributes(ofPointIn: point.kind))
                add(.dataPoints, place, frame)
                return .keep
            }
        }
    }

    private static func attributes(ofPointIn kind: UInt32) -> UInt32 {
        switch kind {
        case Field.Metric.histogram: Field.HistogramPoint.attributes
        case Field.Metric.exponentialHistogram: Field.ExponentialPoint.attributes
        case Field.Metric.summary: Field.SummaryPoint.attributes
        default: Field.NumberPoint.attributes
        }
    }

    private func add(_ item: CountedItem, _ place: Place, _ frame: Frame) {
        for (index, metric) in metrics.enumerated() where metric.item == item {
            guard metric.conditions.isEmpty || metric.conditions.contains(where: { holds($0, frame) }),
                let amount = amount(metric, place), let attributes = attributes(metric, place)
            else { continue }
            let key = Key(metric: index, attributes: attributes)
            if values[key] == nil { order.append(key) }
            values[key, default: 0] += amount
        }
    }

    /// What cannot be evaluated does not hold.
    private func holds(_ condition: Condition, _ frame: Frame) -> Bool {
        do throws(EvaluationError) { return try condition.holds(frame) } catch { return false }
    }

    private func value(_ key: AttributeKey, _ table: AttributeTable?) -> AttributeValue? {
        guard let table else { return nil }
        return unsafe key.bytes.withUnsafeBytes { unsafe editor.value(WireBytes($0), in: table) }
    }

    private func amount(_ metric: CountedMetric, _ place: Place) -> Double? {
        guard let source = metric.source else { return 1 }
        switch value(source, place.item) {
        case .int(let number): return Double(number)
        case .double(let number) where number.isFinite: return number
        case .string(let text): return Double(goText: text.text).flatMap { $0.isFinite ? $0 : nil }
        default: return nil
        }
    }

    /// Nil when one is missing that has no default.
    private func attributes(_ metric: CountedMetric, _ place: Place) -> AttributeList? {
        var list = AttributeList()
        for attribute in metric.attributes {
            let found =
                value(attribute.key, place.item) ?? value(attribute.key, place.scope)
                ?? value(attribute.key, place.resource)
            if let found {
                list.add(attribute.key.bytes, found)
                continue
            }
            switch attribute.value {
            case .text(let text): list.add(attribute.key.description, text)
            case .int(let number): list.add(attribute.key.description, number)
            case .double(let number): list.add(attribute.key.bytes, .double(number))
            case nil: return nil
            }
        }
        return list
    }

    private func write(_ resource: MessageID, into output: inout MetricRequest, _ now: UInt64) {
        guard !order.isEmpty else { return }
        var attributes = AttributeList()
        for position in 0..<editor.fieldCount(resource)
        where editor.number(resource, at: position) == Field.Resource.attributes {
            attributes.add(keyValue: editor.content(resource, at: position))
        }
        output.beginResource(attributes)
        output.beginScope(scopeName)
        for (index, metric) in metrics.enumerated() {
            let keys = order.filter { $0.metric == index }
            guard !keys.isEmpty else { continue }
            output.beginMetric(
                metric.name, description: metric.description, .sum(.delta, isMonotonic: true))
            for key in keys {
                let value = values[key] ?? 0
                output.number(
                    metric.source == nil ? .int(Int64(value)) : .double(value), key.attributes, time: now)
            }
        }
        order.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}
