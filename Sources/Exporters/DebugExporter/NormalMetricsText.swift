internal import OTLP

// Metrics as text, a line a data point: `name{key=value,…} value`.

extension TextWriter {
    mutating func normalMetric(_ metric: WireBytes) {
        let name = metric.content(Field.Metric.name)
        switch MetricData(metric) {
        case .empty: break
        case .gauge(let data), .sum(let data):
            for point in data.fields where point.number == Field.MetricData.dataPoints {
                normalPoint(name, point.bytes, Field.NumberPoint.attributes)
                normalNumber(point.bytes)
                endLine()
            }
        case .histogram(let data):
            for point in data.fields where point.number == Field.MetricData.dataPoints {
                normalPoint(name, point.bytes, Field.HistogramPoint.attributes)
                normalDistribution(Distribution(histogram: point.bytes))
                normalBuckets(point.bytes)
                endLine()
            }
        case .exponentialHistogram(let data):
            for point in data.fields where point.number == Field.MetricData.dataPoints {
                normalPoint(name, point.bytes, Field.ExponentialPoint.attributes)
                normalDistribution(Distribution(exponential: point.bytes))
                endLine()
            }
        case .summary(let data):
            for point in data.fields where point.number == Field.MetricData.dataPoints {
                normalPoint(name, point.bytes, Field.SummaryPoint.attributes)
                normalSummary(point.bytes)
                endLine()
            }
        }
    }

    private mutating func normalPoint(_ name: WireBytes, _ point: WireBytes, _ attributes: UInt32) {
        text(name)
        put("{")
        attributePairs(point, attributes, before: "", separator: ",")
        put("} ")
    }

    private mutating func normalNumber(_ point: WireBytes) {
        switch NumberValue(point, asInt: Field.NumberPoint.asInt, asDouble: Field.NumberPoint.asDouble) {
        case .none: break
        case .int(let value): put(value)
        case .double(let value): put(NumberText.general(value))
        }
    }

    private mutating func normalDistribution(_ values: Distribution) {
        put("count=\(values.count)")
        if let sum = values.sum { put(" sum=" + NumberText.general(sum)) }
        if let min = values.min { put(" min=" + NumberText.general(min)) }
        if let max = values.max { put(" max=" + NumberText.general(max)) }
    }

    private mutating func normalBuckets(_ point: WireBytes) {
        let bounds = point.fixed64s(Field.HistogramPoint.explicitBounds)
        for (index, count) in point.fixed64s(Field.HistogramPoint.bucketCounts).enumerated() {
            put(" ")
            if index < bounds.count { put("le\(NumberText.general(Double(bitPattern: bounds[index])))=") }
            put(count)
        }
    }

    private mutating func normalSummary(_ point: WireBytes) {
        put("count=\(point.last(Field.SummaryPoint.count)?.bits ?? 0)")
        put(" sum=" + NumberText.fixed(point.last(Field.SummaryPoint.sum)?.double ?? 0))
        for field in point.fields where field.number == Field.SummaryPoint.quantileValues {
            let quantile = field.bytes.last(Field.QuantileValue.quantile)?.double ?? 0
            let value = field.bytes.last(Field.QuantileValue.value)?.double ?? 0
            put(" q\(NumberText.general(quantile))=\(NumberText.general(value))")
        }
    }
}
