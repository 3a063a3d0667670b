internal import MetricStreams
internal import OTLP

/// What a stream of deltas has added up to.
struct CumulativeState: StreamState {
    /// Buckets of an exponential histogram on each side.
    static let bucketsMax = 160

    /// Of the first point. Nanoseconds since 1970.
    var start: UInt64
    /// Of the last point.
    var time: UInt64
    /// Of the first point.
    let flags: UInt64
    var value: PointValue

    var keptBytes: Int { value.keptBytes }

    /// Why a point is not added.
    enum Refused: Sendable {
        /// It starts before the stream did.
        case olderStart
        /// It is not newer than the last one.
        case outOfOrder
    }

    /// Adds the next point, whose start and end these are; why not.
    mutating func add(_ delta: PointValue, start: UInt64, time: UInt64) -> Refused? {
        if start < self.start { return .olderStart }
        if time <= self.time { return .outOfOrder }
        self.time = time
        switch (value, delta) {
        case (.number(let sum), .number(let delta)): value = .number(Self.sum(sum, delta))
        case (.histogram(var sum), .histogram(let delta)):
            guard sum.bounds == delta.bounds else {
                // Nothing can be said about both: the stream begins anew.
                self.start = start
                value = .histogram(delta)
                return nil
            }
            value = .number(.none)
            sum.sums.add(delta.sums)
            for index in 0..<min(sum.counts.count, delta.counts.count) {
                sum.counts[index] &+= delta.counts[index]
            }
            value = .histogram(sum)
        case (.exponential(var sum), .exponential(let delta)):
            value = .number(.none)
            sum.add(delta)
            value = .exponential(sum)
        default: value = delta
        }
        return nil
    }

    /// A sum of a number of another type is the new number, as in the Collector.
    private static func sum(_ sum: NumberValue, _ delta: NumberValue) -> NumberValue {
        switch (sum, delta) {
        case (_, .none): sum
        case (.int(let old), .int(let new)): .int(old &+ new)
        case (.double(let old), .double(let new)): .double(old + new)
        default: delta
        }
    }
}

extension ExponentialValue {
    /// Adds another one: at the coarser scale of both, at a still coarser one if there would be too many buckets, with the
    /// wider zero bucket of both.
    fileprivate mutating func add(_ delta: ExponentialValue) {
        var delta = delta
        let coarser = min(scale, delta.scale)
        coarsen(by: Int(scale) - Int(coarser))
        delta.coarsen(by: Int(delta.scale) - Int(coarser))
        let levels = max(
            positive.levels(toAdd: delta.positive, limit: CumulativeState.bucketsMax),
            negative.levels(toAdd: delta.negative, limit: CumulativeState.bucketsMax))
        coarsen(by: levels)
        delta.coarsen(by: levels)
        if zeroThreshold < delta.zeroThreshold {
            widenZeroBucket(to: delta.zeroThreshold)
        } else if delta.zeroThreshold < zeroThreshold {
            delta.widenZeroBucket(to: zeroThreshold)
        }
        positive.add(delta.positive)
        negative.add(delta.negative)
        sums.add(delta.sums)
        zeroCount &+= delta.zeroCount
    }

    private mutating func coarsen(by levels: Int) {
        guard levels > 0 else { return }
        positive.coarsen(by: levels)
        negative.coarsen(by: levels)
        scale = Int32(clamping: Int(scale) - levels)
    }

    /// Makes the buckets up to a threshold part of the zero bucket, which ends where a bucket does.
    private mutating func widenZeroBucket(to threshold: Double) {
        guard threshold.isFinite else { return }
        let index = ExponentialScale.index(of: threshold, scale: scale)
        zeroCount &+= positive.removeBuckets(upTo: index)
        zeroCount &+= negative.removeBuckets(upTo: index)
        zeroThreshold = ExponentialScale.upperBound(of: index, scale: scale)
    }
}
