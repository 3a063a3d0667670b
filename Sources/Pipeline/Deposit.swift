/// A batch on its way to the disk, and perhaps to the destination at the same time. Confined to its queue.
final class Deposit {
    let batch: Batch
    /// What it takes of the queue's room.
    let weight: Int
    var parts: [StoredPart] = []
    var state: DepositState

    init(_ batch: Batch, weight: Int) {
        self.batch = batch
        self.weight = weight
        state = .storing(items: batch.items)
    }

    /// Each part with its share of the weight.
    func forEachPart(_ body: (StoredPart, Int) -> Void) {
        var left = weight
        for (index, part) in parts.enumerated() {
            let share = index == parts.count - 1 ? left : weight / parts.count
            left -= share
            body(part, share)
        }
    }
}

/// Who still owes a word about a batch, before its client has an answer.
///
/// ```
/// storing ─ stored, failed ─▶ answered
///    │
///  sending ─▶ racing ─ stored, delivered ─▶ answered
///               ├ failed ─▶ delivering ─ delivered ─▶ answered
///               └ delivered, but for what the stop left ─▶ keeping ─ stored, failed ─▶ answered
/// ```
package enum DepositState: Equatable, Sendable {
    /// The disk; the destination is asked when it has the batch.
    case storing(items: Int)
    /// The disk or the destination, whoever is first.
    case racing
    /// The destination: the disk could not keep it.
    case delivering(fault: Refusal)
    /// The disk: the gateway stops, and so many of the items have no other end.
    case keeping(items: Int)
    /// Nobody.
    case answered

    /// What happens to a batch.
    package enum Event: Equatable, Sendable {
        /// The destination is asked before the disk has spoken.
        case sending
        /// The disk has the batch.
        case stored
        /// The disk cannot keep the batch.
        case failed(Refusal)
        /// Every part of it has ended at the destination.
        /// - Parameter uncounted: items that were left to the store.
        case delivered(Outcome, uncounted: Int)
    }

    /// What becomes of the client.
    package struct Answer: Equatable, Sendable {
        /// What it is told.
        package let outcome: Outcome
        /// Items that nobody has and nobody has counted.
        package let lost: Int

        /// Describes an answer.
        package init(_ outcome: Outcome, lost: Int = 0) {
            self.outcome = outcome
            self.lost = lost
        }
    }

    /// The only place that changes a state.
    /// - Returns: what the client is told, once for each batch.
    package mutating func apply(_ event: Event) -> Answer? {
        switch (self, event) {
        case (.storing, .sending):
            self = .racing
            return nil
        case (.racing, .failed(let fault)):
            self = .delivering(fault: fault)
            return nil
        case (.racing, .delivered(.refused(let refusal), let uncounted)) where refusal.reason == .shuttingDown:
            self = .keeping(items: uncounted)
            return nil
        case (.answered, .stored), (.answered, .failed), (.answered, .delivered):
            return nil
        case (.storing, .stored), (.racing, .stored), (.keeping, .stored), (.racing, .delivered):
            // What was given up after the destination refused it is counted so, as if it had been stored first.
            return answer(Answer(.accepted))
        case (.storing(let items), .failed(let fault)), (.keeping(let items), .failed(let fault)):
            return answer(Answer(.refused(fault), lost: items))
        case (.delivering(let fault), .delivered(.refused(let refusal), let uncounted)):
            let isLeft = refusal.reason == .shuttingDown
            return answer(Answer(.refused(isLeft ? fault : refusal), lost: uncounted))
        case (.delivering, .delivered):
            return answer(Answer(.accepted))
        case (.storing, .delivered), (.racing, .sending), (.delivering, .sending), (.delivering, .stored),
            (.delivering, .failed), (.keeping, .sending), (.keeping, .delivered), (.answered, .sending):
            preconditionFailure("a batch that is \(self) cannot be told \(event)")
        }
    }

    private mutating func answer(_ answer: Answer) -> Answer {
        self = .answered
        return answer
    }
}
