internal import OTLP

/// `aggregate_on_attributes` and `aggregate_on_attribute_value`: points that have the same attributes become one.
enum AggregatingEditors {
    static var all: [Function] { [onAttributes, onValue] }

    private enum Aggregation: String {
        case sum, max, min, mean, median, count

        init(named name: String) throws(FunctionError) {
            guard let found = Aggregation(rawValue: name) else {
                throw FunctionError(
                    "invalid aggregation function: '\(name)', valid options: 'sum', 'max', 'min', 'mean', 'median', "
                        + "'count'")
            }
            self = found
        }
    }

    private static var onAttributes: Function {
        Function(
            "aggregate_on_attributes",
            [.required("aggregation_function", .literalString), .optional("attributes", .literalStrings)]
        ) { arguments throws(FunctionError) in
            let aggregation = try Aggregation(named: arguments.text(0) ?? "")
            let kept = arguments.texts(1)?.map { Bytes($0) }
            return { frame throws(EvaluationError) in
                try aggregate(frame, aggregation) { entries in
                    guard let kept else { return entries }
                    return entries.filter { entry in kept.contains { $0 == entry.key } }
                }
                return .null
            }
        }
    }

    private static var onValue: Function {
        Function(
            "aggregate_on_attribute_value",
            [
                .required("aggregation_function", .literalString), .required("attribute", .literalString),
                .required("values", .literalStrings), .required("new_value", .literalString),
            ]
        ) { arguments throws(FunctionError) in
            let aggregation = try Aggregation(named: arguments.text(0) ?? "")
            let key = Bytes(arguments.text(1) ?? "")
            let values = arguments.texts(2)?.map { Bytes($0) } ?? []
            let new = Value.text(arguments.text(3) ?? "")
            return { frame throws(EvaluationError) in
                try aggregate(frame, aggregation) { entries in
                    entries.map { entry in
                        guard entry.key == key, case .string(let old) = entry.value,
                            values.contains(where: { $0 == old })
                        else { return entry }
                        return MapEntry(key: key, value: new)
                    }
                }
                return .null
            }
        }
    }

    private struct Group {
        let attributes: [MapEntry]
        var points: [WireBytes]
    }

    private static func aggregate(
        _ frame: Frame, _ aggregation: Aggregation, _ change: ([MapEntry]) -> [MapEntry]
    ) throws(EvaluationError) {
        guard let type = frame.metricType, type != .summary else {
            throw EvaluationError(
                "aggregate_on_attributes does not support metrics of type \(frame.metricType?.name ?? "Empty")"
            )
        }
        guard type == .gauge || type == .sum || aggregation == .sum else {
            throw EvaluationError("\(type.name) supports the aggregation function 'sum' only")
        }
        var groups: [[UInt8]: Int] = [:]
        var ordered: [Group] = []
        for point in frame.points {
            var entries: [MapEntry] = []
            for field in point.fields where field.number == type.attributes {
                entries.append(MapEntry(keyValue: field.bytes))
            }
            entries = change(entries)
            var key: [UInt8] = []
            for entry in entries.sorted(by: { $0.key.order($1.key) < 0 }) {
                key.appendField(1, .owned(entry.keyValue))
            }
            key.appendFixed64(point.bits(3))
            if type != .gauge, frame.temporality == 1 { key.appendFixed64(point.bits(2)) }
            if type == .histogram { for bound in point.words(7) { key.appendFixed64(bound) } }
            if type == .exponentialHistogram { key.appendFixed64(point.bits(6)) }
            if let index = groups[key] {
                ordered[index].points.append(point)
            } else {
                groups[key] = ordered.count
                ordered.append(Group(attributes: entries, points: [point]))
            }
        }
        frame.replacePoints(ordered.map { merged($0, type, aggregation) })
    }

    private static func merged(_ group: Group, _ type: MetricType, _ aggregation: Aggregation) -> [UInt8] {
        var content: [UInt8] = []
        for entry in group.attributes { content.appendField(UInt64(type.attributes), .owned(entry.keyValue)) }
        let starts = group.points.map { $0.bits(2) }
        switch type {
        case .gauge, .sum:
            content.appendFields(of: group.points[0], except: [2, 4, 6, 7])
            content.appendFixed64(2, starts.min() ?? 0)
            content.appendPointValue(number(group.points, aggregation))
        case .histogram:
            content.appendFields(of: group.points[0], except: [2, 4, 5, 6, 9, 11, 12])
            content.appendFixed64(2, starts.min() ?? 0)
            content.appendHistogram(group.points)
        default:
            content.appendFields(of: group.points[0], except: [1, 2, 4, 5, 7, 8, 9, 12, 13])
            content.appendFixed64(2, starts.min() ?? 0)
            content.appendExponential(group.points)
        }
        return content
    }

