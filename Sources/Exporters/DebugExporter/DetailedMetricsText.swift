internal import Glibc
internal import OTLP

// Metrics as text, everything about each data point.

extension TextWriter {
    mutating func detailedMetric(_ metric: WireBytes, _ index: Int) {
        let data = MetricData(metric)
        line("Metric #\(index)")
        line("Descriptor:")
        line("     -> Name: ", metric.content(Field.Metric.name))
        line("     -> Description: ", metric.content(Field.Metric.description))
        line("     -> Unit: ", metric.content(Field.Metric.unit))
        line("     -> DataType: \(data.name)")
        attributeLines("     -> Metadata", metric, Field.Metric.metadata, indent: "          ")
        switch data {
        case .empty: break
        case .gauge(let gauge): forEachPoint(of: gauge, "NumberDataPoints") { $0.numberPoint($1) }
        case .sum(let sum):
            let isMonotonic = sum.last(Field.MetricData.isMonotonic)?.bool ?? false
            line("     -> IsMonotonic: \(isMonotonic)")
            temporality(sum)
            forEachPoint(of: sum, "NumberDataPoints") { $0.numberPoint($1) }
        case .histogram(let histogram):
            temporality(histogram)
            forEachPoint(of: histogram, "HistogramDataPoints") { $0.histogramPoint($1) }
        case .exponentialHistogram(let histogram):
            temporality(histogram)
            forEachPoint(of: histogram, "ExponentialHistogramDataPoints") { $0.exponentialPoint($1) }
        case .summary(let summary):
            forEachPoint(of: summary, "SummaryDataPoints") { $0.summaryPoint($1) }
        }
    }

    private mutating func temporality(_ data: WireBytes) {
        let names = ["Unspecified", "Delta", "Cumulative"]
        let name = data.last(Field.MetricData.temporality)?.name(names) ?? names[0]
        line("     -> AggregationTemporality: \(name)")
    }

    private mutating func forEachPoint(
        of data: WireBytes, _ title: String, _ write: (inout TextWriter, WireBytes) -> Void
    ) {
        var index = 0
        for field in data.fields where field.number == Field.MetricData.dataPoints {
            line("\(title) #\(index)")
            write(&self, field.bytes)
            index += 1
        }
    }

    /// Start and time have the same numbers in all kinds of points.
    private mutating func head(_ point: WireBytes, attributes: UInt32) {
        attributeLines("Data point attributes", point, attributes)
        put("StartTimestamp: ")
        time(point.last(Field.NumberPoint.startTime)?.bits ?? 0)
        endLine()
        put("Timestamp: ")
        time(point.last(Field.NumberPoint.time)?.bits ?? 0)
        endLine()
    }

    private mutating func value(_ label: String, _ value: NumberValue) {
        switch value {
        case .none: break
        case .int(let value): line("\(label)\(value)")
        case .double(let value): line(label + NumberText.fixed(value))
        }
    }

    private mutating func distribution(_ values: Distribution) {
        line("Count: \(values.count)")
        if let sum = values.sum { line("Sum: " + NumberText.fixed(sum)) }
        if let min = values.min { line("Min: " + NumberText.fixed(min)) }
        if let max = values.max { line("Max: " + NumberText.fixed(max)) }
    }

    private mutating func numberPoint(_ point: WireBytes) {
        head(point, attributes: Field.NumberPoint.attributes)
        let number = NumberValue(
            point, asInt: Field.NumberPoint.asInt, asDouble: Field.NumberPoint.asDouble)
        value("Value: ", number)
        exemplars(point, Field.NumberPoint.exemplars)
    }

    private mutating func histogramPoint(_ point: WireBytes) {
        head(point, attributes: Field.HistogramPoint.attributes)
        distribution(Distribution(histogram: point))
        for (index, bound) in point.fixed64s(Field.HistogramPoint.explicitBounds).enumerated() {
            line("ExplicitBounds #\(index): \(NumberText.fixed(Double(bitPattern: bound)))")
        }
        for (index, count) in point.fixed64s(Field.HistogramPoint.bucketCounts).enumerated() {
            line("Buckets #\(index), Count: \(count)")
        }
        exemplars(point, Field.HistogramPoint.exemplars)
    }

    /// Bucket n reaches from base^n to base^(n+1), where base is 2 to the power of 2^-scale.
    private mutating func exponentialPoint(_ point: WireBytes) {
        head(point, attributes: Field.ExponentialPoint.attributes)
        distribution(Distribution(exponential: point))
        let scale = Int32(truncatingIfNeeded: point.last(Field.ExponentialPoint.scale)?.zigzag ?? 0)
        // Beyond these the factor is zero or infinite anyway.
        let factor = scalbn(M_LN2, Int32(max(-5000, min(5000, -Int64(scale)))))
        let negative = ExponentialBuckets(point.content(Field.ExponentialPoint.negative))
        let positive = ExponentialBuckets(point.content(Field.ExponentialPoint.positive))
        for (position, count) in negative.counts.enumerated().reversed() {
            let index = Double(negative.offset) + Double(position)
            let lower = NumberText.fixed(-exp((index + 1) * factor))
            let upper = NumberText.fixed(-exp(index * factor))
            line("Bucket [\(lower), \(upper)), Count: \(count)")
        }
        let zeroCount = point.last(Field.ExponentialPoint.zeroCount)?.bits ?? 0
        if zeroCount != 0 { line("Bucket [0, 0], Count: \(zeroCount)") }
        for (position, count) in positive.counts.enumerated() {
            let index = Double(positive.offset) + Double(position)
            let lower = NumberText.fixed(exp(index * factor))
            let upper = NumberText.fixed(exp((index + 1) * factor))
            line("Bucket (\(lower), \(upper)], Count: \(count)")
        }
        exemplars(point, Field.ExponentialPoint.exemplars)
    }

    private mutating func summaryPoint(_ point: WireBytes) {
        head(point, attributes: Field.SummaryPoint.attributes)
        line("Count: \(point.last(Field.SummaryPoint.count)?.bits ?? 0)")
        line("Sum: " + NumberText.fixed(point.last(Field.SummaryPoint.sum)?.double ?? 0))
        var index = 0
        for field in point.fields where field.number == Field.SummaryPoint.quantileValues {
            let quantile = NumberText.fixed(field.bytes.last(Field.QuantileValue.quantile)?.double ?? 0)
            let value = NumberText.fixed(field.bytes.last(Field.QuantileValue.value)?.double ?? 0)
            line("QuantileValue #\(index): Quantile \(quantile), Value \(value)")
            index += 1
        }
    }

    private mutating func exemplars(_ point: WireBytes, _ number: UInt32) {
        var index = 0
        for field in point.fields where field.number == number {
            if index == 0 { line("Exemplars:") }
            let exemplar = field.bytes
            line("Exemplar #\(index)")
            put("     -> Trace ID: ")
            hex(exemplar.content(Field.Exemplar.traceID))
            endLine()
            put("     -> Span ID: ")
            hex(exemplar.content(Field.Exemplar.spanID))
            endLine()
            put("     -> Timestamp: ")
            time(exemplar.last(Field.Exemplar.time)?.bits ?? 0)
            endLine()
            let number = NumberValue(exemplar, asInt: Field.Exemplar.asInt, asDouble: Field.Exemplar.asDouble)
            value("     -> Value: ", number)
            attributeLines(
                "     -> FilteredAttributes", exemplar, Field.Exemplar.filteredAttributes,
                indent: "          ")
            index += 1
        }
    }
}
