internal import Glibc

/// Counts of positive values in buckets that grow by a constant factor, 2^(2^-scale), as fine as so many buckets allow.
///
/// Bucket `i` holds values above base^i, at most base^(i+1). Values of 0, and what is no number, count as zero.
package struct ExponentialHistogram: Sendable, Equatable {
    /// Finer is not worth it: neighbouring doubles would not always differ.
    private static let scaleMax: Int32 = 20
    private static let scaleMin: Int32 = -10

    package let sizeMax: Int
    package private(set) var scale = scaleMax
    /// Index of the first bucket.
    package private(set) var offset: Int32 = 0
    package private(set) var counts: [UInt64] = []
    package private(set) var zeroCount: UInt64 = 0
    package private(set) var count: UInt64 = 0
    package private(set) var sum = 0.0
    package private(set) var min = Double.infinity
    package private(set) var max = -Double.infinity

    /// - Parameter sizeMax: buckets, at least 2.
    package init(sizeMax: Int) {
        self.sizeMax = Swift.max(2, sizeMax)
    }

    /// Counts a value `times` times.
    package mutating func add(_ value: Double, times: UInt64 = 1) {
        guard times > 0 else { return }
        count &+= times
        guard value > 0, value.isFinite else {
            zeroCount &+= times
            min = Swift.min(min, 0)
            max = Swift.max(max, 0)
            return
        }
        sum += value * Double(times)
        min = Swift.min(min, value)
        max = Swift.max(max, value)
        var index = Self.index(value, scale)
        while true {
            let first = counts.isEmpty ? index : Swift.min(offset, index)
            let last = counts.isEmpty ? index : Swift.max(offset + Int32(counts.count) - 1, index)
            if Int(last) - Int(first) < sizeMax || scale == Self.scaleMin { break }
            downscale()
            index = Self.index(value, scale)
        }
        grow(to: index)
        counts[Int(index - offset)] &+= times
    }

    /// Joins buckets until the scale is no finer than this one.
    package mutating func coarsen(to scale: Int32) {
        while self.scale > scale { downscale() }
    }

    private mutating func grow(to index: Int32) {
        if counts.isEmpty {
            offset = index
            counts = [0]
        } else if index < offset {
            counts.insert(contentsOf: repeatElement(0, count: Int(offset - index)), at: 0)
            offset = index
        } else {
            let missing = Int(index - offset) + 1 - counts.count
            if missing > 0 { counts += repeatElement(0, count: missing) }
        }
    }

    /// Joins each two buckets.
    private mutating func downscale() {
        scale -= 1
        guard !counts.isEmpty else { return }
        let first = offset >> 1
        let last = (offset + Int32(counts.count) - 1) >> 1
        var joined = [UInt64](repeating: 0, count: Int(last - first) + 1)
        for (place, count) in counts.enumerated() {
            joined[Int(((offset + Int32(place)) >> 1) - first)] &+= count
        }
        offset = first
        counts = joined
    }

    /// The bucket of a positive value.
    private static func index(_ value: Double, _ scale: Int32) -> Int32 {
        // Exact for powers of two, whose logarithm would be rounded to one side or the other.
        let exponent = Int32(value.exponent)
        let isPower = value.significand == 1
        if scale <= 0 {
            let whole = isPower ? exponent - 1 : exponent
            return whole >> -scale
        }
        if isPower { return (exponent << scale) - 1 }
        return Int32((log2(value.significand) * Double(1 << scale)).rounded(.up)) - 1 + (exponent << scale)
    }
}
