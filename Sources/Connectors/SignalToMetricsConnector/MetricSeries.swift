internal import Configuration
internal import MetricBuilding
internal import OTLP
internal import Statements

/// What the values of one point come to. One thread.
final class MetricSeries {
    private enum State {
        case sum(NumberExpression.Number)
        case gauge(NumberExpression.Number)
        case histogram(bounds: [Double], counts: [UInt64], sum: Double)
        case exponential(ExponentialHistogram, negative: ExponentialHistogram?)
    }

    private var state: State?

    /// Adds a value that is there so many times, at least once.
    func add(_ value: NumberExpression.Number, times: UInt64, to kind: MeasuredMetric.Kind) {
        let old = state
        // So that what is changed below has one owner.
        state = nil
        switch kind {
        case .sum:
            guard case .sum(let sum) = old else {
                state = .sum(value)
                return
            }
            // The first value says of which type the sum is.
            switch (sum, value) {
            case (.int(let sum), .int(let more)): state = .sum(.int(sum &+ more))
            case (.int(let sum), .double(let more)): state = .sum(.int(sum &+ whole(more)))
            case (.double(let sum), _): state = .sum(.double(sum + value.double))
            }
        case .gauge: state = .gauge(value)
        case .histogram(let bounds): state = Self.histogram(old, bounds, value.double, times)
        case .exponentialHistogram(let size): state = Self.exponential(old, size, value.double, times)
        }
    }

    private static func histogram(
        _ old: State?, _ bounds: [Double], _ value: Double, _ times: UInt64
    ) -> State {
        var (bounds, counts, total) = (bounds, [UInt64](repeating: 0, count: bounds.count + 1), 0.0)
        if case .histogram(let known, let before, let sum) = old {
            (bounds, counts, total) = (known, before, sum)
        }
        counts[bounds.firstIndex { $0 >= value } ?? bounds.count] &+= times
        return .histogram(bounds: bounds, counts: counts, sum: total + value * Double(times))
    }

    private static func exponential(
        _ old: State?, _ sizeMax: Int, _ value: Double, _ times: UInt64
    ) -> State {
        var positive = ExponentialHistogram(sizeMax: sizeMax)
        var negative: ExponentialHistogram?
        if case .exponential(let before, let below) = old { (positive, negative) = (before, below) }
        if value < 0 {
            var below = negative ?? ExponentialHistogram(sizeMax: positive.sizeMax)
            below.add(-value, times: times)
            negative = below
        } else {
            positive.add(value, times: times)
        }
        return .exponential(positive, negative: negative)
    }

    /// Writes the point into the metric that was begun last.
    func write(_ attributes: AttributeList, time: UInt64, into request: inout MetricRequest) {
        switch state {
        case .sum(.int(let number)), .gauge(.int(let number)):
            request.number(.int(number), attributes, time: time)
        case .sum(.double(let number)), .gauge(.double(let number)):
            request.number(.double(number), attributes, time: time)
        case .histogram(let bounds, let counts, let sum):
            request.histogram(counts: counts, bounds: bounds, sum: sum, attributes, time: time)
        case .exponential(var positive, var negative):
            if let below = negative {
                let scale = positive.counts.isEmpty ? below.scale : min(positive.scale, below.scale)
                positive.coarsen(to: scale)
                negative?.coarsen(to: scale)
            }
            request.exponential(positive, negative: negative, attributes, time: time)
        case nil: break
        }
    }
}

/// A number without its fraction; 0 for what no whole number comes near.
func whole(_ number: Double) -> Int64 { Int64(exactly: number.rounded(.towardZero)) ?? 0 }

extension AttributeList {
    mutating func add(_ key: AttributeKey, _ value: PlainScalar) {
        switch value {
        case .text(let text): add(key.description, text)
        case .int(let number): add(key.description, number)
        case .double(let number): add(key.bytes, .double(number))
        case .bool(let flag): add(key.description, flag)
        }
    }
}
