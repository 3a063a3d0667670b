internal import MetricStreams

/// The last point of a cumulative stream.
struct DeltaState: StreamState {
    /// Nanoseconds since 1970.
    var time: UInt64 = 0
    var value: PointValue

    var keptBytes: Int { value.keptBytes }
}

/// What comes of a point.
enum DeltaResult: Sendable {
    /// Sent, as the difference since `start`.
    case delta(PointValue, start: UInt64)
    /// Not sent: why.
    case dropped(DeltaDrop)
}

/// Why a point is not sent: the Collector's words, and `max_streams`, which is ours.
enum DeltaDrop: String, CaseIterable, Sendable {
    /// The first of its stream.
    case initial
    /// Less than was there: the stream began anew, with the start time it had.
    case reset
    /// Of other buckets than the point before it.
    case bucketMismatch = "bucket_mismatch"
    /// A new stream beyond `max_streams`.
    case maxStreams = "max_streams"
}

extension DeltaState {
    /// Takes the next point of the stream.
    mutating func advance(to next: PointValue, at newTime: UInt64) -> DeltaResult {
        switch (value, next) {
        case (.number(let old), .number(let new)):
            let start = time
            let isReset: Bool
            let difference: NumberValue
            if case .double(let newDouble) = new {
                isReset = newDouble < old.double
                difference = .double(newDouble - old.double)
            } else {
                isReset = new.int < old.int
                difference = .int(new.int &- old.int)
            }
            self = DeltaState(time: newTime, value: next)
            return isReset ? .dropped(.reset) : .delta(.number(difference), start: start)
        case (.histogram(let old), .histogram(let new)): return advance(from: old, to: new, at: newTime)
        case (.exponential(let old), .exponential(let new)): return advance(from: old, to: new, at: newTime)
        default:
            self = DeltaState(time: newTime, value: next)
            return .dropped(.initial)
        }
    }

    private mutating func advance(
        from old: HistogramValue, to new: HistogramValue, at newTime: UInt64
    ) -> DeltaResult {
        let start = time
        guard old.counts.count == new.counts.count, old.bounds == new.bounds else {
            self = DeltaState(time: newTime, value: .histogram(new))
            return .dropped(.bucketMismatch)
        }
        // As the Collector: what was there stays the base until the counts have passed it again.
        guard new.sums.count >= old.sums.count, zip(new.counts, old.counts).allSatisfy({ $0 >= $1 })
        else { return .dropped(.reset) }
        var kept = new
        if kept.sums.sum?.isNaN == true { kept.sums.sum = old.sums.sum }
        var delta = new
        delta.sums = Self.difference(new.sums, since: old.sums)
        delta.counts = zip(new.counts, old.counts).map { $0 - $1 }
        self = DeltaState(time: newTime, value: .histogram(kept))
        return .delta(.histogram(delta), start: start)
    }

    private mutating func advance(
        from old: ExponentialValue, to new: ExponentialValue, at newTime: UInt64
    ) -> DeltaResult {
        let start = time
        var base = old
        guard new.sums.count >= base.sums.count, new.zeroThreshold >= base.zeroThreshold,
            new.scale <= base.scale
        else { return .dropped(.reset) }
        if new.zeroThreshold > base.zeroThreshold {
            let index = ExponentialScale.upperIndex(of: new.zeroThreshold, scale: base.scale)
            base.zeroCount &+= base.positive.removeBuckets(upTo: index)
            base.zeroCount &+= base.negative.removeBuckets(upTo: index)
        }
        let levels = Int(base.scale) - Int(new.scale)
        base.positive.coarsen(by: levels)
        base.negative.coarsen(by: levels)
        guard let positive = new.positive.difference(since: base.positive),
            let negative = new.negative.difference(since: base.negative), new.zeroCount >= base.zeroCount
        else { return .dropped(.reset) }
        var delta = new
        delta.sums = Self.difference(new.sums, since: base.sums)
        delta.zeroCount = new.zeroCount - base.zeroCount
        delta.positive = positive
        delta.negative = negative
        self = DeltaState(time: newTime, value: .exponential(new))
        return .delta(.exponential(delta), start: start)
    }

    /// Minimum and maximum are of all time: there are none of the difference.
    private static func difference(
        _ new: DistributionSums, since old: DistributionSums
    ) -> DistributionSums {
        var difference = DistributionSums()
        difference.count = new.count - old.count
        difference.sum = new.sum.map { $0.isNaN ? $0 : $0 - (old.sum ?? 0) }
        return difference
    }
}
