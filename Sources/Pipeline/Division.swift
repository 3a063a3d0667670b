internal import NIOCore

/// A batch that its destination does not take, while its parts are tried. Confined to its queue.
///
/// Parts that are refused are halved again, until an item is alone. So one bad item among n costs about 2 log₂ n
/// requests. Bounded: as long as nothing was taken it may be the destination and not the data.
final class Division {
    private static let refusalsMax = 256
    private static let refusalsInVainMax = 32

    /// Of the whole batch.
    let bytes: Int
    /// Parts that have not ended.
    var partsLeft = 1
    private(set) var refusals = 1
    /// Whether a part was taken.
    private(set) var isTaken = false
    /// Parts that were refused for good, whose clients hear of it at the end.
    var refused: [(batch: Batch, refusal: Refusal)] = []
    /// Whether a part ended in another way than being taken.
    var hasLost = false

    init(bytes: Int) {
        self.bytes = bytes
    }

    func noteTaken() { isTaken = true }

    /// Notes that a part was refused.
    /// - Returns: whether it may be divided further.
    func mayDivide() -> Bool {
        refusals += 1
        return refusals <= (isTaken ? Self.refusalsMax : Self.refusalsInVainMax)
    }
}
