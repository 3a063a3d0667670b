import MetricStreams
import Testing

/// The arithmetic that exponential histograms of different scales and ranges need.
@Suite("Exponential buckets")
struct ExponentialBucketsTests {
    /// Counts that wander into a wrong bucket are latencies that nobody had.
    @Test("coarser buckets hold what both halves held, also below zero")
    func coarsen() {
        var buckets = ExponentialBuckets(offset: 0, counts: [1, 2, 3, 4])
        buckets.coarsen(by: 1)
        #expect(buckets == ExponentialBuckets(offset: 0, counts: [3, 7, 0, 0]))
        var negative = ExponentialBuckets(offset: -3, counts: [1, 1, 1])
        negative.coarsen(by: 1)
        #expect(negative == ExponentialBuckets(offset: -2, counts: [1, 2, 0]))
        var far = ExponentialBuckets(offset: Int(Int32.min), counts: [5])
        far.coarsen(by: 1_000)
        #expect(far == ExponentialBuckets(offset: -1, counts: [5]))
    }

    /// A sum with wrong indices shifts a whole histogram.
    @Test("buckets of different ranges are added by index, empty ends go")
    func add() {
        var sum = ExponentialBuckets(offset: 0, counts: [0, 1, 2])
        sum.add(ExponentialBuckets(offset: 2, counts: [5, 0]))
        #expect(sum == ExponentialBuckets(offset: 1, counts: [1, 7]))
        sum.add(ExponentialBuckets())
        #expect(sum == ExponentialBuckets(offset: 1, counts: [1, 7]))
    }

    /// Two far points of a client would otherwise take gigabytes.
    @Test("as many levels are given up as a sum of bounded size needs")
    func limit() {
        let low = ExponentialBuckets(offset: Int(Int32.min), counts: [1])
        let high = ExponentialBuckets(offset: Int(Int32.max), counts: [1])
        let levels = low.levels(toAdd: high, limit: 160)
        var (a, b) = (low, high)
        a.coarsen(by: levels)
        b.coarsen(by: levels)
        a.add(b)
        #expect(a.counts.count <= 160 && a.counts.reduce(0, +) == 2)
        #expect(
            ExponentialBuckets(offset: 0, counts: [1]).levels(
                toAdd: ExponentialBuckets(offset: 159, counts: [1]), limit: 160) == 0)
    }

    /// A difference is what a backend stores: below zero it wraps to eighteen quintillions.
    @Test("a difference is without empty ends; where less is than was there is none")
    func difference() {
        let now = ExponentialBuckets(offset: 1, counts: [1, 2, 2])
        let before = ExponentialBuckets(offset: 2, counts: [1, 2])
        #expect(now.difference(since: before) == ExponentialBuckets(offset: 1, counts: [1, 1]))
        #expect(now.difference(since: now) == ExponentialBuckets())
        #expect(before.difference(since: now) == nil)
        #expect(now.difference(since: ExponentialBuckets(offset: 9, counts: [1])) == nil)
        #expect(
            now.difference(since: ExponentialBuckets(offset: 9, counts: [0]))
                == now.difference(since: .init()))
    }

    /// The index decides which counts become zeros when a threshold is widened.
    @Test(
        "indices are those of the data model",
        arguments: [
            (0.5, Int32(0), -2), (1, 0, -1), (1.5, 0, 0), (2, 0, 0), (4, 1, 3), (8, -1, 0), (3, 2, 6),
        ])
    func index(value: Double, scale: Int32, expected: Int) {
        #expect(ExponentialScale.index(of: value, scale: scale) == expected)
    }

    /// Values from clients must not stop the gateway.
    @Test("scales and values without sense give some index")
    func extremes() {
        for scale in [Int32.min, -20, 0, 20, Int32.max] {
            for value in [
                0, -1, Double.nan, .infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1, 2,
            ] {
                let index = ExponentialScale.index(of: value, scale: scale)
                _ = ExponentialScale.upperBound(of: index, scale: scale)
                _ = ExponentialScale.index(of: 3, scaledBy: value, scale: scale)
            }
        }
    }
}
