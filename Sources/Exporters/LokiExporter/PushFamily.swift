internal import NIOCore

/// A push that Loki does not take as a whole, for a reason that repeats, while its parts are tried. Confined to its sender.
///
/// Parts that fail for the same reason are halved until an entry is alone. As long as nothing was stored it may be Loki and
/// not the data: then, after a number of refusals, everything is as if it had not been divided.
final class PushFamily: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): pushes are split on other threads, which do not look at it; touched on the sender's loop.
    static let refusalsInVainMax = 32
    static let refusalsMax = 512

    let whole: Push
    /// Whether the whole may be sent again; else it is given up when nothing of it was stored.
    let mayRepeat: Bool
    /// Why, without the numbers in it.
    let reason: String
    var partsLeft = 1
    var refusals = 1
    var isStored = false
    /// Entries that were refused alone before anything was stored, with the message.
    var alone: [(push: Push, message: String)] = []

    init(_ whole: Push, reason: String, mayRepeat: Bool) {
        self.whole = whole
        self.reason = reason
        self.mayRepeat = mayRepeat
    }

    /// Whether a part that was refused is to be divided further.
    var mayDivide: Bool { refusals <= (isStored ? Self.refusalsMax : Self.refusalsInVainMax) }
}
