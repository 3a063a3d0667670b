internal import MetricStreams
internal import OTLP

extension MetricOperation {
    /// Makes integers doubles and doubles integers.
    func toggle(_ metric: MessageID, _ matcher: MetricMatcher, _ request: RequestEditor) {
        request.forEachPoint(metric) { place in
            guard place.kind == Field.Metric.gauge || place.kind == Field.Metric.sum,
                matcher.matches(place, of: request)
            else { return .keep }
            switch NumberValue(request, place.point) {
            case .int(let value): NumberValue.double(Double(value)).write(to: request, place.point)
            case .double(let value):
                NumberValue.int(NumberValue.int(value)).write(to: request, place.point)
            case .none: break
            }
            return .keep
        }
    }

    /// Multiplies the value of a point. Summaries stay as they are, as in the Collector.
    static func scale(_ place: PointPlace, by factor: Double, _ request: RequestEditor) {
        switch place.kind {
        case Field.Metric.gauge, Field.Metric.sum:
            scaled(NumberValue(request, place.point), by: factor).write(to: request, place.point)
        case Field.Metric.histogram:
            var value = HistogramValue(request, place.point)
            scale(&value.sums, by: factor)
            value.bounds = value.bounds.map { (Double(bitPattern: $0) * factor).bitPattern }
            value.write(to: request, place.point)
            scaleExemplars(Field.HistogramPoint.exemplars, of: place.point, by: factor, request)
        case Field.Metric.exponentialHistogram:
            var value = ExponentialValue(request, place.point)
            scale(&value.sums, by: factor)
            scale(&value.positive, value.scale, by: factor)
            scale(&value.negative, value.scale, by: factor)
            value.write(to: request, place.point)
            scaleExemplars(Field.ExponentialPoint.exemplars, of: place.point, by: factor, request)
        default: break
        }
    }

    private static func scaled(_ value: NumberValue, by factor: Double) -> NumberValue {
        switch value {
        case .none: .none
        case .int(let value): .int(NumberValue.int(Double(value) * factor))
        case .double(let value): .double(value * factor)
        }
    }

    private static func scale(_ sums: inout DistributionSums, by factor: Double) {
        sums.sum = sums.sum.map { $0 * factor }
        sums.min = sums.min.map { $0 * factor }
        sums.max = sums.max.map { $0 * factor }
    }

    private static func scale(_ buckets: inout ExponentialBuckets, _ scale: Int32, by factor: Double) {
        guard !buckets.counts.isEmpty else { return }
        buckets.offset = ExponentialScale.index(of: buckets.offset, scaledBy: factor, scale: scale)
    }

    private static func scaleExemplars(
        _ exemplars: UInt32, of point: MessageID, by factor: Double, _ request: RequestEditor
    ) {
        request.forEachChild(point, exemplars) { exemplar in
            // Of both the last counts.
            let numbers = (0..<request.fieldCount(exemplar)).map { request.number(exemplar, at: $0) }
            switch numbers.last(where: { $0 == Field.Exemplar.asInt || $0 == Field.Exemplar.asDouble }) {
            case Field.Exemplar.asInt:
                let number = request.bits(exemplar, Field.Exemplar.asInt)
                let value = NumberValue.int(Double(Int64(bitPattern: number)) * factor)
                request.setBits(exemplar, Field.Exemplar.asInt, .fixed64, UInt64(bitPattern: value))
            case Field.Exemplar.asDouble:
                if let value = request.double(exemplar, Field.Exemplar.asDouble) {
                    request.setDouble(exemplar, Field.Exemplar.asDouble, value * factor)
                }
            default: break
            }
            return .keep
        }
    }
}
