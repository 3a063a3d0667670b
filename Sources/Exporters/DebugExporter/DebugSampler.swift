internal import NIOCore

/// Thins out what is shown: in each second the first `initial` batches, then every `thereafter`th.
///
/// A second starts with the first batch after the one before ended. One thread at a time.
struct DebugSampler {
    private static let second = TimeAmount.seconds(1)

    private let initial: Int
    private let thereafter: Int
    private var seen = 0
    private var end = NIODeadline.uptimeNanoseconds(0)

    /// - Parameter thereafter: 1 shows all of the rest, 0 none.
    init(initial: Int, thereafter: Int) {
        self.initial = initial
        self.thereafter = thereafter
    }

    /// Whether the batch that arrives now is shown.
    mutating func admits(at now: NIODeadline) -> Bool {
        if now >= end {
            end = now + Self.second
            seen = 0
        }
        seen += 1
        return seen <= initial || (thereafter > 0 && (seen - initial) % thereafter == 0)
    }
}
