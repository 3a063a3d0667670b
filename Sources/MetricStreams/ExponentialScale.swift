internal import Glibc

/// The arithmetic of a scale of exponential histograms (metrics data model, "ExponentialHistogram").
package enum ExponentialScale {
    /// The index of the bucket whose upper bound is the least that is not below a positive number.
    package static func index(of value: Double, scale: Int32) -> Int {
        if value.significand == 1, value.isNormal {
            // An exact power of two is the upper bound of its bucket.
            let exponent = Int(value.exponent)
            let shift = Int(scale)
            return (shift >= 0 ? exponent << min(shift, 40) : exponent >> min(-shift, 62)) - 1
        }
        return lowerIndex(of: value, scale: scale)
    }

    /// `floor(log_base(value))`.
    package static func lowerIndex(of value: Double, scale: Int32) -> Int {
        let index = (log(value) * factor(M_LOG2E, scale)).rounded(.down)
        guard index.isFinite else { return index > 0 ? Int(Int32.max) : Int(Int32.min) }
        return Int(min(max(index, Double(Int32.min)), Double(Int32.max)))
    }

    /// `ceil(log_base(value)) - 1`.
    package static func upperIndex(of value: Double, scale: Int32) -> Int {
        let index = (log(value) * factor(M_LOG2E, scale)).rounded(.up) - 1
        guard index.isFinite else { return index > 0 ? Int(Int32.max) : Int(Int32.min) }
        return Int(min(max(index, Double(Int32.min)), Double(Int32.max)))
    }

    /// The upper bound of a bucket.
    package static func upperBound(of index: Int, scale: Int32) -> Double {
        exp(Double(index + 1) * factor(M_LN2, 0 - max(scale, -exponentMax)))
    }

    /// The index of the bucket in which the middle of a bucket lies when all values are multiplied.
    package static func index(of index: Int, scaledBy factor: Double, scale: Int32) -> Int {
        let base = pow(2, pow(2, -Double(scale)))
        let middle = (pow(base, Double(index)) + pow(base, Double(index + 1))) / 2
        return lowerIndex(of: middle * factor, scale: scale)
    }

    /// Scales beyond have no other results than infinity and zero.
    private static let exponentMax: Int32 = 2_000

    /// A constant times `2^exponent`.
    private static func factor(_ constant: Double, _ exponent: Int32) -> Double {
        scalbn(constant, Int(min(max(exponent, -exponentMax), exponentMax)))
    }
}
