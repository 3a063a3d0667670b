internal import Glibc
internal import OTLP

/// What reads or changes the buckets of histograms.
enum BucketEditors {
    static var all: [Function] { [percentile, exponentialToHistogram, mergeBuckets] }

    // MARK: - Percentiles

    private static var percentile: Function {
        Function(
            "extract_percentile_metric",
            [.required("percentile", .literalDouble), .optional("suffix", .literalString)]
        ) { arguments throws(FunctionError) in
            let percentile = arguments.double(0) ?? 0
            guard percentile > 0, percentile < 100 else {
                throw FunctionError(
                    "percentile must be greater than 0 and less than 100, got \(TextForm.general(percentile))"
                )
            }
            let suffix = arguments.text(1) ?? "_p\(TextForm.general(percentile))"
            return { frame throws(EvaluationError) in
                guard let type = frame.metricType, type == .histogram || type == .exponentialHistogram else {
                    throw EvaluationError(
                        "extract_percentile_metric requires an input metric of type Histogram or "
                            + "ExponentialHistogram, got \(frame.metricType?.name ?? "Empty")")
                }
                var draft = MetricDraft(from: frame, suffix: suffix, .gauge)
                for point in frame.points where point.bits(4) > 0 {
                    let buckets = type == .histogram ? explicit(point) : exponential(point)
                    guard let value = quantile(percentile / 100, buckets) else { continue }
                    draft.addNumber(.double(value), like: point, attributes: type.attributes)
                }
                if !draft.points.isEmpty { try frame.append(metric: draft.bytes) }
                return .null
            }
        }
    }

    struct Bucket {
        let lower: Double
        let upper: Double
        let count: Double
    }

    /// The buckets of a histogram, the open ends closed by its extremes where it has them.
    private static func explicit(_ point: WireBytes) -> [Bucket] {
        let bounds = point.words(7).map { Double(bitPattern: $0) }
        let counts = point.words(6)
        guard counts.count == bounds.count + 1 else { return [] }
        return counts.enumerated().map { index, count in
            let first = bounds.first ?? 0
            let lower =
                index > 0 ? bounds[min(index, bounds.count) - 1] : point.field(11)?.double ?? min(0, first)
            let upper = index < bounds.count ? bounds[index] : point.field(12)?.double ?? bounds.last ?? lower
            return Bucket(lower: lower, upper: upper, count: Double(count))
        }
    }

    /// The buckets of an exponential histogram from the smallest values to the largest.
    static func exponential(_ point: WireBytes) -> [Bucket] {
        let base = pow(2, pow(2, -Double(PointPaths.zigzag(point.bits(6)))))
        func side(_ number: UInt32) -> [Bucket] {
            guard let field = point.field(number) else { return [] }
            let offset = Double(PointPaths.zigzag(field.bytes.bits(1)))
            return field.bytes.varints(2).enumerated().map { index, count in
                let exponent = offset + Double(index)
                return Bucket(
                    lower: pow(base, exponent), upper: pow(base, exponent + 1), count: Double(count))
            }
        }
        let negative = side(9).reversed().map { Bucket(lower: -$0.upper, upper: -$0.lower, count: $0.count) }
        let threshold = point.double(14)
        return negative + [Bucket(lower: -threshold, upper: threshold, count: Double(point.bits(7)))]
            + side(8)
    }

    /// Where a share of the values lies below, linear inside of a bucket.
    private static func quantile(_ share: Double, _ buckets: [Bucket]) -> Double? {
        let total = buckets.reduce(0) { $0 + $1.count }
        guard total > 0 else { return nil }
        var rest = share * total
        for bucket in buckets where bucket.count > 0 {
            if rest <= bucket.count {
                return bucket.lower + (bucket.upper - bucket.lower) * rest / bucket.count
            }
            rest -= bucket.count
        }
        return buckets.last { $0.count > 0 }?.upper
    }

    // MARK: - Exponential to explicit buckets

    private static let distributions = ["upper", "midpoint", "uniform", "random"]

    private static var exponentialToHistogram: Function {
        Function(
            "convert_exponential_histogram_to_histogram",
            [.required("distribution", .literalString), .required("explicit_bounds", .literalDoubles)]
        ) { arguments throws(FunctionError) in
            let distribution = arguments.text(0) ?? ""
            let bounds = (arguments.literals(1) ?? []).compactMap { value -> Double? in
                if case .double(let bound) = value { bound } else { nil }
            }
            guard !bounds.isEmpty else {
                throw FunctionError("explicit bounds cannot be empty: \(bounds)")
            }
            guard distributions.contains(distribution) else {
                throw FunctionError(
                    "invalid distribution algorithm: \(distribution), must be one of [\(distributions.joined(separator: " "))]"
                )
            }
            return { frame throws(EvaluationError) in
                guard frame.metricType == .exponentialHistogram else { return .null }
                var data: [UInt8] = []
                for point in frame.points {
                    data.appendField(1, .owned(histogram(point, bounds, distribution)))
                }
                data.appendVarint(UInt64(Field.MetricData.temporality) << 3)
                data.appendVarint(frame.temporality)
                frame.replaceData(by: .histogram, data)
                return .null
            }
        }
    }

