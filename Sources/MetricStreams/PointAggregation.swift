package import OTLP

/// How points that became alike are made one: the Collector's aggregation types. Histograms are always added.
package enum PointAggregation: String, CaseIterable, Sendable {
    case sum
    case mean
    case min
    case max
    case median
    case count

    /// Merges the points of a metric that have the same attributes and the same time, deltas also the same start time,
    /// histograms also the same buckets. Each goes into the first of its like. Summaries cannot be merged and stay.
    ///
    /// - Parameters:
    ///   - data: an open `Gauge`, `Sum`, ….
    ///   - kind: which of them.
    package func merge(_ data: MessageID, kind: UInt32, of editor: RequestEditor, _ hasher: StreamHasher) {
        guard kind != Field.Metric.summary, let fields = PointFields(kind) else { return }
        let isDelta = editor.bits(data, Field.MetricData.temporality) == Temporality.delta
        var groups: [[Int]] = []
        var known: [StreamKey: Int] = [:]
        for position in 0..<editor.fieldCount(data)
        where editor.number(data, at: position) == Field.MetricData.dataPoints {
            let point = editor.child(data, at: position)
            var hash = hasher.add(
                editor.attributes(point, fields.attributes), of: editor, to: StreamHasher.start)
            hash = hasher.add(editor.bits(point, fields.time), to: hash)
            if isDelta { hash = hasher.add(editor.bits(point, fields.startTime), to: hash) }
            let key = StreamKey(Self.addShape(point, kind, of: editor, hasher, to: hash))
            editor.close(point)
            if let group = known[key] {
                groups[group].append(position)
            } else {
                known[key] = groups.count
                groups.append([position])
            }
        }
        for group in groups where group.count > 1 { merge(group, in: data, fields, of: editor) }
    }

    /// What histograms must have in common.
    private static func addShape(
        _ point: MessageID, _ kind: UInt32, of editor: RequestEditor, _ hasher: StreamHasher,
        to hash: WireHash
    ) -> WireHash {
        func add(_ numbers: [UInt64], to hash: WireHash) -> WireHash {
            numbers.reduce(hash) { hasher.add($1, to: $0) }
        }
        func presence(_ number: UInt32) -> UInt64 { editor.has(point, number) ? 1 : 0 }
        switch kind {
        case Field.Metric.histogram:
            let value = HistogramValue(editor, point)
            let shape = [
                presence(Field.HistogramPoint.min), presence(Field.HistogramPoint.max),
                editor.bits(point, Field.HistogramPoint.flags),
            ]
            return add(value.bounds + shape, to: hash)
        case Field.Metric.exponentialHistogram:
            let value = ExponentialValue(editor, point)
            let shape = [
                presence(Field.ExponentialPoint.min), presence(Field.ExponentialPoint.max),
                editor.bits(point, Field.ExponentialPoint.flags), UInt64(bitPattern: Int64(value.scale)),
                UInt64(bitPattern: Int64(value.positive.offset)),
                UInt64(bitPattern: Int64(value.negative.offset)),
            ]
            return add(shape, to: hash)
        default: return hash
        }
    }

    private func merge(_ group: [Int], in data: MessageID, _ fields: PointFields, of editor: RequestEditor) {
        let first = editor.child(data, at: group[0])
        let others = group.dropFirst().map { editor.child(data, at: $0) }
        let start = others.reduce(editor.bits(first, fields.startTime)) {
            Swift.min($0, editor.bits($1, fields.startTime))
        }
        editor.setNumber(first, fields.startTime, .fixed64, start)
        switch fields.kind {
        case Field.Metric.histogram: Self.addHistograms(others, to: first, of: editor)
        case Field.Metric.exponentialHistogram: Self.addExponential(others, to: first, of: editor)
        default: mergeNumbers(others, into: first, of: editor)
        }
        for (point, position) in zip(others, group.dropFirst()).reversed() {
            editor.close(point)
            editor.remove(data, at: position)
        }
        editor.close(first)
    }

    // MARK: - Numbers

    private func mergeNumbers(_ others: [MessageID], into first: MessageID, of editor: RequestEditor) {
        switch NumberValue(editor, first) {
        case .double(let value):
            NumberValue.double(merged([value] + others.map { NumberValue(editor, $0).double }))
                .write(to: editor, first)
        case .int(let value):
            let values: [Int64] = others.map {
                let other = NumberValue(editor, $0)
                // As the Collector: a sum of integers takes no part of other numbers.
                if case .double = other, self == .sum || self == .mean { return 0 }
                return other.int
            }
            NumberValue.int(merged([value] + values)).write(to: editor, first)
        case .none: break
        }
    }

    private func merged(_ values: [Double]) -> Double {
        switch self {
        case .sum: return values.reduce(0, +)
        case .mean: return values.reduce(0, +) / Double(values.count)
        case .min: return values.dropFirst().reduce(values[0], Double.minimum)
        case .max: return values.dropFirst().reduce(values[0], Double.maximum)
        case .count: return Double(values.count)
        case .median:
            let sorted = values.sorted()
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        }
    }

    private func merged(_ values: [Int64]) -> Int64 {
        switch self {
        case .sum: return values.reduce(0, &+)
        case .mean: return values.reduce(0, &+) / Int64(values.count)
        case .min: return values.reduce(values[0], Swift.min)
        case .max: return values.reduce(values[0], Swift.max)
        case .count: return Int64(values.count)
        case .median:
            let sorted = values.sorted()
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] &+ sorted[middle]) / 2
        }
    }

    // MARK: - Histograms

    private static func addHistograms(_ others: [MessageID], to first: MessageID, of editor: RequestEditor) {
        var value = HistogramValue(editor, first)
        for point in others {
            let other = HistogramValue(editor, point)
            guard other.sums.count > 0 else { continue }
            value.sums.add(other.sums)
            add(other.counts, to: &value.counts)
            move(Field.HistogramPoint.exemplars, from: point, to: first, of: editor)
        }
        value.write(to: editor, first)
    }

    private static func addExponential(_ others: [MessageID], to first: MessageID, of editor: RequestEditor) {
        var value = ExponentialValue(editor, first)
        for point in others {
            let other = ExponentialValue(editor, point)
            guard other.sums.count > 0 else { continue }
            value.sums.add(other.sums)
            value.zeroCount &+= other.zeroCount
            add(other.positive.counts, to: &value.positive.counts)
            add(other.negative.counts, to: &value.negative.counts)
            move(Field.ExponentialPoint.exemplars, from: point, to: first, of: editor)
        }
        value.write(to: editor, first)
    }

    private static func add(_ counts: [UInt64], to sum: inout [UInt64]) {
        if counts.count > sum.count { sum += [UInt64](repeating: 0, count: counts.count - sum.count) }
        for (index, count) in counts.enumerated() { sum[index] &+= count }
    }

    private static func move(
        _ exemplars: UInt32, from point: MessageID, to first: MessageID, of editor: RequestEditor
    ) {
        for position in 0..<editor.fieldCount(point) where editor.number(point, at: position) == exemplars {
            editor.append(first, exemplars, editor.content(point, at: position))
        }
    }
}
