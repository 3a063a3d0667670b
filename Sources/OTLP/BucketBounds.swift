internal import COTLP

/// The upper bounds of a histogram's buckets, ascending.
public struct BucketBounds: Sendable {
    /// The bounds; there is one bucket more.
    public let values: [Double]

    /// From bounds that ascend.
    public init(_ values: [Double]) { self.values = values }

    /// Up to so many bounds all are compared: sooner than a search whose every step may go either way.
    private static let few = 32

    /// The bucket of a value: the first one whose bound is not below it.
    public func bucket(of value: Double) -> Int {
        guard values.count > Self.few else {
            // SAFETY: the C function reads exactly these bounds, during the call.
            return unsafe values.withUnsafeBufferPointer {
                guard let bounds = $0.baseAddress else { return 0 }
                return unsafe Int(cotlp_bounds_below(bounds, $0.count, value))
            }
        }
        var low = 0
        var high = values.count
        while low < high {
            let middle = (low + high) / 2
            if value <= values[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
