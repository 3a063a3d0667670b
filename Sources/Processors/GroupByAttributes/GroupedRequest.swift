internal import OTLP

/// A request built anew: resources by their attributes, in them scopes by name and version, in them items, or metrics by name
/// and kind. Borrows from the request that is taken apart.
struct GroupedRequest {
    private struct Metric {
        let source: WireBytes
        let kind: UInt32
        var points: [WireBytes] = []
    }

    private struct Scope {
        let message: WireBytes
        var items: [WireBytes] = []
        var metrics: [Metric] = []
        var metricIndex: [Int: Int] = [:]
    }

    private struct Resource {
        let message: WireBytes
        var scopes: [Scope] = []
        var scopeIndex: [Int: Int] = [:]
    }

    /// Keeps them.
    private let editor: RequestEditor
    private var resources: [Resource] = []
    private var resourceIndex: [[UInt8]: Int] = [:]
    /// The resource that is being taken apart.
    private var source = WireBytes.none
    /// Where its items go, by what moved out of them.
    private var targets: [[UInt8]: Int] = [:]
    /// The scope and the metric that are being taken apart, and what makes them the same as others; numbered, since an index is not
    /// asked by a long name for each item.
    private var scope = WireBytes.none
    private var (scopeNumber, metricNumber) = (0, 0)
    private var (scopeNumbers, metricNumbers): ([[UInt8]: Int], [[UInt8]: Int]) = ([:], [:])

    init(_ editor: RequestEditor) {
        self.editor = editor
    }

    /// How many resources there are.
    var count: Int { resources.count }

    /// Begins with the items of another resource.
    mutating func begin(_ resource: WireBytes) {
        source = resource
        targets.removeAll(keepingCapacity: true)
    }

    /// Goes on with the items of another scope of it.
    mutating func begin(scope: WireBytes) {
        self.scope = scope
        var identity = AttributeIdentity()
        identity.add(scope.content(Field.Scope.name))
        identity.add(scope.content(Field.Scope.version))
        scopeNumber = Self.number(identity, in: &scopeNumbers)
    }

    /// Goes on with the points of another metric of it, of a kind.
    mutating func begin(metric: WireBytes, kind: UInt32) {
        var identity = AttributeIdentity()
        identity.add(metric.content(Field.Metric.name))
        identity.add(UInt64(kind))
        metricNumber = Self.number(identity, in: &metricNumbers)
    }

    private static func number(_ identity: AttributeIdentity, in numbers: inout [[UInt8]: Int]) -> Int {
        if let known = numbers[identity.bytes] { return known }
        numbers[identity.bytes] = numbers.count
        return numbers.count - 1
    }

    /// Adds a span or a record.
    mutating func add(item: WireBytes, moved: [Attribute]) {
        let (resource, scope) = placeOfScope(moved)
        resources[resource].scopes[scope].items.append(item)
    }

    /// Adds a data point of the metric.
    mutating func add(point: WireBytes, metric: WireBytes, kind: UInt32, moved: [Attribute]) {
        let (resource, scope) = placeOfScope(moved)
        let known = resources[resource].scopes[scope].metricIndex[metricNumber]
        let index = known ?? resources[resource].scopes[scope].metrics.count
        if known == nil {
            resources[resource].scopes[scope].metricIndex[metricNumber] = index
            resources[resource].scopes[scope].metrics.append(Metric(source: metric, kind: kind))
        }
        resources[resource].scopes[scope].metrics[index].points.append(point)
    }

    // MARK: - Places

    private mutating func placeOfScope(_ moved: [Attribute]) -> (resource: Int, scope: Int) {
        let resource = place(moved)
        if let known = resources[resource].scopeIndex[scopeNumber] { return (resource, known) }
        let index = resources[resource].scopes.count
        resources[resource].scopeIndex[scopeNumber] = index
        resources[resource].scopes.append(Scope(message: scope))
        return (resource, index)
    }

    private mutating func place(_ moved: [Attribute]) -> Int {
        var identity = AttributeIdentity()
        for attribute in moved {
            identity.add(attribute.key)
            identity.add(attribute.value)
        }
        if let known = targets[identity.bytes] { return known }
        let message = editor.keep(Self.resource(source, with: moved))
        var attributes = AttributeIdentity()
        attributes.add(attributes: message, Field.Resource.attributes)
        let index = resourceIndex[attributes.bytes] ?? resources.count
        if index == resources.count {
            resourceIndex[attributes.bytes] = index
            resources.append(Resource(message: message))
        }
        targets[identity.bytes] = index
        return index
    }

    /// A resource with further attributes, which replace those of the same keys.
    private static func resource(_ source: WireBytes, with moved: [Attribute]) -> [UInt8] {
        var draft = MessageDraft()
        for field in source.fields {
            if field.number == Field.Resource.attributes, field.isBytes {
                let key = Attribute(field.bytes).key
                if moved.contains(where: { $0.key.isEqual(to: key) }) { continue }
            }
            draft.append(field)
        }
        for attribute in moved {
            var value: [UInt8] = []
            attribute.value.encode(to: &value)
            var entry = MessageDraft()
            entry.append(Field.KeyValue.key, attribute.key)
            entry.append(Field.KeyValue.value, value)
            draft.append(Field.Resource.attributes, entry.bytes)
        }
        return draft.bytes
    }

    // MARK: - Writing

    /// Appends all resources.
    func write(to request: RequestEditor) {
        for resource in resources {
            var entry = MessageDraft()
            entry.append(Field.ResourceEntry.resource, resource.message)
            for scope in resource.scopes {
                var part = MessageDraft()
                part.append(Field.ScopeEntry.scope, scope.message)
                for item in scope.items { part.append(Field.ScopeEntry.entries, item) }
                for metric in scope.metrics {
                    part.append(Field.ScopeEntry.entries, Self.message(of: metric))
                }
                entry.append(Field.ResourceEntry.scopes, part.bytes)
            }
            unsafe entry.bytes.withUnsafeBytes { bytes in
                // SAFETY: borrowed for the call.
                request.append(request.root, Field.Request.resources, unsafe WireBytes(bytes))
            }
        }
    }

    private static func message(of metric: Metric) -> [UInt8] {
        var data = MessageDraft()
        var draft = MessageDraft()
        for field in metric.source.fields {
            guard field.number == metric.kind, field.isBytes else {
                draft.append(field)
                continue
            }
            for field in field.bytes.fields where field.number != Field.MetricData.dataPoints {
                data.append(field)
            }
        }
        for point in metric.points { data.append(Field.MetricData.dataPoints, point) }
        draft.append(metric.kind, data.bytes)
        return draft.bytes
    }
}

extension WireBytes {
    /// The content of the last field of a number.
    fileprivate func content(_ number: UInt32) -> WireBytes {
        var found = WireBytes.none
        for field in fields where field.number == number { found = field.bytes }
        return found
    }
}
