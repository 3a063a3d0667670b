package import NIOCore

/// The largest batch that a destination takes, as far as its answers have shown it. Confined to its owner.
///
/// A refusal for the size halves the limit. It is remembered for ten minutes; then one batch of the configured size finds
/// out whether it still holds.
package struct SizeLimit {
    /// No limit below this is believed.
    private static let bytesMin = 16 << 10
    private static let memory = TimeAmount.minutes(10)
    /// Refusals of larger batches, of which all parts were taken, that make a limit.
    private static let suspicionsMin = 2

    /// In bytes; nil: none is known.
    private(set) var bytes: Int?
    private var forgetsAt = NIODeadline.distantPast
    private var suspicions = 0

    package init() {}

    /// The limit that holds now; `Int.max` for none.
    package mutating func current(at now: NIODeadline) -> Int {
        guard let bytes else { return .max }
        if now >= forgetsAt { self = SizeLimit() }
        return self.bytes == nil ? .max : bytes
    }

    /// The destination said that a batch of several items is too large.
    /// - Returns: the limit, if it is a new one.
    package mutating func refused(_ size: Int, at now: NIODeadline) -> Int? {
        let known = current(at: now)
        let half = max(size / 2, Self.bytesMin)
        guard half < known, half < size else { return nil }
        bytes = half
        forgetsAt = now + Self.memory
        return half
    }

    /// The destination refused a batch, for whatever reason, and took all of its parts.
    /// - Returns: the limit, if it is a new one.
    package mutating func suspected(_ size: Int, at now: NIODeadline) -> Int? {
        suspicions += 1
        guard suspicions >= Self.suspicionsMin else { return nil }
        suspicions = 0
        return refused(size, at: now)
    }

    /// The destination found a single item of this size too large: below the limit it means the item, not the batch.
    package mutating func refusedItem(_ size: Int) {
        if let bytes, size < bytes { self = SizeLimit() }
    }
}
