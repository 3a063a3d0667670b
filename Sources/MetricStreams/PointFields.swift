internal import OTLP

/// The field numbers of what data points of every kind have.
package struct PointFields: Sendable, Equatable {
    /// The number of the kind in `Field.Metric`: `gauge`, `sum`, ….
    package let kind: UInt32
    package let attributes: UInt32
    package let startTime: UInt32
    package let time: UInt32
    package let flags: UInt32

    /// The points of `Gauge`, `Sum`, …; nil for a number that is no kind of data.
    package init?(_ kind: UInt32) {
        self.kind = kind
        switch kind {
        case Field.Metric.gauge, Field.Metric.sum:
            attributes = Field.NumberPoint.attributes
            startTime = Field.NumberPoint.startTime
            time = Field.NumberPoint.time
            flags = Field.NumberPoint.flags
        case Field.Metric.histogram:
            attributes = Field.HistogramPoint.attributes
            startTime = Field.HistogramPoint.startTime
            time = Field.HistogramPoint.time
            flags = Field.HistogramPoint.flags
        case Field.Metric.exponentialHistogram:
            attributes = Field.ExponentialPoint.attributes
            startTime = Field.ExponentialPoint.startTime
            time = Field.ExponentialPoint.time
            flags = Field.ExponentialPoint.flags
        case Field.Metric.summary:
            attributes = Field.SummaryPoint.attributes
            startTime = Field.SummaryPoint.startTime
            time = Field.SummaryPoint.time
            flags = Field.SummaryPoint.flags
        default: return nil
        }
    }
}

/// `AggregationTemporality`, as the wire has it.
package enum Temporality {
    package static let delta: UInt64 = 1
    package static let cumulative: UInt64 = 2
}

/// What a point's `NO_RECORDED_VALUE` flag is.
package let noRecordedValueFlag: UInt64 = 1
