internal import OTLP

// The way of a request: resource, scope, metric, points. A turn at a time: a request may hold a million points, and the
// event loop that brings them, and the store's lock, are others' too.

/// How far a request is read: where the field at hand begins in the message around it, level by level.
struct ReadPosition {
    var resource = 0
    var scope = 0
    var metric = 0
    /// For a metric whose points are in several messages.
    var data = 0
    var point = 0
    // What a turn found out of the messages at hand: to look through one for every turn that its parts take would be
    // quadratic work.
    fileprivate var resourceHash: WireHash?
    fileprivate var scopeHash: WireHash?
    fileprivate var metricAtHand: MetricAtHand?

    init() {}
}

/// A metric of which points are left to read.
private struct MetricAtHand {
    let key: SeriesKey
    let kind: UInt32
    /// Where its points are in it; nil when they are in several messages.
    let data: Range<Int>?

    init(_ head: MetricHead, of metric: WireBytes, key: SeriesKey) {
        self.key = key
        kind = head.kind
        guard !head.isScattered, let base = unsafe metric.unsafeBytes.baseAddress,
            let start = unsafe head.data.unsafeBytes.baseAddress
        else {
            data = nil
            return
        }
        let offset = unsafe start - base
        data = offset..<offset + head.data.count
    }
}

extension SeriesStore {
    /// What a turn may do: as many updates of known series, of some 100 ns each, or other work in this measure.
    static let workPerTurn = 8192
    /// To make the labels of a series or the name of a metric.
    static let workPerNew = 24
    static let workPerExemplar = 8

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

    /// Takes the data points of a request in, for as long as there is `work` left.
    ///
    /// - Parameters:
    ///   - request: zero or more fields of an `ExportMetricsServiceRequest` that was checked.
    ///   - position: where to begin; then, where to go on.
    ///   - now: ticks.
    ///   - kept: counts the points that were kept; the others are counted in `events`.
    /// - Returns: whether the end was reached.
    func read(
        _ request: WireBytes, from position: inout ReadPosition, now: UInt32, kept: inout Int
    ) -> Bool {
        for entry in request.fields(position.resource..<request.count)
        where entry.number == Field.Request.resources {
            position.resource = entry.start
            guard work > 0 else { return false }
            work -= 1
            let resource = entry.bytes
            let hash = position.resourceHash ?? hash(ofResource: resource)
            position.resourceHash = hash
            for field in resource.fields(position.scope..<resource.count)
            where field.number == Field.ResourceEntry.scopes {
                position.scope = field.start
                guard work > 0, readScope(field.bytes, of: resource, hash, &position, now: now, &kept) else {
                    return false
                }
                position.metric = 0
                position.scopeHash = nil
            }
            position.scope = 0
            position.resourceHash = nil
        }
        return true
    }

    private func hash(ofResource resource: WireBytes) -> WireHash {
        var hash = WireHash(low: 1, high: 0)
        for field in resource.fields where field.number == Field.ResourceEntry.resource {
            hash = hasher.hash(field.bytes, from: hash)
        }
        return hash
    }

    private func hash(ofScope scope: WireBytes, from resourceHash: WireHash) -> WireHash {
        var hash = resourceHash
        for field in scope.fields
        where field.number == Field.ScopeEntry.scope || field.number == Field.ScopeEntry.schemaURL {
            hash = hasher.hash(
                field.bytes, from: WireHash(low: hash.low ^ UInt64(field.number), high: hash.high))
        }
        return hash
    }

    private func readScope(
        _ scope: WireBytes, of resource: WireBytes, _ resourceHash: WireHash, _ position: inout ReadPosition,
        now: UInt32, _ kept: inout Int
    ) -> Bool {
        work -= 1
        let hash = position.scopeHash ?? hash(ofScope: scope, from: resourceHash)
        position.scopeHash = hash
        let key = SeriesKey(hash)
        let index = contextTable.find(key)
        let context = index == noIndex ? nil : contexts[index]
        var place = Scope(
            resource: resource, scope: scope, key: key, id: context?.id ?? makeID(), context: context)
        for field in scope.fields(position.metric..<scope.count)
        where field.number == Field.ScopeEntry.entries {
            position.metric = field.start
            guard work > 0, readMetric(field.bytes, in: &place, &position, now: now, &kept) else {
                return false
            }
            position.data = 0
            position.point = 0
            position.metricAtHand = nil
        }
        return true
    }

