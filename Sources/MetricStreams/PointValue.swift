package import OTLP

/// The value of a point of any kind.
package enum PointValue: Sendable, Equatable {
    case number(NumberValue)
    case histogram(HistogramValue)
    case exponential(ExponentialValue)
    /// Count and sum of a summary; quantiles cannot be calculated with.
    case summary(DistributionSums)

    /// Reads the point of a `Gauge`, `Sum`, ….
    package init(_ editor: RequestEditor, _ point: MessageID, kind: UInt32) {
        switch kind {
        case Field.Metric.histogram: self = .histogram(HistogramValue(editor, point))
        case Field.Metric.exponentialHistogram: self = .exponential(ExponentialValue(editor, point))
        case Field.Metric.summary:
            var sums = DistributionSums()
            sums.count = editor.bits(point, Field.SummaryPoint.count)
            sums.sum = editor.double(point, Field.SummaryPoint.sum)
            self = .summary(sums)
        default: self = .number(NumberValue(editor, point))
        }
    }

    /// Writes it into a point of its kind.
    package func write(to editor: RequestEditor, _ point: MessageID) {
        switch self {
        case .number(let value): value.write(to: editor, point)
        case .histogram(let value): value.write(to: editor, point)
        case .exponential(let value): value.write(to: editor, point)
        case .summary(let sums):
            editor.setNumber(point, Field.SummaryPoint.count, .fixed64, sums.count)
            editor.setDouble(point, Field.SummaryPoint.sum, sums.sum)
        }
    }

    /// Bytes on the heap.
    package var keptBytes: Int {
        switch self {
        case .number, .summary: 0
        case .histogram(let value): value.keptBytes
        case .exponential(let value): value.keptBytes
        }
    }
}
