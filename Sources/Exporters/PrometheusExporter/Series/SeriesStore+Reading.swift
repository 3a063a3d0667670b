internal import OTLP

// The way of a request: resource, scope, metric, points.

extension SeriesStore {
    /// The scope whose metrics are read.
    struct Scope {
        /// `ResourceMetrics` and `ScopeMetrics`.
        let resource: WireBytes
        let scope: WireBytes
        let key: SeriesKey
        /// Goes into the keys of its series.
        let id: UInt64
        /// As the store knows it, or as it would.
        var context: Context?
        /// Nil while that was not asked.
        var hasTooManyAttributes: Bool?
    }

    /// The metric whose points are read.
    struct Subject {
        var scope: Scope
        let descriptor: Descriptor
        let now: UInt32

        /// Of the resource; known once a series of it is.
        @inline(__always)
        var process: UInt32 { scope.context?.process ?? 0 }
    }

    /// Takes the data points of a request in.
    ///
    /// - Parameters:
    ///   - request: zero or more fields of an `ExportMetricsServiceRequest` that was checked.
    ///   - now: ticks.
    /// - Returns: how many points were kept; the others are counted in `events`.
    func read(_ request: WireBytes, now: UInt32) -> Int {
        var kept = 0
        for entry in request.fields where entry.number == Field.Request.resources {
            let resource = entry.bytes
            var resourceHash = WireHash(low: 1, high: 0)
            for field in resource.fields where field.number == Field.ResourceEntry.resource {
                resourceHash = hasher.hash(field.bytes, from: resourceHash)
            }
            for field in resource.fields where field.number == Field.ResourceEntry.scopes {
                kept += readScope(field.bytes, of: resource, resourceHash, now: now)
            }
        }
        return kept
    }

    private func readScope(
        _ scope: WireBytes, of resource: WireBytes, _ resourceHash: WireHash, now: UInt32
    ) -> Int {
        var hash = resourceHash
        for field in scope.fields
        where field.number == Field.ScopeEntry.scope || field.number == Field.ScopeEntry.schemaURL {
            hash = hasher.hash(
                field.bytes, from: WireHash(low: hash.low ^ UInt64(field.number), high: hash.high))
        }
        let key = SeriesKey(hash)
        let index = contextTable.find(key)
        let context = index == noIndex ? nil : contexts[index]
        var place = Scope(
            resource: resource, scope: scope, key: key, id: context?.id ?? makeID(), context: context)
        var kept = 0
        for field in scope.fields where field.number == Field.ScopeEntry.entries {
            kept += readMetric(field.bytes, in: &place, now: now)
        }
        return kept
    }

    private func readMetric(_ metric: WireBytes, in scope: inout Scope, now: UInt32) -> Int {
        let head = MetricHead(metric)
        guard head.points > 0 else { return 0 }
        let isUnknown = head.hasMetadata && head.kind == Field.Metric.gauge && Self.isUnknown(metric)
        let nameHash = hasher.hash(head.unit, from: hasher.hash(head.name, from: WireHash(low: 2, high: 0)))
        let shape =
            UInt64(head.kind) << 40 | UInt64(head.temporality) << 2 | (head.isMonotonic ? 2 : 0)
            | (isUnknown ? 1 : 0)
        let key = SeriesKey(hasher.hash(shape, from: nameHash))
        let index = descriptorTable.find(key)
        let descriptor: Descriptor
        if index != noIndex {
            descriptor = descriptors[index]
        } else {
            switch describe(head, isUnknown: isUnknown, key: key, nameHash: nameHash) {
            case .success(let made): descriptor = made
            case .failure(let refused):
                count(refused.reason, head.points)
                return 0
            }
        }
        var subject = Subject(scope: scope, descriptor: descriptor, now: now)
        var kept = 0
        if head.isScattered {
            for field in metric.fields where field.number == head.kind {
                kept += readPoints(field.bytes, of: &subject)
            }
        } else {
            kept = readPoints(head.data, of: &subject)
        }
        scope.context = subject.scope.context
        return kept
    }

    private func readPoints(_ data: WireBytes, of subject: inout Subject) -> Int {
        let from = hasher.hash(
            subject.scope.id, from: WireHash(low: subject.descriptor.id, high: subject.descriptor.id &* 3))
        var points = MetricPoints(data, hasher: hasher, from: from)
        switch subject.descriptor.kind {
        case .number: return readNumbers(&points, of: &subject)
        case .histogram: return readHistograms(&points, of: &subject)
        case .exponential:
            return readOthers(&points, of: &subject, attributes: Field.ExponentialPoint.attributes)
        case .summary: return readOthers(&points, of: &subject, attributes: Field.SummaryPoint.attributes)
        }
    }

