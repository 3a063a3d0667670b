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
    /// What `values` takes.
    private var heldBytes = 0
    /// For each metric, the place of its first attribute among those of all.
    private let firstAttribute: [Int]
    /// By the attributes of all metrics, what the scope and the resource at hand have: looked up once, not with each item; nil
    /// until an item needs it.
    private var ofScope: [AttributeValue??]
    private var ofResource: [AttributeValue??]
    /// Told of items that were counted in a series of too many.
    private let report: (SeriesLack) -> Void

    /// What a point takes beside its labels, at most.
    private static let pointBytes = 300

    /// Attributes around an item: its own, its scope's, its resource's.
    private struct Place {
        var item: AttributeTable?
        let scope: AttributeTable
        let resource: AttributeTable
    }

    init(
        _ metrics: [CountedMetric], scope: String, ledger: MemoryLedger,
        report: @escaping (SeriesLack) -> Void
    ) {
        self.report = report
        var attributes = 0
        firstAttribute = metrics.map { metric in
            defer { attributes += metric.attributes.count }
            return attributes
        }
        ofScope = Array(repeating: nil, count: attributes)
        ofResource = ofScope
        self.metrics = metrics
        charged = ChargedEditor(ledger: ledger)
        scopeName = scope
    }

    /// Writes what is counted of a request, resource by resource.
    /// - Parameter now: nanoseconds since 1970.
    /// - Throws: there is no memory for it.
    func count(
        _ request: WireBytes, _ signal: Signal, into output: inout MetricRequest,
        _ allowance: OutputAllowance, now: UInt64
    ) throws(Refusal) {
        editor.open(request)
        defer {
            charged.close()
            forget()
        }
        let frame = Frame(editor)
        try editor.forEachResource { resource throws(Refusal) in
            frame.show(resource)
            for index in ofResource.indices { ofResource[index] = nil }
            try editor.forEachScope(of: resource) { scope throws(Refusal) in
                frame.show(scope)
                for index in ofScope.indices { ofScope[index] = nil }
                let place = Place(
                    item: nil, scope: editor.attributes(scope.scope, Field.Scope.attributes),
                    resource: editor.attributes(resource.resource, Field.Resource.attributes))
                try editor.forEachItem(of: scope) { item throws(Refusal) in
                    frame.show(item: item.item)
                    try count(item.item, signal, place, frame) { () throws(Refusal) in
                        try allowance.reach(output.count + 2 * heldBytes)
                    }
                    return .keep
                }
                return .keep
            }
            try write(resource.resource, into: &output, allowance, now)
            return .keep
        }
        if let refusal = charged.refusal { throw refusal }
    }

    /// - Parameter ask: called when there is another series.
    private func count(
        _ item: MessageID, _ signal: Signal, _ around: Place, _ frame: Frame, ask: () throws(Refusal) -> Void
    ) throws(Refusal) {
        var place = around
        switch signal {
        case .traces:
            place.item = editor.attributes(item, Field.Span.attributes)
            try add(.spans, place, frame, ask)
            guard metrics.contains(where: { $0.item == .spanEvents }) else { return }
            var index = 0
            try editor.forEachChild(item, Field.Span.events) { event throws(Refusal) in
                frame.show(part: event, at: index)
                index += 1
                place.item = editor.attributes(event, Field.SpanEvent.attributes)
                try add(.spanEvents, place, frame, ask)
                return .keep
            }
        case .logs:
            place.item = editor.attributes(item, Field.LogRecord.attributes)
            try add(.logs, place, frame, ask)
        case .metrics:
            try add(.metrics, place, frame, ask)
            guard metrics.contains(where: { $0.item == .dataPoints }) else { return }
            var index = 0
            try editor.forEachPoint(item) { point throws(Refusal) in
                frame.show(part: point.point, at: index)
                index += 1
                place.item = editor.attributes(point.point, Self.attributes(ofPointIn: point.kind))
                try add(.dataPoints, place, frame, ask)
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

    private func add(
        _ item: CountedItem, _ place: Place, _ frame: Frame, _ ask: () throws(Refusal) -> Void
    ) throws(Refusal) {
        for (index, metric) in metrics.enumerated() where metric.item == item {
            guard metric.conditions.isEmpty || metric.conditions.contains(where: { holds($0, frame) }),
                let amount = amount(metric, place), let attributes = attributes(metric, at: index, place)
            else { continue }
            let key = Key(metric: index, attributes: attributes)
            if values[key] == nil {
                order.append(key)
                heldBytes += attributes.bytes.capacity + Self.pointBytes
                try ask()
            }
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
    private func attributes(_ metric: CountedMetric, at index: Int, _ place: Place) -> AttributeList? {
        var list = AttributeList()
        var bytes = 0
        for (offset, attribute) in metric.attributes.enumerated() {
            let found =
                value(attribute.key, place.item)
                ?? around(attribute.key, firstAttribute[index] + offset, place)
            bytes += attribute.key.bytes.count + (found?.labelBytes ?? 0)
            // A missing one still says that it is not counted at all.
            if bytes > SeriesRoom.labelBytesMax, found != nil || attribute.value != nil { continue }
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
        guard bytes <= SeriesRoom.labelBytesMax else {
            report(.labels)
            var overflow = AttributeList()
            overflow.add("otel.metric.overflow", true)
            return overflow
        }
        return list
    }

    /// What the scope, else the resource, has of an attribute.
    private func around(_ key: AttributeKey, _ index: Int, _ place: Place) -> AttributeValue? {
        if ofScope[index] == nil { ofScope[index] = .some(value(key, place.scope)) }
        if let found = ofScope[index], let found { return found }
        if ofResource[index] == nil { ofResource[index] = .some(value(key, place.resource)) }
        return ofResource[index] ?? nil
    }

    private func write(
        _ resource: MessageID, into output: inout MetricRequest, _ allowance: OutputAllowance, _ now: UInt64
    ) throws(Refusal) {
        guard !order.isEmpty else { return }
        var bytes = 0
        for position in 0..<editor.fieldCount(resource)
        where editor.number(resource, at: position) == Field.Resource.attributes {
            bytes += editor.content(resource, at: position).count + 12
        }
        try allowance.reach(output.count + 2 * heldBytes + 2 * bytes)
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
        forget()
    }

    private func forget() {
        order.removeAll(keepingCapacity: heldBytes <= Self.keptBytes)
        values.removeAll(keepingCapacity: heldBytes <= Self.keptBytes)
        heldBytes = 0
    }

    /// Tables that held more are not kept.
    private static let keptBytes = 2 << 20
}