    private static func histogram(_ point: WireBytes, _ bounds: [Double], _ distribution: String) -> [UInt8] {
        var content: [UInt8] = []
        for field in point.fields where field.number == MetricType.exponentialHistogram.attributes {
            content.appendField(UInt64(MetricType.histogram.attributes), .borrowed(field.bytes))
        }
        for number in [2, 3, 4] as [UInt32] { content.appendFixed64(number, point.bits(number)) }
        if let sum = point.field(5) { content.appendFixed64(5, sum.bits) }
        for field in point.fields where field.number == 11 { content.appendField(8, .borrowed(field.bytes)) }
        if let flags = point.field(10) {
            content.appendVarint(10 << 3)
            content.appendVarint(flags.bits)
        }
        if let least = point.field(12) { content.appendFixed64(11, least.bits) }
        if let most = point.field(13) { content.appendFixed64(12, most.bits) }
        var counts = [Double](repeating: 0, count: bounds.count + 1)
        for bucket in exponential(point) where bucket.count > 0 {
            spread(bucket, bounds, distribution, &counts)
        }
        content.appendWords(6, counts.map { UInt64(exactly: $0.rounded()) ?? .max })
        content.appendWords(7, bounds.map(\.bitPattern))
        return content
    }

    private static func spread(
        _ bucket: Bucket, _ bounds: [Double], _ distribution: String, _ counts: inout [Double]
    ) {
        func place(_ value: Double) -> Int { bounds.firstIndex { value <= $0 } ?? bounds.count }
        switch distribution {
        case "upper": counts[place(bucket.upper)] += bucket.count
        case "midpoint": counts[place((bucket.lower + bucket.upper) / 2)] += bucket.count
        default:
            let (first, last) = (place(bucket.lower), place(bucket.upper))
            guard last > first else {
                counts[last] += bucket.count
                return
            }
            // Whole values only: shares are rounded down, the rest goes to the first ones.
            let places = Double(last - first + 1)
            let share = (bucket.count / places).rounded(.down)
            var rest = bucket.count - share * places
            var order = Array(first...last)
            if distribution == "random" { order.shuffle() }
            for index in order {
                counts[index] += share + (rest > 0 ? 1 : 0)
                rest -= 1
            }
        }
    }

    // MARK: - Fewer buckets

    private static var mergeBuckets: Function {
        Function(
            "merge_histogram_buckets", [.required("bound", .any), .optional("method", .literalString)]
        ) { arguments throws(FunctionError) in
            let bound = arguments.expression(0)
            let method = arguments.text(1) ?? "bound"
            guard method == "bound" || method == "limit_buckets" else {
                throw FunctionError("invalid method: \(method), must be 'limit_buckets' or left out")
            }
            return { frame throws(EvaluationError) in
                guard frame.metricType == .histogram else { return .null }
                guard let value = try bound.evaluate(frame).doubleLike() else { return .null }
                // Not a number and the infinite leave everything as it is.
                let wanted = Int(exactly: max(1, min(value, 1e9)).rounded(.down)) ?? .max
                frame.replacePoints(
                    frame.points.map { point in
                        var bounds = point.words(7)
                        var counts = point.words(6)
                        guard counts.count == bounds.count + 1 else { return point.array }
                        if method == "bound" {
                            guard let index = bounds.firstIndex(where: { Double(bitPattern: $0) == value })
                            else { return point.array }
                            merge(at: index, &bounds, &counts)
                        } else {
                            FewerBuckets.merge(&bounds, &counts, to: wanted)
                        }
                        var content: [UInt8] = []
                        content.appendFields(of: point, except: [6, 7])
                        content.appendWords(6, counts)
                        content.appendWords(7, bounds)
                        return content
                    })
                return .null
            }
        }
    }

    /// Joins the buckets on both sides of a bound.
    private static func merge(at index: Int, _ bounds: inout [UInt64], _ counts: inout [UInt64]) {
        counts[index + 1] &+= counts[index]
        counts.remove(at: index)
        bounds.remove(at: index)
    }
}