    private func readMetric(
        _ metric: WireBytes, in scope: inout Scope, _ position: inout ReadPosition, now: UInt32,
        _ kept: inout Int
    ) -> Bool {
        work -= 1
        let atHand: MetricAtHand
        let descriptor: Descriptor
        if let known = position.metricAtHand, case let index = descriptorTable.find(known.key),
            index != noIndex
        {
            (atHand, descriptor) = (known, descriptors[index])
        } else {
            let head = MetricHead(metric)
            guard head.points > 0 else { return true }
            switch find(head, metric) {
            case .success(let found): descriptor = found
            case .failure(let refused):
                count(refused.reason, head.points)
                return true
            }
            atHand = MetricAtHand(head, of: metric, key: descriptor.key)
        }
        position.metricAtHand = atHand
        var subject = Subject(scope: scope, descriptor: descriptor, now: now)
        defer { scope.context = subject.scope.context }
        if let data = atHand.data {
            // SAFETY: it was found there, in the same message.
            let bytes = unsafe WireBytes(UnsafeRawBufferPointer(rebasing: metric.unsafeBytes[data]))
            return readPoints(bytes, of: &subject, &position, &kept)
        }
        for field in metric.fields(position.data..<metric.count) where field.number == atHand.kind {
            position.data = field.start
            guard readPoints(field.bytes, of: &subject, &position, &kept) else { return false }
            position.point = 0
        }
        return true
    }

    private func find(_ head: MetricHead, _ metric: WireBytes) -> Result<Descriptor, MetricRefused> {
        let isUnknown = head.hasMetadata && head.kind == Field.Metric.gauge && Self.isUnknown(metric)
        let nameHash = hasher.hash(head.unit, from: hasher.hash(head.name, from: WireHash(low: 2, high: 0)))
        let shape =
            UInt64(head.kind) << 40 | UInt64(head.temporality) << 2 | (head.isMonotonic ? 2 : 0)
            | (isUnknown ? 1 : 0)
        let key = SeriesKey(hasher.hash(shape, from: nameHash))
        let index = descriptorTable.find(key)
        if index != noIndex { return .success(descriptors[index]) }
        work -= Self.workPerNew
        return describe(head, isUnknown: isUnknown, key: key, nameHash: nameHash)
    }

    private func readPoints(
        _ data: WireBytes, of subject: inout Subject, _ position: inout ReadPosition, _ kept: inout Int
    ) -> Bool {
        let from = hasher.hash(
            subject.scope.id, from: WireHash(low: subject.descriptor.id, high: subject.descriptor.id &* 3))
        // SAFETY: points were read up to there, so it is inside of the message.
        let rest = unsafe WireBytes(UnsafeRawBufferPointer(rebasing: data.unsafeBytes[position.point...]))
        var points = MetricPoints(rest, hasher: hasher, from: from)
        let isDone =
            switch subject.descriptor.kind {
            case .number: readNumbers(&points, of: &subject, &kept)
            case .histogram: readHistograms(&points, of: &subject, &kept)
            case .exponential:
                readOthers(
                    &points, of: &subject, &kept, attributes: Field.ExponentialPoint.attributes)
            case .summary:
                readOthers(&points, of: &subject, &kept, attributes: Field.SummaryPoint.attributes)
            }
        if !isDone { position.point += points.offset }
        return isDone
    }

    private func readNumbers(
        _ points: inout MetricPoints, of subject: inout Subject, _ kept: inout Int
    ) -> Bool {
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var left = work
        defer { work = left }
        while left > 0 {
            guard points.nextNumber(into: &point) else { return true }
            left -= 1
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
                left -= Self.workPerNew
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
                left -= keepExemplars(of: point, field: Field.NumberPoint.exemplars, series: index)
            }
        }
        return false
    }

    private func readHistograms(
        _ points: inout MetricPoints, of subject: inout Subject, _ kept: inout Int
    ) -> Bool {
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var left = work
        defer { work = left }
        while left > 0 {
            guard points.nextHistogram(into: &point) else { return true }
            left -= 1
            if point.hasNoRecordedValue {
                end(point, Field.HistogramPoint.attributes, &subject)
                kept += 1
                continue
            }
            guard let buckets = HistogramBuckets(point, scratch: scratch) else {
                count(.malformed)
                continue
            }
            left -= buckets.counts.count >> 7
            var index = aliases.find(SeriesKey(point.hash))
            if index == noIndex {
                left -= Self.workPerNew
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
                left -= keepExemplars(of: point, field: Field.HistogramPoint.exemplars, series: index)
            }
        }
        return false
    }

    private func readOthers(
        _ points: inout MetricPoints, of subject: inout Subject, _ kept: inout Int, attributes: UInt32
    ) -> Bool {
        let isSummary = subject.descriptor.kind == .summary
        let isDelta = subject.descriptor.isDelta
        var point = MetricPoint()
        var left = work
        defer { work = left }
        while left > 0 {
            guard points.nextOther(attributes: attributes, into: &point) else { return true }
            left -= 2 + point.whole.count >> 6
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
                left -= Self.workPerNew
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
        return false
    }

    /// Counts a dropped point. A series whose first point it was does not stay.
    private func drop(_ reason: DropReason, series index: UInt32) {
        if reason == .seriesLimit || reason == .memoryLimit {
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
