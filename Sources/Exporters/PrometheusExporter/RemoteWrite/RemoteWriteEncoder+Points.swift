internal import OTLP

extension RemoteWriteEncoder {
    /// The value of a series that has ended: a NaN of its own (Prometheus' stale marker).
    private static let stale = Double(bitPattern: 0x7FF0_0000_0000_0002)

    /// What all points have.
    private struct PointHead {
        var time: Int64 = 0
        var isStale = false
        var attributes: [(key: [UInt8], value: [UInt8])] = []
    }

    func add(metric head: MetricHead, _ source: inout SeriesSource, to work: inout Work) {
        let name = head.name.text
        let fields = head.data.fields.filter { $0.number == Field.MetricData.dataPoints }
        guard !fields.isEmpty else { return }
        let isSummary = head.kind == Field.Metric.summary
        let isGauge = head.kind == Field.Metric.gauge
        let kind: MetricNamer.Kind =
            isGauge || head.kind == Field.Metric.sum ? (head.isMonotonic ? .counter : .gauge) : .other
        let namedKind: MetricNamer.Kind = head.kind == Field.Metric.sum && kind == .gauge ? .other : kind
        for field in fields { source.see(time(field.bytes, head.kind)) }
        guard isGauge || isSummary || head.temporality == 2 else {
            return work.leaveOut(
                fields.count, "\"\(name)\" is not cumulative; put deltatocumulative before this exporter")
        }
        guard let series = namer.metricName(name, unit: head.unit.text, kind: namedKind) else {
            return work.leaveOut(fields.count, "nothing valid is left of the name \"\(name)\"")
        }
        if settings.sendsMetadata { addMetadata(series, head, to: &work) }
        for field in fields {
            switch head.kind {
            case Field.Metric.histogram: addHistogram(field.bytes, series, source, to: &work)
            case Field.Metric.exponentialHistogram: addExponential(field.bytes, series, source, to: &work)
            case Field.Metric.summary: addSummary(field.bytes, series, source, to: &work)
            default: addNumber(field.bytes, series, source, hasExemplars: !isGauge, to: &work)
            }
        }
    }

    private func time(_ point: WireBytes, _ kind: UInt32) -> Int64 {
        var time: UInt64 = 0
        // All kinds have it as field 3.
        for field in point.fields where field.number == Field.NumberPoint.time { time = field.bits }
        return Int64(time / 1_000_000)
    }

    private func addMetadata(_ name: String, _ head: MetricHead, to work: inout Work) {
        guard work.metadata[name] == nil else { return }
        let type: UInt64 =
            switch head.kind {
            case Field.Metric.gauge: 2
            case Field.Metric.sum: head.isMonotonic ? 1 : 2
            case Field.Metric.summary: 5
            default: 3
            }
        var draft = ProtobufDraft()
        draft.integer(1, type)
        draft.field(2, name.utf8)
        if head.description.count > 0 { draft.field(4, head.description.array) }
        if head.unit.count > 0 { draft.field(5, head.unit.array) }
        work.metadata[name] = draft.bytes
    }

    private func series(
        _ name: String, _ point: PointHead, _ source: SeriesSource, _ more: Label? = nil, to work: inout Work
    ) -> Int {
        var extra = [Label(name: "__name__", value: Array(name.utf8))]
        if let more { extra.append(more) }
        return work.series.series(labelsOf(source, point.attributes, more: extra))
    }

    // MARK: - Kinds

    private func addNumber(
        _ point: WireBytes, _ name: String, _ source: SeriesSource, hasExemplars: Bool, to work: inout Work
    ) {
        var head = PointHead()
        var value: Double?
        for field in point.fields {
            switch field.number {
            case Field.NumberPoint.time: head.time = Int64(field.bits / 1_000_000)
            case Field.NumberPoint.flags: head.isStale = field.bits & 1 != 0
            case Field.NumberPoint.asInt: value = Double(field.int64)
            case Field.NumberPoint.asDouble: value = field.double
            default: break
            }
        }
        guard let sample = head.isStale ? Self.stale : value else {
            return work.leaveOut(1, "a point of \"\(name)\" has no value")
        }
        head.attributes = LabelMaker.attributes(point, Field.NumberPoint.attributes)
        let index = series(name, head, source, to: &work)
        work.series.countItem(of: index)
        work.series.addSample(sample, time: head.time, to: index)
        guard hasExemplars else { return }
        for exemplar in exemplars(point, Field.NumberPoint.exemplars) {
            work.series.addExemplar(exemplar, to: index)
        }
    }

    private func exemplars(_ point: WireBytes, _ number: UInt32) -> [RemoteExemplar] {
        point.fields.compactMap { $0.number == number ? RemoteExemplar($0.bytes, namer: namer) : nil }
    }

