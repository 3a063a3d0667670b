import Synchronization

/// The answer that a client is waiting for, owed by every part of its request.
///
/// Only made when the configuration promises more than "queued" (`wait_for_result`, or no sending queue). Starts out
/// owing one settlement; whoever divides the work calls `expect` for each further part before handing it on. Any
/// thread. The worst outcome wins: a refusal over a partial success over an acceptance.
package final class Acknowledgement: Sendable {
    private struct State {
        var owed = 1
        var outcome = Outcome.accepted
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
    package func settle(_ outcome: Outcome) {
        let last: Outcome? = state.withLock { state in
            precondition(state.owed > 0, "an acknowledgement was settled more often than it was owed")
            state.owed -= 1
            state.outcome = Self.worse(state.outcome, outcome)
            return state.owed == 0 ? state.outcome : nil
        }
        if let last { answer(last) }
    }

    private static func worse(_ a: Outcome, _ b: Outcome) -> Outcome {
        switch (a, b) {
        case (.refused(let x), .refused(let y)): return x.isPermanent ? .refused(y) : .refused(x)
        case (.refused, _): return a
        case (_, .refused): return b
        case (.partial(let x, let message), .partial(let y, _)):
            return .partial(rejectedItems: x + y, message: message)
        case (.partial, _): return a
        default: return b
        }
    }
}
