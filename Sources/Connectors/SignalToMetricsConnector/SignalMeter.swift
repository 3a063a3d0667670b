internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import Pipeline
internal import Statements

/// Makes metrics of the items of requests. One thread at a time.
final class SignalMeter {
    private struct Key: Hashable {
        let metric: Int
        let resource: Int
        let attributes: AttributeList
    }

    private let metrics: [MeasuredMetric]
    /// For each metric, the first that is the same one.
    private let first: [Int]
    private let signal: Signal
    /// What every resource has beside.
    private let own: AttributeList
    private let propagates: Bool
    /// Told of errors that do not refuse the request.
    private let report: (String) -> Void
    private let charged: ChargedEditor
    private var editor: RequestEditor { charged.editor }

    // Of the request at hand, in the order in which they came up.
    private var resources: [(attributes: AttributeList, keys: [Key])] = []
    private var resourcePlaces: [[UInt8]: Int] = [:]
    private var series: [Key: MetricSeries] = [:]
    /// What all of them take, and will take when they are written.
    private var heldBytes = 0
    /// For each metric, the place of the resource at hand; nil until an item needs it.
    private var places: [Int?] = []

    init(
        _ metrics: [MeasuredMetric], _ signal: Signal, own: AttributeList, propagates: Bool,
        ledger: MemoryLedger, report: @escaping (String) -> Void
    ) {
        charged = ChargedEditor(ledger: ledger)
        self.metrics = metrics
        first = metrics.indices.map { index in
            metrics.firstIndex { $0.isSame(as: metrics[index]) } ?? index
        }
        self.signal = signal
        self.own = own
        self.propagates = propagates
        self.report = report
    }

    /// Adds the items of a request.
    /// - Throws: one of them cannot be measured, where such errors refuse the request, or there is no memory for it.
    func add(_ request: WireBytes, _ allowance: OutputAllowance) throws(Refusal) {
        editor.open(request)
        defer { charged.close() }
        let frame = Frame(editor)
        try editor.forEachResource { resource throws(Refusal) in
            frame.show(resource)
            places = Array(repeating: nil, count: metrics.count)
            try editor.forEachScope(of: resource) { scope throws(Refusal) in
                frame.show(scope)
                try editor.forEachItem(of: scope) { item throws(Refusal) in
                    frame.show(item: item.item)
                    try add(item.item, of: resource, frame, allowance)
                    return .keep
                }
                return .keep
            }
            return .keep
        }
        if let refusal = charged.refusal { throw refusal }
    }