    private func addHistogram(
        _ point: WireBytes, _ name: String, _ source: SeriesSource, to work: inout Work
    ) {
        var head = PointHead()
        var count: UInt64 = 0
        var sum: Double?
        var counts: [UInt64] = []
        var bounds: [UInt64] = []
        for field in point.fields {
            switch field.number {
            case Field.HistogramPoint.time: head.time = Int64(field.bits / 1_000_000)
            case Field.HistogramPoint.flags: head.isStale = field.bits & 1 != 0
            case Field.HistogramPoint.count: count = field.bits
            case Field.HistogramPoint.sum: sum = field.double
            case Field.HistogramPoint.bucketCounts: counts += field.fixedNumbers
            case Field.HistogramPoint.explicitBounds: bounds += field.fixedNumbers
            default: break
            }
        }
        head.attributes = LabelMaker.attributes(point, Field.HistogramPoint.attributes)
        func add(_ suffix: String, _ value: Double, _ more: Label? = nil) -> Int {
            let index = series(name + suffix, head, source, more, to: &work)
            work.series.addSample(head.isStale ? Self.stale : value, time: head.time, to: index)
            return index
        }
        if let sum { _ = add("_sum", sum) }
        work.series.countItem(of: add("_count", Double(count)))
        var buckets: [(bound: Double, index: Int)] = []
        var cumulative: UInt64 = 0
        for (bound, own) in zip(bounds, counts) {
            cumulative &+= own
            let bound = Double(bitPattern: bound)
            let le = Label(name: "le", value: Array(NumberText.plain(bound).utf8))
            buckets.append((bound, add("_bucket", Double(cumulative), le)))
        }
        let rest = add("_bucket", Double(count), Label(name: "le", value: Array("+Inf".utf8)))
        for exemplar in exemplars(point, Field.HistogramPoint.exemplars) {
            let bucket = buckets.first { exemplar.value <= $0.bound }?.index ?? rest
            work.series.addExemplar(exemplar, to: bucket)
        }
    }

    private func addSummary(
        _ point: WireBytes, _ name: String, _ source: SeriesSource, to work: inout Work
    ) {
        var head = PointHead()
        var count: UInt64 = 0
        var sum = 0.0
        var quantiles: [(quantile: Double, value: Double)] = []
        for field in point.fields {
            switch field.number {
            case Field.SummaryPoint.time: head.time = Int64(field.bits / 1_000_000)
            case Field.SummaryPoint.flags: head.isStale = field.bits & 1 != 0
            case Field.SummaryPoint.count: count = field.bits
            case Field.SummaryPoint.sum: sum = field.double
            case Field.SummaryPoint.quantileValues:
                var pair = (quantile: 0.0, value: 0.0)
                for inner in field.bytes.fields {
                    if inner.number == Field.QuantileValue.quantile { pair.quantile = inner.double }
                    if inner.number == Field.QuantileValue.value { pair.value = inner.double }
                }
                quantiles.append(pair)
            default: break
            }
        }
        head.attributes = LabelMaker.attributes(point, Field.SummaryPoint.attributes)
        func add(_ suffix: String, _ value: Double, _ more: Label? = nil) -> Int {
            let index = series(name + suffix, head, source, more, to: &work)
            work.series.addSample(head.isStale ? Self.stale : value, time: head.time, to: index)
            return index
        }
        _ = add("_sum", sum)
        work.series.countItem(of: add("_count", Double(count)))
        for pair in quantiles {
            let label = Label(name: "quantile", value: Array(NumberText.plain(pair.quantile).utf8))
            _ = add("", pair.value, label)
        }
    }

    private func addExponential(
        _ point: WireBytes, _ name: String, _ source: SeriesSource, to work: inout Work
    ) {
        guard let histogram = NativeHistogram(point) else {
            // As the Collector: the series is there, without samples.
            var head = PointHead()
            head.attributes = LabelMaker.attributes(point, Field.ExponentialPoint.attributes)
            _ = series(name, head, source, to: &work)
            return work.leaveOut(
                1,
                "a point of \"\(name)\" has a scale below \(NativeHistogram.schemaMin), which Prometheus has not"
            )
        }
        var head = PointHead()
        head.attributes = LabelMaker.attributes(point, Field.ExponentialPoint.attributes)
        let index = series(name, head, source, to: &work)
        work.series.countItem(of: index)
        work.series.addHistogram(to: index) { histogram.write(to: &$0, stale: Self.stale) }
        for exemplar in exemplars(point, Field.ExponentialPoint.exemplars) {
            work.series.addExemplar(exemplar, to: index)
        }
    }
}

extension SeriesSource {
    mutating func see(_ time: Int64) { newestTime = max(newestTime, time) }
}

extension WireField {
    /// 64-bit numbers, packed or a single one.
    fileprivate var fixedNumbers: [UInt64] {
        guard isBytes else { return [bits] }
        let packed = bytes
        return stride(from: 0, to: packed.count - packed.count % 8, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(packed[start + $1]) << UInt64(8 * $1) }
        }
    }
}
