/// Why a compressed body gave no bytes.
package enum InflateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The body inflates to more than `limitBytes`, the limit that the caller set.
    case tooLarge(limitBytes: Int)
    /// The body is not what its encoding promises.
    case corrupt(Damage)

    /// What is wrong with a body.
    package enum Damage: String, Sendable {
        case empty = "the body is empty"
        case wrongFormat = "the body does not start as this encoding does"
        case damaged = "the body is truncated, damaged, or fails its checksum"
        case trailingBytes = "bytes follow the end of the compressed data"
    }

    package var description: String {
        switch self {
        case .tooLarge(let limitBytes): "the body inflates to more than the limit of \(limitBytes) bytes"
        case .corrupt(let damage): damage.rawValue
        }
    }
}
