import Synchronization

/// The answer that a client is waiting for, owed by every part of its request.
///
/// Only made when the configuration promises more than "queued" (`wait_for_result`, `storage`, or no sending queue).
/// Starts out owing one settlement; whoever divides the work calls `expect` for each further part before handing it on.
/// Any thread. The worst outcome wins: a refusal over a partial success over an acceptance. But that a destination had no
/// room in its queue is no refusal as long as another one took the whole request: the client would send to both again.
/// That a disk failed is one, unless the destination has the data: it was promised.
package final class Acknowledgement: Sendable {
    private struct State {
        var owed = 1
        var refusal: Refusal?
        /// Why there was no room, who had none, and who took at least a part.
        var noRoom: Refusal?
        var declining: [ObjectIdentifier?] = []
        var taking: [ObjectIdentifier?] = []
        /// Items rejected so far, by destination: the same item rejected by two is one rejected item.
        var rejected: [(destination: ObjectIdentifier?, items: Int)] = []
        var message = ""

        var outcome: Outcome {
            if let refusal { return .refused(refusal) }
            if let noRoom, taking.allSatisfy(declining.contains) { return .refused(noRoom) }
            let most = rejected.reduce(0) { max($0, $1.items) }
            return most > 0 ? .partial(rejectedItems: most, message: message) : .accepted
        }

        mutating func took(_ destination: ObjectIdentifier?) {
            if !taking.contains(destination) { taking.append(destination) }
        }
    }

    private let state = Mutex(State())
    private let answer: @Sendable (Outcome) -> Void

    /// - Parameter answer: called exactly once, on the thread of the last settlement.
    package init(answer: @escaping @Sendable (Outcome) -> Void) {
        self.answer = answer
    }

    /// Adds settlements that are owed. Must precede the hand-over of the part that owes them.
    package func expect(_ more: Int) {
        state.withLock { state in
            precondition(state.owed > 0, "an acknowledgement was divided after it had answered")
            state.owed += more
        }
    }

    /// Settles one part.
    /// - Parameter destination: who speaks. What one destination rejects of several parts adds up; of what several
    ///   rejected only the largest count is told.
    package func settle(_ outcome: Outcome, by destination: ObjectIdentifier? = nil) {
        let last: Outcome? = state.withLock { state in
            precondition(state.owed > 0, "an acknowledgement was settled more often than it was owed")
            state.owed -= 1
            switch outcome {
            case .accepted:
                state.took(destination)
            case .partial(let items, let message):
                state.took(destination)
                if let index = state.rejected.firstIndex(where: { $0.destination == destination }) {
                    state.rejected[index].items += items
                } else {
                    state.rejected.append((destination, items))
                }
                if state.message.isEmpty { state.message = message }
            case .refused(let refusal) where refusal.isForWantOfRoom:
                if !state.declining.contains(destination) { state.declining.append(destination) }
                if state.noRoom?.isPermanent ?? true { state.noRoom = refusal }
            case .refused(let refusal):
                if refusal.weight > state.refusal?.weight ?? -1 { state.refusal = refusal }
            }
            return state.owed == 0 ? state.outcome : nil
        }
        if let last { answer(last) }
    }
}

extension Refusal {
    /// Whether the destination's own queue is full, on disk or in memory.
    fileprivate var isForWantOfRoom: Bool { reason == .queueFull }

    /// Which of two refusals of one request is told: what may work is worth another try, and what the gateway's end left
    /// undone is not done by what became of the rest: a store must keep it.
    fileprivate var weight: Int {
        if isPermanent { return 0 }
        return reason == .shuttingDown ? 2 : 1
    }
}
