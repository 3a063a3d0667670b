internal import COTLP

/// What a walk does with what it showed.
public enum Keep: Sendable {
    case keep
    case remove
}

/// A resource of a request.
public struct ResourcePlace: Sendable {
    /// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    public let entry: MessageID
    /// Its `Resource`, virtual when there is none.
    public let resource: MessageID

    /// From its parts.
    @inlinable
    public init(entry: MessageID, resource: MessageID) {
        self.entry = entry
        self.resource = resource
    }
}

/// A scope of a request.
public struct ScopePlace: Sendable {
    /// Where it stands.
    public let resource: ResourcePlace
    /// `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
    public let entry: MessageID
    /// Its `InstrumentationScope`, virtual when there is none.
    public let scope: MessageID

    /// From its parts.
    @inlinable
    public init(resource: ResourcePlace, entry: MessageID, scope: MessageID) {
        self.resource = resource
        self.entry = entry
        self.scope = scope
    }
}

/// A span, a metric or a log record.
public struct ItemPlace: Sendable {
    /// Where it stands.
    public let scope: ScopePlace
    /// `Span`, `Metric` or `LogRecord`.
    public let item: MessageID

    /// From its parts.
    @inlinable
    public init(scope: ScopePlace, item: MessageID) {
        self.scope = scope
        self.item = item
    }
}

/// A data point.
public struct PointPlace: Sendable {
    /// Where it stands.
    public let metric: MessageID
    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary`.
    public let data: MessageID
    /// Which of them: their numbers in `Field.Metric`.
    public let kind: UInt32
    /// `NumberDataPoint`, `HistogramDataPoint` and so on.
    public let point: MessageID

    /// From its parts.
    @inlinable
    public init(metric: MessageID, data: MessageID, kind: UInt32, point: MessageID) {
        self.metric = metric
        self.data = data
        self.kind = kind
        self.point = point
    }
}

/// Walks show what stands in the request when they begin, in order, and close it when it was shown; what was added meanwhile is
/// not shown. They end early when the editor is out of memory.
extension RequestEditor {
    /// Shows each resource.
    @inlinable
    public func forEachResource<Failure: Error>(
        _ body: (ResourcePlace) throws(Failure) -> Keep
    ) throws(Failure) {
        try forEachChild(root, Field.Request.resources) { entry throws(Failure) in
            let resource = child(entry, Field.ResourceEntry.resource)
            return try body(ResourcePlace(entry: entry, resource: resource))
        }
    }

    /// Shows each scope.
    @inlinable
    public func forEachScope<Failure: Error>(
        _ body: (ScopePlace) throws(Failure) -> Keep
    ) throws(Failure) {
        try forEachResource { resource throws(Failure) in
            try forEachScope(of: resource, body)
            return .keep
        }
    }

    /// Shows each scope of a resource.
    @inlinable
    public func forEachScope<Failure: Error>(
        of resource: ResourcePlace, _ body: (ScopePlace) throws(Failure) -> Keep
    ) throws(Failure) {
        try forEachChild(resource.entry, Field.ResourceEntry.scopes) { entry throws(Failure) in
            let scope = child(entry, Field.ScopeEntry.scope)
            return try body(ScopePlace(resource: resource, entry: entry, scope: scope))
        }
    }

    /// Shows each span, metric or log record.
    /// - Parameter pruning: removes scopes, then resources, in which there is nothing, also those that came so.
    @inlinable
    public func forEachItem<Failure: Error>(
        pruning: Bool = false, _ body: (ItemPlace) throws(Failure) -> Keep
    ) throws(Failure) {
        try forEachResource { resource throws(Failure) in
            try forEachScope(of: resource) { scope throws(Failure) in
                try forEachItem(of: scope, body)
                return pruning && count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return pruning && count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    /// Shows each span, metric or log record of a scope.
    @inlinable
    public func forEachItem<Failure: Error>(
        of scope: ScopePlace, _ body: (ItemPlace) throws(Failure) -> Keep
    ) throws(Failure) {
        try forEachChild(scope.entry, Field.ScopeEntry.entries) { item throws(Failure) in
            try body(ItemPlace(scope: scope, item: item))
        }
    }

    /// Shows each data point of a metric, whatever kind it is of.
    @inlinable
    public func forEachPoint<Failure: Error>(
        _ metric: MessageID, _ body: (PointPlace) throws(Failure) -> Keep
    ) throws(Failure) {
        guard let kind = metricKind(metric) else { return }
        let data = child(metric, kind)
        try forEachChild(data, Field.MetricData.dataPoints) { point throws(Failure) in
            try body(PointPlace(metric: metric, data: data, kind: kind, point: point))
        }
        close(data)
    }

    /// Which data a metric has: the number of the field, the last one of several; nil for a metric without.
    public func metricKind(_ metric: MessageID) -> UInt32? {
        for position in (0..<fieldCount(metric)).reversed() {
            let number = number(metric, at: position)
            switch number {
            case Field.Metric.gauge, Field.Metric.sum, Field.Metric.histogram,
                Field.Metric.exponentialHistogram, Field.Metric.summary:
                return number
            default: continue
            }
        }
        return nil
    }

    /// Shows each message in the fields of a number.
    @inlinable
    public func forEachChild<Failure: Error>(
        _ message: MessageID, _ number: UInt32, _ body: (MessageID) throws(Failure) -> Keep
    ) throws(Failure) {
        let end = fieldCount(message)
        var position = 0
        while let child = nextChild(message, number, from: &position, to: end) {
            let keep = try body(child)
            close(child)
            if case .remove = keep { remove(message, at: position) }
            position += 1
        }
    }

    /// Opens the next message in the fields of a number.
    /// - Parameter position: from where on; becomes its position.
    /// - Returns: nil: there is none before `end`, or the editor is out of memory.
    public func nextChild(
        _ message: MessageID, _ number: UInt32, from position: inout Int, to end: Int
    ) -> MessageID? {
        if isOutOfMemory { return nil }
        let row = row(message)
        let end = min(end, Int(row.count))
        while position < end {
            let entry = entries[Int(row.first) + position]
            if entry.number == number, !entry.isVirtual {
                return entry.child >= 0
                    ? MessageID(index: entry.child)
                    : openEntry(Int(row.first) + position, message, position)
            }
            position += 1
        }
        return nil
    }
}
