extension PointPlace {
    /// The attributes of the data point.
    public var attributes: AttributeTable {
        let number: UInt32
        switch kind {
        case Field.Metric.histogram: number = Field.HistogramPoint.attributes
        case Field.Metric.exponentialHistogram: number = Field.ExponentialPoint.attributes
        case Field.Metric.summary: number = Field.SummaryPoint.attributes
        default: number = Field.NumberPoint.attributes
        }
        return AttributeTable(point, number)
    }
}