    private static func number(_ points: [WireBytes], _ aggregation: Aggregation) -> Value {
        if aggregation == .count { return .int(Int64(points.count)) }
        let ints = points.compactMap { $0.field(6)?.int64 }
        guard ints.count == points.count else {
            let values = points.map { $0.field(6).map { Double($0.int64) } ?? $0.double(4) }
            return .double(aggregated(values, aggregation))
        }
        switch aggregation {
        case .sum: return .int(ints.reduce(0, &+))
        case .max: return .int(ints.max() ?? 0)
        case .min: return .int(ints.min() ?? 0)
        case .mean: return .int(ints.reduce(0, &+) / Int64(ints.count))
        case .median:
            let sorted = ints.sorted()
            let middle = sorted.count / 2
            if sorted.count.isMultiple(of: 2) { return .int((sorted[middle - 1] &+ sorted[middle]) / 2) }
            return .int(sorted[middle])
        case .count: return .int(Int64(ints.count))
        }
    }

    private static func aggregated(_ values: [Double], _ aggregation: Aggregation) -> Double {
        switch aggregation {
        case .sum: return values.reduce(0, +)
        case .max: return values.max() ?? 0
        case .min: return values.min() ?? 0
        case .mean: return values.reduce(0, +) / Double(values.count)
        case .median:
            let sorted = values.sorted()
            let middle = sorted.count / 2
            return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        case .count: return Double(values.count)
        }
    }
}

extension [UInt8] {
    /// Count, sum, extremes and buckets of histogram points with the same bounds, added up.
    fileprivate mutating func appendHistogram(_ points: [WireBytes]) {
        appendFixed64(4, points.reduce(0) { $0 &+ $1.bits(4) })
        appendSums(points, sum: 5, min: 11, max: 12)
        var counts: [UInt64] = []
        for point in points { counts.add(point.words(6)) }
        appendWords(6, counts)
    }

    /// The same for exponential histograms of one scale.
    fileprivate mutating func appendExponential(_ points: [WireBytes]) {
        appendFixed64(4, points.reduce(0) { $0 &+ $1.bits(4) })
        appendSums(points, sum: 5, min: 12, max: 13)
        appendFixed64(7, points.reduce(0) { $0 &+ $1.bits(7) })
        for number in [8, 9] as [UInt32] {
            let buckets = points.compactMap { point -> (offset: Int64, counts: [UInt64])? in
                guard let field = point.field(number) else { return nil }
                return (PointPaths.zigzag(field.bytes.bits(1)), field.bytes.varints(2))
            }.filter { !$0.counts.isEmpty }
            guard let first = buckets.map(\.offset).min() else { continue }
            var counts: [UInt64] = []
            for bucket in buckets {
                // Offsets of one point lie near each other; those that do not are not added up.
                let (shift, overflow) = bucket.offset.subtractingReportingOverflow(first)
                guard !overflow, shift < 100_000 else { continue }
                let end = Int(shift) + bucket.counts.count
                if counts.count < end { counts += repeatElement(0, count: end - counts.count) }
                for (place, count) in bucket.counts.enumerated() { counts[Int(shift) + place] &+= count }
            }
            var content: [UInt8] = []
            content.appendVarint(1 << 3)
            content.appendVarint(PointPaths.zigzag(of: first))
            var packed: [UInt8] = []
            for count in counts { packed.appendVarint(count) }
            content.appendField(2, .owned(packed))
            appendField(UInt64(number), .owned(content))
        }
    }

    private mutating func appendSums(_ points: [WireBytes], sum: UInt32, min: UInt32, max: UInt32) {
        let sums = points.compactMap { $0.field(sum)?.double }
        if sums.count == points.count { appendFixed64(sum, sums.reduce(0, +).bitPattern) }
        let minima = points.compactMap { $0.field(min)?.double }
        if minima.count == points.count, let least = minima.min() { appendFixed64(min, least.bitPattern) }
        let maxima = points.compactMap { $0.field(max)?.double }
        if maxima.count == points.count, let most = maxima.max() { appendFixed64(max, most.bitPattern) }
    }
}

extension [UInt64] {
    fileprivate mutating func add(_ other: [UInt64]) {
        for (index, count) in other.enumerated() {
            if index < self.count { self[index] &+= count } else { append(count) }
        }
    }
}
