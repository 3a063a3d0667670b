/// One side of an exponential histogram: counts of the buckets from an index on. Indices are those of the data model: bucket
/// `i` at scale `s` is `(base^i, base^(i+1)]` with `base = 2^(2^-s)`.
package struct ExponentialBuckets: Sendable, Equatable {
    /// The index of the first bucket.
    package var offset: Int
    package var counts: [UInt64]

    package init(offset: Int = 0, counts: [UInt64] = []) {
        self.offset = offset
        self.counts = counts
    }

    /// The index behind the last bucket.
    package var end: Int { offset + counts.count }

    /// The count of an index, 0 outside.
    package subscript(index: Int) -> UInt64 {
        index >= offset && index < end ? counts[index - offset] : 0
    }

    /// Makes the buckets wider, `levels` scales down. Buckets that are not needed any more stay, empty, at the end.
    package mutating func coarsen(by levels: Int) {
        guard levels > 0 else { return }
        // Beyond 62 levels an index is but its sign.
        let shift = min(levels, 62)
        let start = offset >> shift
        var wide = [UInt64](repeating: 0, count: counts.count)
        for (index, count) in counts.enumerated() { wide[((offset + index) >> shift) - start] &+= count }
        offset = start
        counts = wide
    }

    /// Adds the counts of buckets of the same scale; empty buckets at both ends go.
    package mutating func add(_ other: ExponentialBuckets) {
        guard !other.counts.isEmpty else { return }
        guard !counts.isEmpty else {
            self = other
            return
        }
        let (low, high) = range(with: other)
        counts = (low..<high).map { self[$0] &+ other[$0] }
        offset = low
    }

    /// How far these and others must be coarsened so that their sum has at most `limit` buckets.
    package func levels(toAdd other: ExponentialBuckets, limit: Int) -> Int {
        var (low, high) = range(with: other)
        var levels = 0
        while high - low > limit {
            // The bucket of the last index, and the end behind it.
            high = ((high - 1) >> 1) + 1
            low >>= 1
            levels += 1
        }
        return levels
    }

    /// The indices from the first to behind the last bucket that is not empty in either.
    private func range(with other: ExponentialBuckets) -> (low: Int, high: Int) {
        let own = usedRange
        let others = other.usedRange
        if own.isEmpty { return (others.lowerBound, others.upperBound) }
        if others.isEmpty { return (own.lowerBound, own.upperBound) }
        return (min(own.lowerBound, others.lowerBound), max(own.upperBound, others.upperBound))
    }

    private var usedRange: Range<Int> {
        guard let first = counts.firstIndex(where: { $0 != 0 }),
            let last = counts.lastIndex(where: { $0 != 0 })
        else { return offset..<offset }
        return offset + first..<offset + last + 1
    }

    /// Removes the buckets up to an index.
    /// - Returns: what was in them.
    package mutating func removeBuckets(upTo index: Int) -> UInt64 {
        let count = min(max(index - offset + 1, 0), counts.count)
        let removed = counts[..<count].reduce(0, &+)
        counts.removeFirst(count)
        offset += count
        return removed
    }

    /// What came in since an earlier state of the same scale, without empty buckets at both ends; nil when a bucket has less.
    package func difference(since earlier: ExponentialBuckets) -> ExponentialBuckets? {
        let used = earlier.usedRange
        guard used.isEmpty || (used.lowerBound >= offset && used.upperBound <= end) else { return nil }
        var result = self
        for index in used {
            guard counts[index - offset] >= earlier[index] else { return nil }
            result.counts[index - offset] -= earlier[index]
        }
        let rest = result.usedRange
        guard !rest.isEmpty else { return ExponentialBuckets() }
        return ExponentialBuckets(
            offset: rest.lowerBound,
            counts: Array(result.counts[rest.lowerBound - offset..<rest.upperBound - offset]))
    }
}