    private func readNumbers(_ points: inout MetricPoints, of subject: inout Subject) -> Int {
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var kept = 0
        while points.nextNumber(into: &point) {
            if point.hasNoRecordedValue {
                end(point, Field.NumberPoint.attributes, &subject)
                kept += 1
                continue
            }
            guard point.numberKind != .none else {
                count(.malformed)
                continue
            }
            var index = aliases.find(SeriesKey(point.hash))
            if index == noIndex {
                guard let made = resolve(point, Field.NumberPoint.attributes, &subject) else { continue }
                index = made
            }
            if let reason = slab[index].update(point, isDelta: isDelta, process: subject.process) {
                count(reason)
                continue
            }
            slab[index].touched = subject.now
            kept += 1
            if point.hasExemplars {
                keepExemplars(of: point, field: Field.NumberPoint.exemplars, series: index)
            }
        }
        return kept
    }

    private func readHistograms(_ points: inout MetricPoints, of subject: inout Subject) -> Int {
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var kept = 0
        while points.nextHistogram(into: &point) {
            if point.hasNoRecordedValue {
                end(point, Field.HistogramPoint.attributes, &subject)
                kept += 1
                continue
            }
            guard let buckets = HistogramBuckets(point, scratch: scratch) else {
                count(.malformed)
                continue
            }
            var index = aliases.find(SeriesKey(point.hash))
            if index == noIndex {
                guard let made = resolve(point, Field.HistogramPoint.attributes, &subject) else { continue }
                index = made
            }
            if let reason = updateHistogram(
                index, point, buckets, isDelta: isDelta, process: subject.process)
            {
                drop(reason, series: index)
                continue
            }
            slab[index].touched = subject.now
            kept += 1
            if point.hasExemplars {
                keepExemplars(of: point, field: Field.HistogramPoint.exemplars, series: index)
            }
        }
        return kept
    }

    private func readOthers(
        _ points: inout MetricPoints, of subject: inout Subject, attributes: UInt32
    ) -> Int {
        let isSummary = subject.descriptor.kind == .summary
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var kept = 0
        while points.nextOther(attributes: attributes, into: &point) {
            let summary = isSummary ? SummaryState(point.whole) : nil
            let exponential = isSummary ? nil : ExponentialState(point.whole)
            if summary?.hasNoRecordedValue ?? exponential?.hasNoRecordedValue ?? false {
                end(point, attributes, &subject)
                kept += 1
                continue
            }
            guard summary != nil || exponential != nil else {
                count(.malformed)
                continue
            }
            var index = aliases.find(SeriesKey(point.hash))
            if index == noIndex {
                guard let made = resolve(point, attributes, &subject) else { continue }
                index = made
            }
            let reason =
                if let summary { updateSummary(index, summary) } else {
                    updateExponential(
                        index, exponential!, isDelta: isDelta, process: subject.process)
                }
            if let reason {
                drop(reason, series: index)
                continue
            }
            slab[index].touched = subject.now
            kept += 1
        }
        return kept
    }

    /// Counts a dropped point. A series whose first point it was does not stay.
    private func drop(_ reason: DropReason, series index: UInt32) {
        if reason == .seriesLimit {
            dropOverLimit(reason, family(of: slab[index]))
        } else {
            count(reason)
        }
        if !slab[index].flags.contains(.hasValue) { remove(index) }
    }

    /// Removes the series of a point that says that there is no value any more.
    private func end(_ point: MetricPoint, _ attributes: UInt32, _ subject: inout Subject) {
        var index = aliases.find(SeriesKey(point.hash))
        if index == noIndex {
            guard let found = resolve(point, attributes, &subject, makes: false) else { return }
            index = found
        }
        remove(index)
    }

    /// Whether the metadata of a metric says that its type is unknown.
    private static func isUnknown(_ metric: WireBytes) -> Bool {
        for field in metric.fields where field.number == Field.Metric.metadata {
            let attribute = Attribute(field.bytes)
            if attribute.key == "prometheus.type", case .string(let text) = attribute.value, text == "unknown"
            {
                return true
            }
        }
        return false
    }
}
