/// A native histogram as a page has it: buckets whose bounds grow by a constant factor.
struct NativeHistogram: Equatable {
    /// Runs of buckets that follow each other on one side of zero.
    struct Side: Equatable {
        /// Index of the first bucket, as Prometheus counts them: bucket `i` reaches to `base^i`.
        var firstIndex: Int32 = 0
        /// Observations in each bucket from the first to the last, gaps included.
        var counts: [UInt64] = []
    }

    /// The base is 2^(2^-schema), -4…8.
    var schema: Int32 = 0
    var zeroThreshold = 0.0
    var zeroCount: UInt64 = 0
    var count: UInt64 = 0
    var sum = 0.0
    var positive = Side()
    var negative = Side()

    /// Buckets, gaps included, that one side may have.
    static let bucketsMax = 16_384
}

/// The runs of buckets as the protobuf format has them, until the sides are put together.
struct NativeSpans {
    /// For each run: buckets to skip (of the first: its index), and its length.
    var spans: [(offset: Int32, length: UInt32)] = []
    /// Differences from bucket to bucket.
    var deltas: [Int64] = []
    /// Counts of a histogram with fractions; instead of `deltas`.
    var counts: [Double] = []

    var isEmpty: Bool { spans.isEmpty }

    /// The buckets one after the other; nil when the runs contradict the counts, overflow or are out of bounds.
    func side() -> NativeHistogram.Side? {
        var side = NativeHistogram.Side()
        guard let first = spans.first else { return deltas.isEmpty && counts.isEmpty ? side : nil }
        side.firstIndex = first.offset
        var taken = 0
        var current: Int64 = 0
        for (index, span) in spans.enumerated() {
            if index > 0 {
                guard span.offset >= 0, side.counts.count + Int(span.offset) <= NativeHistogram.bucketsMax
                else {
                    return nil
                }
                side.counts += repeatElement(0, count: Int(span.offset))
            }
            guard side.counts.count + Int(span.length) <= NativeHistogram.bucketsMax else { return nil }
            for _ in 0..<span.length {
                if taken < deltas.count {
                    let (sum, overflow) = current.addingReportingOverflow(deltas[taken])
                    guard !overflow, sum >= 0 else { return nil }
                    current = sum
                    side.counts.append(UInt64(sum))
                } else if deltas.isEmpty, taken < counts.count {
                    guard let count = wholeCount(counts[taken]) else { return nil }
                    side.counts.append(count)
                } else {
                    return nil
                }
                taken += 1
            }
        }
        return taken == max(deltas.count, counts.count) ? side : nil
    }
}

/// A count with a fraction as the nearest whole one; nil for what is no count.
func wholeCount(_ value: Double) -> UInt64? {
    let rounded = value.rounded()
    return rounded >= 0 && rounded < 0x1p63 ? UInt64(rounded) : nil
}
