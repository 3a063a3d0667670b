// What components count with. An instrument is made once, by `MetricRegistry`, and kept by the component that
// counts; counting is one atomic instruction, reading happens on the scrape.
//
// Additions release and reads acquire. Both cost the same as relaxed ones on x86-64, and they carry a promise:
// who reads a count of items that left, then the count of items that came in, never sees more leave than came,
// because each item was counted in before it was handed on.

public import Synchronization

/// A count that only grows.
///
/// Any thread. The value sits on cache lines of its own, so that two threads that count different things
/// do not slow each other.
public final class Counter: Sendable {
    private let _padBefore = InlineArray<14, UInt64>(repeating: 0)
    @usableFromInline let storage = Atomic<UInt64>(0)
    private let _padAfter = InlineArray<15, UInt64>(repeating: 0)

    init() {}

    /// Adds `count`, wrapping at 2^64. Allocates nothing.
    @inlinable
    public func add(_ count: UInt64 = 1) {
        storage.wrappingAdd(count, ordering: .releasing)
    }

    /// Adds `count`, which must not be negative. Allocates nothing.
    @inlinable
    public func add(_ count: Int) {
        storage.wrappingAdd(UInt64(count), ordering: .releasing)
    }

    /// The count now.
    @inlinable
    public var value: UInt64 {
        storage.load(ordering: .acquiring)
    }
}

/// A whole number that goes up and down: a size, a capacity, requests in flight.
///
/// Any thread. On cache lines of its own, as `Counter`.
public final class Gauge: Sendable {
    private let _padBefore = InlineArray<14, UInt64>(repeating: 0)
    @usableFromInline let storage = Atomic<Int64>(0)
    private let _padAfter = InlineArray<15, UInt64>(repeating: 0)

    init() {}

    /// Replaces the value.
    @inlinable
    public func set(_ value: Int) {
        storage.store(Int64(value), ordering: .releasing)
    }

    /// Adds `delta`, which may be negative.
    @inlinable
    public func add(_ delta: Int) {
        storage.wrappingAdd(Int64(delta), ordering: .releasing)
    }

    /// The value now.
    @inlinable
    public var value: Int {
        Int(storage.load(ordering: .acquiring))
    }
}

/// How observed values are spread over fixed buckets.
///
/// Any thread. One `observe` is a search over the bounds and two atomic updates; it allocates nothing.
@safe public final class Histogram: Sendable {
    /// For items of a batch: the Collector's.
    package static let itemBounds: [Double] =
        [10, 25, 50, 75, 100, 250, 500, 750] + (1...10).map { Double($0) * 1000 } + [
            20000, 30000, 50000, 100_000,
        ]
    /// For bytes of a batch: the Collector's, 128 to 16 777 216.
    package static let byteBounds: [Double] = (7...24).map { Double(1 << $0) }

    /// Upper bounds, inclusive, strictly ascending, finite. The bucket above the last one is implied.
    public let bounds: [Double]

    // SAFETY: `bounds.count + 1` initialized counters, owned by this object, freed in deinit; the pointer never
    // changes and what it points to is atomic, so any thread may use it.
    private nonisolated(unsafe) let buckets: UnsafeMutablePointer<Atomic<UInt64>>
    private let sumBits = Atomic<UInt64>(0)

    init(bounds: [Double]) {
        precondition(bounds.allSatisfy(\.isFinite), "Histogram bounds must be finite: \(bounds)")
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy(<), "Histogram bounds must ascend: \(bounds)")
        self.bounds = bounds
        let buckets = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: bounds.count + 1)
        for index in 0...bounds.count {
            unsafe (buckets + index).initialize(to: Atomic(0))
        }
        unsafe self.buckets = buckets
    }

    deinit {
        // SAFETY: allocated and initialized with this count in init; nobody else has the pointer.
        unsafe buckets.deinitialize(count: bounds.count + 1)
        unsafe buckets.deallocate()
    }

    /// Counts one value. A value that is not a number goes to the last bucket and poisons the sum.
    public func observe(_ value: Double) {
        var index = 0
        while index < bounds.count, !(value <= bounds[index]) {
            index += 1
        }
        // SAFETY: 0 <= index <= bounds.count, one below the allocated count.
        unsafe buckets[index].wrappingAdd(1, ordering: .releasing)
        var seen = sumBits.load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: seen) + value).bitPattern
            let (exchanged, original) = sumBits.weakCompareExchange(
                expected: seen, desired: next, ordering: .relaxed)
            if exchanged { return }
            seen = original
        }
    }

    /// The buckets now, the one above the last bound included, not cumulative; and the sum of all values.
    ///
    /// The count of all values is the sum of the buckets, so the two never disagree on a page.
    public func read() -> (counts: [UInt64], sum: Double) {
        var counts: [UInt64] = []
        counts.reserveCapacity(bounds.count + 1)
        for index in 0...bounds.count {
            // SAFETY: index is within the allocated count.
            counts.append(unsafe buckets[index].load(ordering: .acquiring))
        }
        return (counts, Double(bitPattern: sumBits.load(ordering: .acquiring)))
    }
}
