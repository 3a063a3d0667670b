internal import MetricStreams

/// When a cumulative stream started, and what it was last.
struct StartState: StreamState {
    /// Nanoseconds since 1970.
    var start: UInt64
    /// The last point, as it came.
    var last: PointValue
    /// What the points count from, with `subtract_initial_point`.
    var reference: PointValue?

    var keptBytes: Int { last.keptBytes + (reference?.keptBytes ?? 0) }
}

extension PointValue {
    /// Whether a cumulative stream must have begun anew, since it went from an earlier value to this one.
    func isReset(since earlier: PointValue) -> Bool {
        switch (earlier, self) {
        case (.number(let old), .number(let new)):
            if case .int(let oldInt) = old, case .int(let newInt) = new { return newInt < oldInt }
            return new.double < old.double
        case (.histogram(let old), .histogram(let new)):
            return Self.isReset(old.sums, new.sums) || old.bounds != new.bounds
                || Self.isLess(new.counts, than: old.counts)
        case (.exponential(let old), .exponential(let new)):
            return Self.isReset(old.sums, new.sums) || new.zeroCount < old.zeroCount || new.scale > old.scale
                || new.zeroThreshold < old.zeroThreshold
        case (.summary(let old), .summary(let new)): return Self.isReset(old, new)
        default: return true
        }
    }

    private static func isReset(_ old: DistributionSums, _ new: DistributionSums) -> Bool {
        new.count < old.count || (new.sum ?? 0) < (old.sum ?? 0)
    }

    private static func isLess(_ new: [UInt64], than old: [UInt64]) -> Bool {
        new.count != old.count || zip(new, old).contains { $0 < $1 }
    }

    /// What came in since an earlier value of the stream; nil when that makes no sense, as after a reset.
    func difference(since earlier: PointValue) -> PointValue? {
        switch (earlier, self) {
        case (.number(let old), .number(let new)):
            if case .int(let newInt) = new { return .number(.int(newInt &- old.int)) }
            return .number(.double(new.double - old.double))
        case (.histogram(let old), .histogram(let new)):
            guard new.counts.count == old.counts.count else { return nil }
            var difference = new
            difference.sums.subtract(old.sums)
            difference.counts = zip(new.counts, old.counts).map { $0 &- $1 }
            return .histogram(difference)
        case (.exponential(let old), .exponential(let new)):
            var difference = new
            var base = old
            let levels = Int(old.scale) - Int(new.scale)
            base.positive.coarsen(by: levels)
            base.negative.coarsen(by: levels)
            guard let positive = new.positive.difference(since: base.positive),
                let negative = new.negative.difference(since: base.negative)
            else { return nil }
            difference.sums.subtract(old.sums)
            difference.zeroCount &-= old.zeroCount
            difference.positive = positive
            difference.negative = negative
            return .exponential(difference)
        case (.summary(let old), .summary(var new)):
            new.subtract(old)
            return .summary(new)
        default: return nil
        }
    }
}

extension DistributionSums {
    /// Minimum and maximum are of all time: there are none of the difference.
    fileprivate mutating func subtract(_ other: DistributionSums) {
        count &-= other.count
        sum = sum.map { $0 - (other.sum ?? 0) }
        min = nil
        max = nil
    }
}