    private func add(
        _ item: MessageID, of resource: ResourcePlace, _ frame: Frame, _ allowance: OutputAllowance
    ) throws(Refusal) {
        switch signal {
        case .traces: try measure(AttributeTable(item, Field.Span.attributes), resource, frame, allowance)
        case .logs: try measure(AttributeTable(item, Field.LogRecord.attributes), resource, frame, allowance)
        case .metrics:
            var index = 0
            try editor.forEachPoint(item) { point throws(Refusal) in
                frame.show(part: point.point, at: index)
                index += 1
                let number = Self.attributes(ofPointIn: point.kind)
                try measure(AttributeTable(point.point, number), resource, frame, allowance)
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

    private func measure(
        _ table: AttributeTable, _ resource: ResourcePlace, _ frame: Frame, _ allowance: OutputAllowance
    ) throws(Refusal) {
        for (index, metric) in metrics.enumerated() {
            guard let attributes = chosen(metric.attributes, from: table, needsAll: true),
                try holds(metric, frame), let (value, times) = try value(metric, frame)
            else { continue }
            let place = places[index] ?? self.place(metric, resource)
            places[index] = place
            let key = Key(metric: first[index], resource: place, attributes: attributes)
            if series[key] == nil {
                series[key] = MetricSeries()
                heldBytes += 2 * attributes.bytes.capacity + metric.kind.pointBytes
                try allowance.reach(heldBytes)
                resources[place].keys.append(key)
            }
            series[key]?.add(value, times: times, to: metric.kind)
        }
    }

    /// Nil when one is missing that has no default.
    private func chosen(
        _ attributes: [MeasuredMetric.Attribute], from table: AttributeTable, needsAll: Bool
    ) -> AttributeList? {
        var list = AttributeList()
        for attribute in attributes {
            let found = unsafe attribute.key.bytes.withUnsafeBytes {
                unsafe editor.value(WireBytes($0), in: table)
            }
            if let found {
                list.add(attribute.key.bytes, found)
            } else if let value = attribute.value {
                list.add(attribute.key, value)
            } else if needsAll, !attribute.isOptional {
                return nil
            }
        }
        return list
    }

    private func holds(_ metric: MeasuredMetric, _ frame: Frame) throws(Refusal) -> Bool {
        for condition in metric.conditions {
            do throws(EvaluationError) {
                if try condition.holds(frame) { return true }
            } catch {
                try failed("failed to evaluate conditions: \(condition.text): \(error)", metric)
            }
        }
        return metric.conditions.isEmpty
    }

    /// The value and how often it is there; nil: not at all.
    private func value(
        _ metric: MeasuredMetric, _ frame: Frame
    ) throws(Refusal) -> (NumberExpression.Number, UInt64)? {
        do throws(EvaluationError) {
            let value = try metric.value.number(frame, of: metric.kind.key)
            guard let count = metric.count else { return (value, 1) }
            let times =
                switch try count.number(frame, of: "count") {
                case .int(let number): number
                case .double(let number): whole(number)
                }
            return times > 0 ? (value, UInt64(times)) : nil
        } catch {
            try failed("\(error)", metric)
            return nil
        }
    }

    private func failed(_ message: String, _ metric: MeasuredMetric) throws(Refusal) {
        let text = "metric \"\(metric.name)\": \(message)"
        if propagates { throw Refusal(.rejected, text, isPermanent: true) }
        report(text)
    }

    /// Where the points of a metric of a resource are kept.
    private func place(_ metric: MeasuredMetric, _ resource: ResourcePlace) -> Int {
        let table = AttributeTable(resource.resource, Field.Resource.attributes)
        var list = AttributeList()
        if metric.resourceAttributes.isEmpty {
            for position in 0..<editor.fieldCount(resource.resource)
            where editor.number(resource.resource, at: position) == Field.Resource.attributes {
                list.add(keyValue: editor.content(resource.resource, at: position))
            }
        } else if let chosen = chosen(metric.resourceAttributes, from: table, needsAll: false) {
            list = chosen
        }
        // The order of attributes does not count.
        var buffer = ProtobufBuffer()
        list.write(Field.Resource.attributes, into: &buffer)
        var identity = AttributeIdentity()
        unsafe buffer.bytes.withUnsafeReadableBytes {
            unsafe identity.add(attributes: WireBytes($0), Field.Resource.attributes)
        }
        if let place = resourcePlaces[identity.bytes] { return place }
        list.add(own)
        heldBytes += 3 * list.bytes.capacity
        resources.append((list, []))
        resourcePlaces[identity.bytes] = resources.count - 1
        return resources.count - 1
    }

    // MARK: - Writing

    /// Forgets what was added.
    func reset() {
        resources = []
        resourcePlaces = [:]
        series = [:]
        heldBytes = 0
    }

    /// Writes what was added.
    func write(into request: inout MetricRequest, now: UInt64) {
        for resource in resources {
            request.beginResource(resource.attributes)
            request.beginScope(Self.scopeName)
            for (index, metric) in metrics.enumerated() where first[index] == index {
                let keys = resource.keys.filter { $0.metric == index }
                if keys.isEmpty { continue }
                request.beginMetric(
                    metric.name, description: metric.description, unit: metric.unit, metric.kind.built)
                for key in keys { series[key]?.write(key.attributes, time: now, into: &request) }
            }
        }
    }

    private static let scopeName =
        "github.com/open-telemetry/opentelemetry-collector-contrib/connector/signaltometricsconnector"
}

extension MeasuredMetric.Kind {
    /// What a point takes beside its labels, in memory and written.
    fileprivate var pointBytes: Int {
        switch self {
        case .sum, .gauge: 400
        case .histogram(let bounds): 500 + 32 * bounds.count
        // Few have values for all their buckets.
        case .exponentialHistogram: 1000
        }
    }

    fileprivate var built: MetricRequest.Kind {
        switch self {
        case .sum: .sum(.delta, isMonotonic: false)
        case .gauge: .gauge
        case .histogram: .histogram(.delta)
        case .exponentialHistogram: .exponentialHistogram(.delta)
        }
    }
}
