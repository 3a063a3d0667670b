package import NIOCore
internal import OTLP

/// An `ExportMetricsServiceRequest`, written from front to back: resource, scope, metric, points.
///
/// Beginning one thing ends what was open of its kind and below. One thread.
package struct MetricRequest {
    /// How a metric's points add up.
    package enum Temporality: UInt64, Sendable {
        case delta = 1
        case cumulative = 2
    }

    /// What a metric is.
    package enum Kind: Sendable, Equatable {
        case gauge
        case sum(Temporality, isMonotonic: Bool)
        case histogram(Temporality)
        case exponentialHistogram(Temporality)
    }

    package enum Number: Sendable, Equatable {
        case int(Int64)
        case double(Double)
    }

    private var buffer = ProtobufBuffer()
    private var kind = Kind.gauge
    /// Data points so far.
    package private(set) var points = 0

    package init() {}

    /// Bytes so far.
    package var count: Int { buffer.bytes.readableBytes }

    /// The request. Ends it.
    package mutating func finish() -> ByteBuffer {
        buffer.end(to: 0)
        return buffer.bytes
    }

    package mutating func beginResource(_ attributes: AttributeList? = nil) {
        buffer.end(to: 0)
        buffer.begin(Field.Request.resources)
        guard let attributes else { return }
        buffer.begin(Field.ResourceEntry.resource)
        attributes.write(Field.Resource.attributes, into: &buffer)
        buffer.end()
    }

    package mutating func beginScope(_ name: String) {
        buffer.end(to: 1)
        buffer.begin(Field.ResourceEntry.scopes)
        buffer.message(Field.ScopeEntry.scope) { $0.text(Field.Scope.name, name) }
    }

    package mutating func beginMetric(
        _ name: String, description: String = "", unit: String = "", _ kind: Kind
    ) {
        buffer.end(to: 2)
        self.kind = kind
        buffer.begin(Field.ScopeEntry.entries)
        buffer.text(Field.Metric.name, name)
        buffer.text(Field.Metric.description, description)
        buffer.text(Field.Metric.unit, unit)
        switch kind {
        case .gauge: buffer.begin(Field.Metric.gauge)
        case .sum(let temporality, let isMonotonic):
            buffer.begin(Field.Metric.sum)
            buffer.integer(Field.MetricData.temporality, temporality.rawValue)
            if isMonotonic { buffer.integer(Field.MetricData.isMonotonic, 1) }
        case .histogram(let temporality):
            buffer.begin(Field.Metric.histogram)
            buffer.integer(Field.MetricData.temporality, temporality.rawValue)
        case .exponentialHistogram(let temporality):
            buffer.begin(Field.Metric.exponentialHistogram)
            buffer.integer(Field.MetricData.temporality, temporality.rawValue)
        }
    }

    /// Adds a point of a gauge or sum. Times are nanoseconds since 1970; 0 for none.
    package mutating func number(
        _ value: Number, _ attributes: AttributeList, start: UInt64 = 0, time: UInt64,
        exemplars: [MetricExemplar] = []
    ) {
        points += 1
        buffer.begin(Field.MetricData.dataPoints)
        attributes.write(Field.NumberPoint.attributes, into: &buffer)
        if start != 0 { buffer.fixed64(Field.NumberPoint.startTime, start) }
        buffer.fixed64(Field.NumberPoint.time, time)
        switch value {
        case .int(let number): buffer.fixed64(Field.NumberPoint.asInt, UInt64(bitPattern: number))
        case .double(let number): buffer.double(Field.NumberPoint.asDouble, number)
        }
        for exemplar in exemplars { exemplar.write(Field.NumberPoint.exemplars, into: &buffer) }
        buffer.end()
    }

    /// Adds a point of a histogram: one count more than bounds.
    package mutating func histogram(
        counts: some Collection<UInt64>, bounds: [Double], sum: Double, _ attributes: AttributeList,
        start: UInt64 = 0, time: UInt64, exemplars: [MetricExemplar] = []
    ) {
        points += 1
        buffer.begin(Field.MetricData.dataPoints)
        attributes.write(Field.HistogramPoint.attributes, into: &buffer)
        if start != 0 { buffer.fixed64(Field.HistogramPoint.startTime, start) }
        buffer.fixed64(Field.HistogramPoint.time, time)
        buffer.fixed64(Field.HistogramPoint.count, counts.reduce(0, &+))
        buffer.double(Field.HistogramPoint.sum, sum)
        buffer.packed(Field.HistogramPoint.bucketCounts, counts)
        buffer.packed(Field.HistogramPoint.explicitBounds, bounds.map(\.bitPattern))
        for exemplar in exemplars { exemplar.write(Field.HistogramPoint.exemplars, into: &buffer) }
        buffer.end()
    }

    /// Adds a point of an exponential histogram.
    /// - Parameter negative: counts values below 0 by their magnitudes, to the same scale; nil: there are none.
    package mutating func exponential(
        _ histogram: ExponentialHistogram, negative: ExponentialHistogram? = nil,
        _ attributes: AttributeList, start: UInt64 = 0, time: UInt64, exemplars: [MetricExemplar] = []
    ) {
        points += 1
        buffer.begin(Field.MetricData.dataPoints)
        attributes.write(Field.ExponentialPoint.attributes, into: &buffer)
        if start != 0 { buffer.fixed64(Field.ExponentialPoint.startTime, start) }
        buffer.fixed64(Field.ExponentialPoint.time, time)
        buffer.fixed64(Field.ExponentialPoint.count, histogram.count &+ (negative?.count ?? 0))
        buffer.double(Field.ExponentialPoint.sum, histogram.sum - (negative?.sum ?? 0))
        let scale = Int64(histogram.scale)
        buffer.integer(Field.ExponentialPoint.scale, UInt64(bitPattern: scale << 1 ^ scale >> 63))
        if histogram.zeroCount > 0 { buffer.fixed64(Field.ExponentialPoint.zeroCount, histogram.zeroCount) }
        buckets(histogram, Field.ExponentialPoint.positive)
        if let negative { buckets(negative, Field.ExponentialPoint.negative) }
        if histogram.count > 0 || negative != nil {
            buffer.double(Field.ExponentialPoint.min, min(histogram.min, -(negative?.max ?? -.infinity)))
            buffer.double(Field.ExponentialPoint.max, max(histogram.max, -(negative?.min ?? .infinity)))
        }
        for exemplar in exemplars { exemplar.write(Field.ExponentialPoint.exemplars, into: &buffer) }
        buffer.end()
    }

    private mutating func buckets(_ histogram: ExponentialHistogram, _ number: UInt32) {
        guard !histogram.counts.isEmpty else { return }
        buffer.message(number) {
            let offset = Int64(histogram.offset)
            $0.integer(Field.Buckets.offset, UInt64(bitPattern: offset << 1 ^ offset >> 63))
            $0.packedVarints(Field.Buckets.bucketCounts, histogram.counts)
        }
    }
}

/// One of the values behind a point, with the span that it belongs to.
package struct MetricExemplar: Sendable, Equatable {
    package var value: Double
    /// Nanoseconds since 1970.
    package var time: UInt64
    package var traceID: [UInt8]
    package var spanID: [UInt8]

    package init(value: Double, time: UInt64, traceID: [UInt8], spanID: [UInt8]) {
        self.value = value
        self.time = time
        self.traceID = traceID
        self.spanID = spanID
    }

    func write(_ number: UInt32, into buffer: inout ProtobufBuffer) {
        buffer.begin(number)
        buffer.fixed64(Field.Exemplar.time, time)
        buffer.double(Field.Exemplar.asDouble, value)
        if !spanID.isEmpty { buffer.field(Field.Exemplar.spanID, spanID) }
        if !traceID.isEmpty { buffer.field(Field.Exemplar.traceID, traceID) }
        buffer.end()
    }
}
