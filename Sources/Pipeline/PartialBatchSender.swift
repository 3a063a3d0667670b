/// A sender whose destination takes a batch in several requests, each with its own fate.
///
/// When an attempt ends as retryable, the sender remembers which parts the destination has, and the next attempt is for
/// the others only. Event loop of its queue only.
package protocol PartialBatchSender: BatchSender {
    /// Forgets a batch that the queue gives up, also while an attempt is under way, whose end is told to nobody then.
    /// - Returns: the items of the batch that the destination has.
    func abandon(_ batch: Batch) -> Int
}

extension BatchSender {
    /// The items of a batch that is given up which the destination has all the same.
    func itemsDelivered(of batch: Batch) -> Int {
        guard let partial = self as? any PartialBatchSender else { return 0 }
        return min(max(partial.abandon(batch), 0), batch.items)
    }
}
